"""`sluice up`, `status` and `down`, typed as a user does."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.local import process
from sluice.model.confinement import CgroupSettings
from sluice.testing import LocalCluster
from sluiced.cgroup import detect
from tests import open_python
from tests.waiting import wait_until

_UNENFORCED = detect.unenforced(CgroupSettings())
Sluice = Callable[..., "subprocess.CompletedProcess[str]"]


def run_sluice(
    *arguments: str, user: int | None = None, check: bool = True, variables: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [open_python.find() if user else sys.executable, "-P", "-m", "sluice_cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd="/",
        env=open_python.environment() if user else variables,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder for a cluster; whatever a test leaves running in it is ended."""
    place = str(tmp_path_factory.mktemp("c") / "cluster")
    yield place
    run_sluice("down", "--dir", place, "--force", "--delete", check=False)


def daemons(folder: str) -> dict[str, dict[str, Any]]:
    status = json.loads(run_sluice("status", "--dir", folder, "--json").stdout)
    return {daemon["node"] or daemon["role"]: daemon for daemon in status["daemons"]}


def exported(stdout: str) -> dict[str, str]:
    """Return what `eval` of *stdout* sets in a shell."""
    script = f"eval {shlex.quote(stdout)}; env"
    done = subprocess.run(
        ["sh", "-euc", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines())


def processes_of(folder: str) -> list[int]:
    """Return every process whose environment names the folder."""
    return [pid for pid, text in process.environments() if folder.encode() in text and pid != os.getpid()]


def test_up_prints_what_a_shell_needs_and_nothing_else(folder: str) -> None:
    up = run_sluice("up", "--dir", folder, "--nodes", "2", "--cpus", "2", "--memory", "1G")

    variables = exported(up.stdout)
    listed = subprocess.run(["squeue"], env=variables, capture_output=True, text=True, check=True)
    assert variables["SLURM_CONF"] == f"{folder}/sluice.conf"
    assert listed.stdout.split()[0] == "JOBID"
    assert all(line.startswith("export ") for line in up.stdout.splitlines())


def test_status_names_every_daemon(folder: str) -> None:
    run_sluice("up", "--dir", folder, "--nodes", "2")

    found = daemons(folder)

    assert {name: daemon["role"] for name, daemon in found.items()} == {
        "controller": "controller",
        "n1": "agent",
        "n2": "agent",
    }
    assert all(daemon["state"] == "running" and os.path.exists(daemon["log"]) for daemon in found.values())
    assert found["n1"]["node_state"] == "idle"
    assert all(process.identify(daemon["pid"]) for daemon in found.values())


def test_up_again_starts_only_what_is_missing(folder: str) -> None:
    run_sluice("up", "--dir", folder, "--nodes", "2")
    before = daemons(folder)
    os.kill(before["n1"]["pid"], 9)

    run_sluice("up", "--dir", folder)

    after = daemons(folder)
    assert after["controller"]["pid"] == before["controller"]["pid"]
    assert after["n2"]["pid"] == before["n2"]["pid"]
    assert after["n1"]["pid"] != before["n1"]["pid"]
    assert after["n1"]["state"] == "running"


def test_down_leaves_no_process_behind(folder: str, tmp_path: Path) -> None:
    """Not even of a job that ignores TERM and has hidden a child from its environment and its session."""
    variables = exported(run_sluice("up", "--dir", folder, "--nodes", "1").stdout)
    ready = tmp_path / "ready"
    hidden = f"setsid env -i sh -c 'echo $$ > {tmp_path}/pid; touch {ready}; sleep 600' & trap '' TERM; wait; sleep 600"
    subprocess.run(["sbatch", "--wrap", hidden], env=variables, cwd=tmp_path, check=True, capture_output=True)
    wait_until(ready.exists)

    run_sluice("down", "--dir", folder)

    assert processes_of(folder) == []
    assert process.identify(int((tmp_path / "pid").read_text())) is None
    assert {daemon["state"] for daemon in daemons(folder).values()} == {"stopped"}


def test_pending_jobs_wait_for_the_next_up(folder: str, tmp_path: Path) -> None:
    variables = exported(run_sluice("up", "--dir", folder, "--nodes", "1").stdout)
    submit = ["sbatch", "--parsable", "--hold", "--wrap", "true"]
    job_id = subprocess.run(submit, env=variables, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    run_sluice("down", "--dir", folder)
    run_sluice("up", "--dir", folder)

    listed = subprocess.run(["squeue", "-h", "-o", "%i"], env=variables, check=True, capture_output=True, text=True)
    assert listed.stdout == job_id


def test_another_shape_is_refused_while_the_cluster_runs(folder: str) -> None:
    run_sluice("up", "--dir", folder, "--nodes", "1")

    refused = run_sluice("up", "--dir", folder, "--nodes", "2", check=False)

    assert refused.returncode == 1
    assert "runs already" in refused.stderr


def test_a_configuration_of_ones_own_is_brought_up(folder: str, tmp_path: Path) -> None:
    """The generated file, moved and changed, is somebody's own."""
    run_sluice("up", "--dir", folder, "--nodes", "1")
    run_sluice("down", "--dir", folder)
    own = tmp_path / "own.conf"
    own.write_text(Path(folder, "sluice.conf").read_text().replace("ClusterName=local", "ClusterName=mine"))

    up = run_sluice("up", "--dir", folder, "--conf", str(own))

    variables = exported(up.stdout)
    assert variables["SLURM_CONF"] == str(own)
    assert "'mine' is up" in up.stderr
    assert run_sluice("down", variables=variables).stderr == f"sluice: 2 daemons ended, cluster in {folder}\n"


def test_a_configuration_whose_ports_are_taken_is_refused_by_their_keys(folder: str, tmp_path: Path) -> None:
    """By another cluster of the same configuration, which stays as it is."""
    run_sluice("up", "--dir", folder, "--nodes", "1")
    conf = f"{folder}/sluice.conf"

    up = run_sluice("up", "--dir", str(tmp_path / "other"), "--conf", conf, check=False)

    assert up.returncode == 1
    keys = [line.split("=")[0].removeprefix(f"sluice: error: {conf}: ") for line in up.stderr.splitlines()]
    assert keys == ["SlurmctldPort", "NodeName"], up.stderr
    assert "sluicectld -f" in up.stderr
    assert {daemon["state"] for daemon in daemons(folder).values()} == {"running"}


def test_the_folder_is_found_by_what_up_exported(folder: str) -> None:
    """Neither status, nor up, nor down needs --dir again."""
    variables = exported(run_sluice("up", "--dir", folder, "--nodes", "1").stdout)

    status = run_sluice("status", variables=variables)
    up = run_sluice("up", variables=variables)
    down = run_sluice("down", variables=variables)

    assert status.stdout.startswith(f"{folder}, configuration {folder}/sluice.conf\n")
    assert f"was up already: 1 node (n1), 2 daemons, in {folder}" in up.stderr
    assert down.stderr == f"sluice: 2 daemons ended, cluster in {folder}\n"


@pytest.mark.skipif(bool(_UNENFORCED), reason=f"needs root and cgroups: {_UNENFORCED}")
def test_a_cluster_taken_down_by_force_leaves_no_control_groups_behind(tmp_path: Path) -> None:
    """The daemon of an extern step is killed with the others, and cannot take its groups away itself."""
    with LocalCluster(nodes=1, settings={"PrologFlags": "Contain"}) as cluster:
        cluster.run("sbatch", "--wrap", f"touch {tmp_path}/started; exec sleep 300", cwd=tmp_path)
        wait_until((tmp_path / "started").exists, 30)
        lines = Path(cluster.folder, "spool", "n1", "groups").read_text().splitlines()
        assert any(os.path.exists(line) for line in lines)

    assert [line for line in lines if os.path.exists(line)] == []


@pytest.mark.parametrize("how", [[], ["--force"]], ids=["asked to end", "killed"])
def test_a_cluster_that_is_down_leaves_no_pid_files_and_sockets_behind(folder: str, how: list[str]) -> None:
    run_sluice("up", "--nodes", "2", "--cpus", "1", "--dir", folder)
    run = Path(folder, "run")
    assert {path.suffix for path in run.iterdir()} == {".json", ".pid", ".sock"}

    run_sluice("down", "--dir", folder, *how)

    assert list(run.iterdir()) == []


def test_a_daemon_that_does_not_start_shows_its_log(folder: str) -> None:
    run_sluice("up", "--dir", folder, "--nodes", "1")
    run_sluice("down", "--dir", folder)
    Path(folder, "state", "sluice.db").write_bytes(b"this is no database" * 1000)

    failed = run_sluice("up", "--dir", folder, check=False)

    assert failed.returncode == 1
    assert "sluicectld ended before the cluster was up" in failed.stderr
    assert "sluicectld.log" in failed.stderr
    assert failed.stdout == ""


def test_emulated_nodes_run_jobs_by_timers(folder: str, tmp_path: Path) -> None:
    variables = exported(run_sluice("up", "--dir", folder, "--emulated", "50").stdout)
    submit = ["sbatch", "--wait", "-N", "50", "--wrap", "sleep 0.1"]

    subprocess.run(submit, env=variables, cwd=tmp_path, check=True, capture_output=True)

    assert list(daemons(folder)) == ["controller", "n[1-50]"]


@pytest.mark.skipif(not open_python.find(), reason="not root, or others may not run this Python")
def test_an_ordinary_user_is_told_once_that_nothing_is_enforced() -> None:
    place = Path("/tmp") / f"sluice-test-nobody-{os.getpid()}"
    place.mkdir()
    os.chown(place, open_python.NOBODY, open_python.NOBODY)
    try:
        up = run_sluice("up", "--dir", str(place), "--nodes", "2", user=open_python.NOBODY)
        assert up.stderr.count("not enforced") == 1
    finally:
        run_sluice("down", "--dir", str(place), "--force", "--delete", user=open_python.NOBODY)
    assert not place.exists()


def test_up_leaves_a_configuration_alone_that_it_did_not_write(tmp_path: Path) -> None:
    conf = tmp_path / "sluice.conf"
    conf.write_text("# the site's own\n")

    done = run_sluice("up", "--dir", str(tmp_path), "--emulated", "2", check=False)

    assert done.returncode == 1
    assert (
        f"{conf} is there and was not written by sluice up: use it with --conf {conf}, or another --dir" in done.stderr
    )
    assert conf.read_text() == "# the site's own\n"
