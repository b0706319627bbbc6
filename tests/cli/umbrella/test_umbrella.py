"""The umbrella command: what it asks, what it prints, how it exits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sluice import __version__, timepoint
from sluice.errors import NotFound
from sluice.local.place import Place, Setup
from sluice_cli.main import main
from tests.cli.conftest import FakeController

Answered = dict[str, object]


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def sluice(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["sluice", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "sluice.conf"
    path.write_text("ClusterName=one\nSlurmctldHost=head\nNodeName=n[1-2] CPUs=2\nPartitionName=debug Nodes=ALL\n")
    return path


def test_version_is_our_own(sluice: Callable[..., Ran]) -> None:
    assert sluice("--version").out == f"sluice {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("bogus",), id="unknown subcommand"),
        pytest.param(("up", "--nodes", "0"), id="no node"),
        pytest.param(("up", "--nodes", "2", "--emulated", "2"), id="real and emulated nodes"),
        pytest.param(("up", "--memory", "much"), id="no size"),
        pytest.param(("explain", "job"), id="no job id"),
        pytest.param(("config", "check", "/no/such/file"), id="no file"),
    ],
)
def test_wrong_usage_exits_2(sluice: Callable[..., Ran], arguments: tuple[str, ...]) -> None:
    ran = sluice(*arguments)

    assert ran.status == 2
    assert ran.out == ""
    assert "Error" in ran.err


def test_output_that_cannot_be_written_is_told(conf: Path) -> None:
    command = [sys.executable, "-m", "sluice_cli.main", "config", "show", str(conf)]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (1, "sluice: error: stdout cannot be written: No space left on device\n")


def test_status_where_no_cluster_is_exits_1(sluice: Callable[..., Ran], tmp_path: Path) -> None:
    ran = sluice("status", "--dir", str(tmp_path))

    assert ran == Ran(1, "", f"sluice: error: no cluster is in {tmp_path}\n")


def test_a_configuration_of_no_local_cluster_means_the_usual_folder(
    sluice: Callable[..., Ran], conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(conf))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert sluice("status") == Ran(1, "", f"sluice: error: no cluster is in {tmp_path}/sluice/local\n")


def test_the_cluster_of_the_configuration_in_use_is_meant(
    sluice: Callable[..., Ran], conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.make()
    place.write_setup(Setup(conf_path=str(conf)))
    monkeypatch.setenv("SLURM_CONF", str(conf))

    assert sluice("status").out.startswith(f"{tmp_path}, configuration {conf}\n")


def test_a_controller_that_is_away_is_told(sluice: Callable[..., Ran], dead_cluster: Path) -> None:
    ran = sluice("explain", "1")

    assert ran.status == 1
    assert ran.err.startswith("sluice: error: no controller answers")


class TestAsking:
    """Subcommands that ask the controller."""

    def test_explain_gives_every_reason_and_the_planned_start(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        controller.answers["ExplainJob"] = {
            "job": {"id": 7, "spec": {"name": "big"}, "partition": "debug", "priority": 5, "submitted_at": 1.0},
            "blockers": [
                {"reason": "Resources", "text": "3 of 4 nodes free, needs 4"},
                {"reason": "Priority", "text": "2 jobs are before it"},
            ],
            "planned_start_at": 1_800_000_000.0,
            "planned_nodes": "n[1-4]",
        }

        ran = sluice("explain", "7")

        assert controller.bodies("ExplainJob") == [{"job_id": 7}]
        first, *rest = ran.out.splitlines()
        assert first.startswith("job 7 (big) is pending since 1970-01-01T")
        assert rest[:2] == ["  Resources: 3 of 4 nodes free, needs 4", "  Priority: 2 jobs are before it"]
        assert rest[2].startswith("planned start: 2027-01-15T")
        assert rest[2].endswith(" on n[1-4]")

    def test_explain_tells_how_a_job_ended(self, sluice: Callable[..., Ran], controller: FakeController) -> None:
        job = {"id": 7, "spec": {"name": "big"}, "state": "CANCELLED", "ended_at": 1.8e9, "cancelled_by": 0}
        controller.answers["ExplainJob"] = {"job": job}

        ran = sluice("explain", "7")

        assert ran.out.startswith("job 7 (big) is cancelled, never started, ended 2027-01-15T")
        assert ran.out.endswith(", exit code 0:0, cancelled by root\n")

    def test_explain_as_data(self, sluice: Callable[..., Ran], controller: FakeController) -> None:
        controller.answers["ExplainJob"] = {
            "job": {"id": 7, "spec": {"name": "big"}, "state": "RUNNING"},
            "nodes": "n1",
        }

        found = json.loads(sluice("explain", "7", "--json").out)

        assert (found["job_id"], found["state"], found["nodes"], found["blockers"]) == (7, "RUNNING", "n1", [])

    def test_an_unknown_job_is_refused_in_slurms_words(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        def refuse(_body: Answered) -> Answered:
            raise NotFound("job 9 is not known", "invalid_job")

        controller.answers["ExplainJob"] = refuse

        ran = sluice("explain", "9")

        assert ran == Ran(1, "", "sluice: error: job 9 is not known\nsluice: error: Invalid job id specified\n")

    def test_an_array_task_is_found_by_its_number(self, sluice: Callable[..., Ran], controller: FakeController) -> None:
        rows = [{"job": {"id": 6, "array_task_id": 1}}, {"job": {"id": 5, "array_task_id": 2}}]
        controller.answers["QueryAccounting"] = {"rows": rows}
        tail = {"step_id": -5, "node": "n1", "stream": "stdout", "tail": b"end"}
        controller.answers["QueryOutput"] = {"tails": [tail]}

        ran = sluice("output", "5_1")

        assert ran.status == 0
        assert controller.bodies("QueryOutput") == [{"job_id": 6}]

    def test_output_prints_each_stream_and_why_it_could_not_be_written(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        controller.answers["QueryOutput"] = {
            "tails": [
                {"step_id": -5, "node": "n1", "stream": "stdout", "path": "/tmp/out", "tail": b"half a line"},
                {"step_id": 0, "node": "n2", "stream": "stderr", "error": "cannot open /x: no such directory\n"},
            ]
        }

        ran = sluice("output", "5")

        assert ran.out == (
            "==> 5.batch stdout on n1 /tmp/out <==\nhalf a line\n"
            "==> 5.0 stderr on n2 <==\ncannot open /x: no such directory\n"
        )

    @pytest.mark.parametrize(
        ("job", "told"),
        [
            pytest.param({"state": "PENDING"}, "it has not run; it writes to /home/slurm-5.out", id="pending"),
            pytest.param({"state": "RUNNING"}, "no step of it has ended; it writes to /home/slurm-5.out", id="running"),
            pytest.param(
                {"state": "FAILED", "ended_at": 1.8e9},
                f"it is failed since {timepoint.format_local(1.8e9)}; it wrote to /home/slurm-5.out on n1",
                id="ended",
            ),
        ],
    )
    def test_where_the_file_is_when_no_output_is_kept(
        self, sluice: Callable[..., Ran], controller: FakeController, job: dict[str, object], told: str
    ) -> None:
        spec = {"name": "big", "user": "ann", "uid": 5, "work_dir": "/home"}
        controller.answers["QueryOutput"] = {}
        controller.answers["ExplainJob"] = {"job": {"id": 5, "spec": spec, **job}, "nodes": "n1"}

        assert sluice("output", "5") == Ran(0, "", f"sluice: job 5: no output is kept: {told}\n")

    def test_output_that_is_no_text_is_told_in_base64(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        controller.answers["QueryOutput"] = {
            "tails": [{"step_id": -5, "node": "n1", "stream": "stdout", "tail": b"\xff\x00"}]
        }

        found = json.loads(sluice("output", "5", "--json").out)

        assert found["streams"][0]["base64"] == "/wA="


class TestConfig:
    """Configuration files, without a controller."""

    def test_a_right_file_is_told_in_a_line(self, sluice: Callable[..., Ran], conf: Path) -> None:
        ran = sluice("config", "check", str(conf))

        assert ran == Ran(0, f"{conf}: ok, cluster one, 2 nodes (n[1-2]), 1 partition, 0 warnings\n", "")

    def test_the_file_in_use_is_checked_when_none_is_named(
        self, sluice: Callable[..., Ran], conf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLUICE_CONF", str(conf))

        assert sluice("config", "check").out.startswith(f"{conf}: ok")

    def test_a_wrong_file_is_told_with_line_and_nearest_key(self, sluice: Callable[..., Ran], conf: Path) -> None:
        conf.write_text(conf.read_text() + "KillWiat=30\n")

        ran = sluice("config", "check", str(conf))

        assert ran.status == 1
        assert f"{conf}:5: KillWiat" in ran.out
        assert "KillWait" in ran.out

    def test_diff_tells_each_change(self, sluice: Callable[..., Ran], conf: Path) -> None:
        changed = conf.with_name("changed.conf")
        changed.write_text(conf.read_text().replace("n[1-2] CPUs=2", "n[2-3] CPUs=4") + "KillWait=10\n")

        ran = sluice("config", "diff", str(conf), str(changed))

        assert ran.out.splitlines()[0] == "KillWait: 30 -> 10"
        assert {"node n3: added", "node n1: removed", "node n2: cpus: 2 -> 4"} <= set(ran.out.splitlines())

    def test_a_file_is_no_change_to_itself(self, sluice: Callable[..., Ran], conf: Path) -> None:
        assert sluice("config", "diff", str(conf), str(conf)).out == "no change\n"

    def test_show_gives_defaults_too(self, sluice: Callable[..., Ran], conf: Path) -> None:
        ran = sluice("config", "show", str(conf))

        assert "KillWait                = 30 sec\n" in ran.out
        assert "Cgroup Support Configuration:" in ran.out
