"""Commands that are killed, and what becomes of their allocations, on a live cluster."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sluice.testing import LocalCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=1, cpus=8, settings={"InactiveLimit": "8"}) as running:
        yield running


@contextmanager
def _client(cluster: LocalCluster, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command whose children, which a SIGKILL leaves alive, are ended with the block."""
    nowhere = subprocess.DEVNULL
    where = {"cwd": cluster.folder, "env": cluster.env}
    process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, **where)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _told(cluster: LocalCluster, name: str, field: str = "%T/%r") -> str:
    return cluster.run("squeue", "-h", "-t", "all", "-n", name, "-o", field).stdout.strip()


def _wait_for(cluster: LocalCluster, name: str, told: str) -> None:
    cluster.wait_until(lambda: _told(cluster, name) == told, f"{name} is {told}")


def test_a_killed_salloc_loses_its_allocation_after_the_limit(cluster: LocalCluster) -> None:
    with _client(cluster, "salloc", "-J", "killed", "sleep", "300") as salloc:
        _wait_for(cluster, "killed", "RUNNING/None")
        salloc.kill()

        _wait_for(cluster, "killed", "TIMEOUT/InactiveLimit")
    told = cluster.run("sluice", "explain", _told(cluster, "killed", "%i")).stdout
    assert "is gone, and InactiveLimit=8 s is over" in told


def test_a_salloc_keeps_its_allocation_over_a_restart_of_the_controller(cluster: LocalCluster, tmp_path: Path) -> None:
    """Both lose their connection; the one that lives comes back."""
    done = tmp_path / "done"
    command = f"until [ -e {done} ]; do sleep 0.1; done; exit 7"
    with (
        _client(cluster, "salloc", "-J", "kept", "sh", "-c", command) as kept,
        _client(cluster, "salloc", "-J", "lost", "sleep", "300") as lost,
    ):
        _wait_for(cluster, "kept", "RUNNING/None")
        _wait_for(cluster, "lost", "RUNNING/None")
        lost.kill()
        cluster.kill_controller()
        cluster.start_controller()

        _wait_for(cluster, "lost", "TIMEOUT/InactiveLimit")
        assert _told(cluster, "kept") == "RUNNING/None"
        done.touch()
        assert kept.wait(60) == 7
    _wait_for(cluster, "kept", "FAILED/NonZeroExitCode")


@pytest.mark.slow
def test_a_killed_srun_takes_tasks_and_allocation_with_it(cluster: LocalCluster, tmp_path: Path) -> None:
    """Whatever InactiveLimit says: the allocation was for this one step."""
    pid_file = tmp_path / "pid"
    with _client(cluster, "srun", "-J", "step", "sh", "-c", f"echo $$ > {pid_file}; exec sleep 300") as srun:
        cluster.wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), "the task runs")
        srun.kill()

        cluster.wait_until(lambda: not _is_alive(int(pid_file.read_text())), "the task has ended")
        _wait_for(cluster, "step", "CANCELLED/None")
    assert "and no step runs" in cluster.run("sluice", "explain", _told(cluster, "step", "%i")).stdout


@contextmanager
def _full(cluster: LocalCluster) -> Iterator[str]:
    """Give the id of a job that has the whole cluster."""
    blocker = str(cluster.submit("--exclusive", "--wrap", "sleep 300"))
    is_running = ("squeue", "-h", "-j", blocker, "-o", "%T")
    cluster.wait_until(lambda: cluster.run(*is_running).stdout.strip() == "RUNNING", "the blocker runs")
    try:
        yield blocker
    finally:
        cluster.run("scancel", blocker)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_a_killed_command_does_not_leave_its_request_in_the_queue(cluster: LocalCluster, command: str) -> None:
    """The controller's restart takes the connection of both; the one that lives keeps its place."""
    gone, stays = f"gone-{command}", f"stays-{command}"
    with (
        _full(cluster) as blocker,
        _client(cluster, command, "-J", gone, "true") as killed,
        _client(cluster, command, "-J", stays, "true") as kept,
    ):
        for name in (gone, stays):
            cluster.wait_until(lambda name=name: _told(cluster, name, "%T") == "PENDING", f"{name} waits")
        killed.kill()
        cluster.kill_controller()
        cluster.start_controller()

        _wait_for(cluster, gone, "CANCELLED/None")
        assert _told(cluster, stays, "%T") == "PENDING"
        cluster.run("scancel", blocker)
        assert kept.wait(60) == 0
    told = cluster.run("sluice", "explain", _told(cluster, gone, "%i")).stdout
    assert f"its {command} on" in told
    assert "is gone, and it has not come back since the controller started" in told


@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_a_stopped_command_keeps_its_place_over_a_restart_of_the_controller(
    cluster: LocalCluster, command: str
) -> None:
    """Nothing starts while it cannot take it; it starts when the command goes on."""
    name = f"stopped-{command}"
    with _full(cluster) as blocker, _client(cluster, command, "-J", name, "true") as stopped:
        cluster.wait_until(lambda: _told(cluster, name, "%T") == "PENDING", f"{name} waits")
        stopped.send_signal(signal.SIGSTOP)
        cluster.kill_controller()
        cluster.start_controller()
        cluster.run("scancel", blocker)

        _wait_for(cluster, name, "PENDING/JobHeldUser")
        told = cluster.run("sluice", "explain", _told(cluster, name, "%i")).stdout
        assert f"its {command} on" in told
        assert "has not come back since the controller started; if it is stopped, let it go on" in told
        # Another job passes it by: the nodes are free and do not wait for it.
        assert cluster.run("srun", "true").returncode == 0
        assert _told(cluster, name, "%T") == "PENDING"
        stopped.send_signal(signal.SIGCONT)
        assert stopped.wait(60) == 0
    _wait_for(cluster, name, "COMPLETED/None")


@pytest.mark.slow
def test_a_grant_to_a_killed_srun_is_soon_given_back(cluster: LocalCluster) -> None:
    with _full(cluster) as blocker, _client(cluster, "srun", "-J", "untaken", "true") as srun:
        cluster.wait_until(lambda: _told(cluster, "untaken", "%T") == "PENDING", "it waits")
        srun.kill()
        srun.wait()
        cluster.run("scancel", blocker)

        _wait_for(cluster, "untaken", "CANCELLED/None")
    assert "nobody has taken" in cluster.run("sluice", "explain", _told(cluster, "untaken", "%i")).stdout


def _is_alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
