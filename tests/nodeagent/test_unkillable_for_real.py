"""A process that KILL does not end, for real: the first of a pid namespace, whose child a debugger holds as a zombie.

The kernel lets it go when the debugger does.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sluice.model.confinement import CgroupSettings
from sluiced import process_id
from sluiced.spool import read_claim
from tests.nodeagent.conftest import CONFIG, Cluster
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        os.getuid() != 0 or shutil.which("unshare") is None,
        reason="makes a pid namespace, which takes root and unshare",
    ),
]

#: Attaches to the pid that it is told and holds it; says when it has.
_DEBUGGER = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(0x4206, int(sys.argv[1]), None, None):  # PTRACE_SEIZE
    sys.exit(f"ptrace: {ctypes.get_errno()}")
print("held", flush=True)
sys.stdin.read()
"""
_SCRIPT = """
unshare --fork --pid sh -c 'sleep 301 & wait' &
touch up
wait
"""


class Trap:
    """A job whose processes cannot all be killed, until let_go()."""

    def __init__(self, cluster: Cluster) -> None:
        self.job_id = cluster.submit(_SCRIPT)
        wait_until(lambda: (cluster.work / "up").exists() and _sleeper() is not None, 20)
        pid = _sleeper()
        assert pid is not None
        self.debugger = subprocess.Popen(
            [sys.executable, "-c", _DEBUGGER, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.debugger.stdout is not None
        assert self.debugger.stdout.readline() == "held\n"

    def let_go(self) -> None:
        self.debugger.kill()
        self.debugger.communicate()


def _sleeper() -> int | None:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", b"301"]:
                return int(path.name)
        except OSError:
            continue
    return None


@pytest.fixture
def trap(make_cluster: Callable[..., Cluster]) -> tuple[Cluster, Trap]:
    cluster = make_cluster()
    program = cluster.folder / "program"
    program.write_text(
        f"#!/bin/sh\necho $SLURM_JOB_ID $SLURM_STEP_ID $SLUICE_UNKILLABLE_PIDS > {cluster.folder}/told\n"
    )
    program.chmod(0o755)
    cluster.controller.config = msgspec.structs.replace(
        cluster.controller.config, unkillable_timeout_s=0.3, unkillable_program=str(program)
    )
    cluster.start_agent()
    trap = Trap(cluster)
    cluster.closers.append(trap.let_go)
    cluster.end(trap.job_id, kill_wait_s=0.1)
    return cluster, trap


def _reasons(cluster: Cluster) -> list[str]:
    return [trouble.reason for trouble in cluster.controller.troubles if trouble.cause.startswith("unkillable")]


def test_the_node_is_held_with_the_evidence_and_given_back(trap: tuple[Cluster, Trap]) -> None:
    """The job ends and is clean; the evidence names the process; when it is gone the node is told to be well."""
    cluster, held = trap

    wait_until(lambda: cluster.controller.is_clean(held.job_id), 30)
    [reason] = _reasons(cluster)
    assert reason.startswith("Kill task failed: pid ")
    # It is on its way out of the kernel, and has its name alone.
    assert " command 'sh' waits in " in reason

    held.let_go()

    wait_until(lambda: _reasons(cluster) == [reason, ""], 20)
    assert cluster.controller.troubles[-1].cause == f"unkillable {held.job_id}.0.batch"


def test_the_sites_program_is_told_which_processes(trap: tuple[Cluster, Trap]) -> None:
    cluster, held = trap
    told = cluster.folder / "told"

    wait_until(lambda: told.exists() and told.read_text(), 30)

    job_id, step, *pids = told.read_text().split()
    assert (job_id, step) == (str(held.job_id), "batch")
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert pids


def test_another_agent_sees_them_go(trap: tuple[Cluster, Trap]) -> None:
    cluster, held = trap
    wait_until(lambda: len(_reasons(cluster)) == 1, 30)
    cluster.kill_agent()
    held.let_go()

    cluster.start_agent()

    wait_until(lambda: _reasons(cluster)[-1] == "", 20)
    wait_until(lambda: not list((cluster.spool / "unkillable").iterdir()))


#: Makes a file, and says so before it waits for ever, with the lock of the folder that everybody else waits for.
_HOLDER = "import os, sys; print(flush=True); os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)"


def test_its_control_group_goes_when_the_process_has_gone(
    make_cluster: Callable[..., Cluster], dead_folder: Path
) -> None:
    """The task waits for a lock in a folder of a server that is gone, which no signal interrupts."""
    command = [sys.executable, "-c", _HOLDER, str(dead_folder / "a")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert holder.stdout is not None
    holder.stdout.readline()
    wait_until(lambda: process_id.stat_fields(holder.pid)[:1] == [b"D"])
    settings = CgroupSettings(constrain_ram_space=True)
    cluster = make_cluster(msgspec.structs.replace(CONFIG, unkillable_timeout_s=0.3, cgroup=settings))
    cluster.closers += [holder.kill, holder.wait, holder.stdout.close]
    cluster.start_agent()
    job_id = cluster.submit(f"exec sh -c ': > {dead_folder}/b'")
    groups = f"/sys/fs/cgroup/**/job_{job_id}.0/step_batch"
    wait_until(lambda: b"D" in _states_in(groups), 20)
    cluster.end(job_id, kill_wait_s=0.1)
    wait_until(lambda: len(_reasons(cluster)) == 1 and cluster.controller.is_clean(job_id), 20)
    assert glob.glob(groups, recursive=True)

    holder.kill()

    wait_until(lambda: _reasons(cluster)[-1] == "", 20)
    assert not glob.glob(groups, recursive=True)


def _states_in(groups: str) -> list[bytes]:
    paths = glob.glob(f"{groups}/**/cgroup.procs", recursive=True)
    pids = {int(pid) for path in paths for pid in Path(path).read_text().split()}
    return [state for pid in pids for state in process_id.stat_fields(pid)[:1]]


def test_what_a_lost_step_daemon_leaves_holds_the_node_as_well(make_cluster: Callable[..., Cluster]) -> None:
    """Somebody has killed the step daemon, and one of its tasks cannot be."""
    cluster = make_cluster(msgspec.structs.replace(CONFIG, unkillable_timeout_s=0.3))
    cluster.start_agent()
    held = Trap(cluster)
    cluster.closers.append(held.let_go)
    claim = read_claim(str(cluster.spool / "jobs" / f"{held.job_id}.0" / "batch"))
    assert claim is not None

    os.kill(claim.pid, signal.SIGKILL)

    wait_until(lambda: len(_reasons(cluster)) == 1, 20)
    assert " command 'sh' waits in " in _reasons(cluster)[0]
    held.let_go()
    wait_until(lambda: _reasons(cluster)[-1] == "", 20)
