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
#: An explanation as it comes over the wire.
PRIORITY = {"reason": "Priority", "text": "behind job 3 in partition debug"}
RESOURCES = {"reason": "Resources", "text": "4 nodes in partition debug -> 1 with 2 CPUs free; needs 4 nodes"}
PENDING: Answered = {
    "job": {"id": 7, "spec": {"name": "big"}, "partition": "debug", "priority": 5, "submitted_at": 1.0},
    "name": "7",
    "place": 2,
    "queue_length": 9,
    "blockers": [PRIORITY, RESOURCES],
    "outlooks": [
        {
            "partition": "debug",
            "blockers": [PRIORITY, RESOURCES],
            "needs": "4 nodes",
            "steps": [
                {"nodes": 4, "demand": "in partition debug"},
                {"nodes": 3, "demand": "up", "lost": "n4 drained: disk"},
                {"nodes": 1, "demand": "with 2 CPUs free"},
            ],
            "holders": [{"job_id": 5, "name": "sim", "nodes": "n1", "holds": "2 CPUs"}],
            "holders_left_off": 2,
        }
    ],
    "planned_start_at": 1_800_000_000.0,
    "planned_nodes": "n[1-4]",
    "suggestions": [
        {"words": ["-N 1 instead of 4"], "command": "scontrol update JobId=7 NumNodes=1"},
        {"words": ["without --exclusive"]},
    ],
    "is_searched": True,
}


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


#: Of the umbrella's own, and of the programs of the controller that it hands its words to.
PRINTING = [["config", "show", "CONF"], ["--help"], ["version"], ["verify", "--conf", "CONF"], ["replay", "--help"]]


def redirected(conf: Path, words: list[str], where: str) -> "subprocess.CompletedProcess[str]":
    """Run sluice with what a shell says of its stdout."""
    argv = [sys.executable, "-m", "sluice_cli.main", *(str(conf) if word == "CONF" else word for word in words)]
    shell = ["/bin/bash", "-o", "pipefail", "-c", f'"$@" {where}', "bash"]
    env = {"SLURM_CONF": str(conf), "PATH": "/bin:/usr/bin"}
    return subprocess.run([*shell, *argv], stderr=subprocess.PIPE, text=True, check=False, env=env)


@pytest.fixture
def database(conf: Path) -> Path:
    """A configuration with a database, which verify reads."""
    with conf.open("a") as file:
        file.write(f"StateSaveLocation={conf.parent}\nSluiceDatabase=sqlite:///{conf.parent}/state.db\n")
    subprocess.run([sys.executable, "-m", "sluicectld.migrate", "-f", conf], stdout=subprocess.DEVNULL, check=True)
    return conf


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
@pytest.mark.parametrize(
    ("where", "why"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
    ids=["full", "closed"],
)
def test_output_that_cannot_be_written_is_told(database: Path, words: list[str], where: str, why: str) -> None:
    ran = redirected(database, words, where)

    assert ran.returncode == 1
    told = [line for line in ran.stderr.splitlines() if not line.startswith("controller: not reached")]
    assert told == [f"sluice: error: stdout cannot be written: {why}"]


@pytest.mark.parametrize("words", [["--help"], ["verify", "--conf", "CONF"], ["replay", "--help"]], ids=" ".join)
def test_a_reader_that_went_away_ends_it_in_silence(database: Path, words: list[str]) -> None:
    assert redirected(database, words, "| true").stderr == ""


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
        controller.answers["ExplainJobs"] = {"jobs": [PENDING]}

        ran = sluice("explain", "7")

        assert controller.bodies("ExplainJobs") == [{"ids": ["7"], "is_brief": False}]
        first, *rest = ran.out.splitlines()
        assert first.startswith("job 7 (big) is pending since 1970-01-01T")
        assert first.endswith("partition debug, priority 5, place 2 of 9 in the queue")
        assert rest[:7] == [
            "  Priority: behind job 3 in partition debug",
            "  Resources: needs 4 nodes",
            "    4 nodes in partition debug",
            "    -> 3 up (n4 drained: disk)",
            "    -> 1 with 2 CPUs free",
            "    waits for job 5 (sim) on n1, which has 2 CPUs and has no time limit",
            "    and for 2 more jobs",
        ]
        assert rest[7].startswith("planned start: 2027-01-15T")
        assert rest[7].endswith(" on n[1-4]")
        assert rest[8:] == [
            "it would start now with",
            "  -N 1 instead of 4     scontrol update JobId=7 NumNodes=1",
            "  without --exclusive",
        ]

    def test_explain_tells_how_a_job_ended(self, sluice: Callable[..., Ran], controller: FakeController) -> None:
        job = {"id": 7, "spec": {"name": "big"}, "state": "CANCELLED", "ended_at": 1.8e9, "cancelled_by": 0}
        controller.answers["ExplainJobs"] = {"jobs": [{"job": job, "name": "7"}]}

        ran = sluice("explain", "7")

        assert ran.out.startswith("job 7 (big) has ended: CANCELLED, never started, ended 2027-01-15T")
        assert ran.out.endswith(", exit code 0:0, cancelled by root\n")

    def test_explain_tells_why_a_job_was_ended_for_which_there_is_no_reason_code(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        job = {
            "id": 7,
            "spec": {"name": "x"},
            "state": "CANCELLED",
            "ended_at": 1.8e9,
            "reason_text": "its srun is gone",
        }
        controller.answers["ExplainJobs"] = {"jobs": [{"job": job, "name": "7"}]}

        assert sluice("explain", "7").out.endswith("exit code 0:0\n  its srun is gone\n")

    def test_explain_tells_what_such_plans_have_been_worth(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        score = {"likely_start_at": 1.0, "safe_start_at": 2.0, "forecasts_scored": 400, "late_share": 0.02}
        controller.answers["ExplainJobs"] = {"jobs": [PENDING | score]}

        told = sluice("explain", "7").out

        assert "half of such plans came true by 1970-01-01T" in told
        assert "; 2% of the last 400 starts were late\n" in told

    def test_explain_says_that_no_change_helps(self, sluice: Callable[..., Ran], controller: FakeController) -> None:
        controller.answers["ExplainJobs"] = {"jobs": [PENDING | {"suggestions": []}]}

        assert sluice("explain", "7").out.endswith(
            "no change of its request, nor two together, would let it start now\n"
        )

    def test_explain_looks_for_no_changes_of_a_component(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        component = PENDING | {"job": {**PENDING["job"], "het_job_id": 7}, "suggestions": [], "is_searched": False}
        controller.answers["ExplainJobs"] = {"jobs": [component]}

        assert sluice("explain", "7").out.endswith(
            "no changes were looked for: a component starts only with all others of its heterogeneous job\n"
        )

    def test_explain_takes_several_jobs_and_tasks(self, sluice: Callable[..., Ran], controller: FakeController) -> None:
        spec = {"name": "big"}
        controller.answers["ExplainJobs"] = {
            "jobs": [
                {
                    "job": {
                        "id": 7,
                        "spec": spec,
                        "state": "RUNNING",
                        "limit_s": 60,
                        "started_at": 10.0,
                        "eligible_at": 4.0,
                    },
                    "name": "7",
                    "nodes": "n1",
                },
                {
                    "job": {
                        "id": 9,
                        "spec": spec,
                        "state": "FAILED",
                        "array_task_id": 2,
                        "reason": "NonZeroExitCode",
                        "exit_code": 3,
                    },
                    "name": "8_2",
                },
            ]
        }

        ran = sluice("explain", "--brief", "7", "8_2")

        assert controller.bodies("ExplainJobs") == [{"ids": ["7", "8_2"], "is_brief": True}]
        first, blank, second, third = ran.out.splitlines()
        assert first.startswith("job 7 (big) is running on n1, started 1970-")
        assert "after 00:00:06 of waiting, ends by 1970-" in first
        assert blank == ""
        assert second.startswith("job 8_2 = 9 (big) has ended: FAILED, never started, ended ")
        assert second.endswith("exit code 3:0")
        assert third.startswith("  NonZeroExitCode: its script or program said that it failed")

    def test_a_victim_is_told_to_end_with_its_grace(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        victim = {
            "id": 7,
            "spec": {"name": "big"},
            "state": "RUNNING",
            "limit_s": 3600,
            "started_at": 10.0,
            "preemption": {"for_job_id": 9, "mode": "CANCEL", "at": 20.0, "ends_at": 60.0},
        }
        controller.answers["ExplainJobs"] = {"jobs": [{"job": victim, "name": "7", "nodes": "n1"}]}

        ran = sluice("explain", "7")

        assert ran.out.endswith(f", ends by {timepoint.format_local(60.0)} (preempted)\n")

    def test_explain_as_data(self, sluice: Callable[..., Ran], controller: FakeController) -> None:
        controller.answers["ExplainJobs"] = {
            "jobs": [{"job": {"id": 7, "spec": {"name": "big"}, "state": "RUNNING"}, "nodes": "n1"}, PENDING]
        }

        running, pending = json.loads(sluice("explain", "7", "--json").out)["jobs"]

        assert (running["job_id"], running["state"], running["nodes"], running["blockers"]) == (7, "RUNNING", "n1", [])
        assert pending["outlooks"][0]["steps"][1] == {"nodes": 3, "demand": "up", "lost": "n4 drained: disk"}
        assert pending["suggestions"][1] == {"words": ["without --exclusive"], "command": "", "cost": 0.0}

    def test_an_unknown_job_is_refused_in_slurms_words(
        self, sluice: Callable[..., Ran], controller: FakeController
    ) -> None:
        def refuse(_body: Answered) -> Answered:
            raise NotFound("job 9 is not known", "invalid_job")

        controller.answers["ExplainJobs"] = refuse

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
        controller.answers["ExplainJobs"] = {"jobs": [{"job": {"id": 5, "spec": spec, **job}, "nodes": "n1"}]}

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
