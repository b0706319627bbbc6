"""What control groups enforce, on the machine's own cgroups: v1 here, v2 in the virtual machine of tests/vm."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.model.confinement import CgroupSettings
from sluice.wire.messages import SignalJob
from sluiced.cgroup import detect
from tests.nodeagent.conftest import CONFIG, NODE, Cluster
from tests.nodeagent.fake_srun import Srun
from tests.waiting import wait_until

_MISSING = detect.unenforced(CgroupSettings())

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(_MISSING), reason=f"needs root and cgroups: {_MISSING}")]

MOUNT = Path("/sys/fs/cgroup")
#: As make_job() grants it, in MiB.
GRANTED_MIB = 100


def _name() -> str:
    return f"test{os.getpid()}"


def _constrained(make_cluster: Callable[..., Cluster], is_accounted: bool = False, **settings: Any) -> Cluster:
    config = replace(CONFIG, cluster=_name(), cgroup=CgroupSettings(**settings), is_usage_of_cgroup=is_accounted)
    cluster = make_cluster(config)
    cluster.start_agent()
    return cluster


def _groups(below: str = "") -> list[Path]:
    """Return the node's groups in all hierarchies, or what is *below* them."""
    return [path for top in ("", "*/") for path in MOUNT.glob(f"{top}sluice_{_name()}_{NODE}_*{below}")]


def _python(text: str) -> str:
    """Return the line of a script that becomes Python running *text*."""
    return f"exec {sys.executable} - <<'END'\n{text}\nEND\n"


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), 20)
    return int(path.read_text())


def test_nothing_is_told_to_be_unenforced(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster)

    assert cluster.controller.registrations[-1].inventory.unenforced == ""


def test_a_job_that_takes_too_much_memory_is_killed_and_its_neighbour_lives(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = _constrained(make_cluster, constrain_ram_space=True, constrain_swap_space=True)
    neighbour = cluster.submit(
        _python(
            "import time\nx = bytearray(60_000_000)\nopen('ready', 'w')\n"
            "while not open('stop').read(): time.sleep(0.05)"
        ),
        std_out="neighbour.txt",
    )
    (cluster.work / "stop").touch()
    wait_until((cluster.work / "ready").exists, 20)

    job_id = cluster.submit(_python("x = bytearray(300_000_000)"))

    result = cluster.result(job_id)
    assert (result.reason, result.exit_code, result.exit_signal) == ("OutOfMemory", 0, 125)
    story = re.fullmatch(
        rf"out of memory on n1: limit {GRANTED_MIB} MiB, peak (\d+) MiB; "
        r"killed python\S* \(pid \d+, (\d+) MiB\); try --mem=150M or more",
        result.reason_text,
    )
    assert story is not None, result.reason_text
    assert all(0.8 * GRANTED_MIB <= int(number) <= GRANTED_MIB for number in story.groups())
    assert cluster.read() == (
        f"slurmstepd-n1: error: Detected 1 oom_kill event in StepId={job_id}.batch. "
        "Some of the step tasks have been OOM Killed.\n"
        f"slurmstepd-n1: error: {result.reason_text}\n"
    )
    (cluster.work / "stop").write_text("now")
    assert cluster.result(neighbour).exit_code == 0
    assert _groups() == []


def test_an_srun_is_told_that_its_step_was_out_of_memory_and_what_would_do(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = _constrained(make_cluster, constrain_ram_space=True, constrain_swap_space=True)

    job = cluster.new_job(is_batch=False)

    srun = Srun(cluster, [sys.executable, "-c", "x = bytearray(300_000_000)"], job=job).wait_done()

    assert srun.exits[0].is_out_of_memory
    assert srun.talk[0].startswith(f"slurmstepd-n1: error: Detected 1 oom_kill event in StepId={job.id}.0.")
    assert f"limit {GRANTED_MIB} MiB" in srun.talk[1]
    assert cluster.result(job.id, 0).reason == "OutOfMemory"


def test_tasks_that_are_ended_for_the_memory_of_another_are_terminated(
    make_cluster: Callable[..., Cluster],
) -> None:
    """As srun -K does it, once a task of three has had more than there is."""
    cluster = _constrained(make_cluster, constrain_ram_space=True, constrain_swap_space=True)
    program = f'[ "$SLURM_PROCID" = 1 ] || exec sleep 60; exec {sys.executable} -c "x = bytearray(300_000_000)"'

    srun = Srun(cluster, ["sh", "-c", program], ntasks=3, job=cluster.new_job(is_batch=False))
    srun.wait(lambda: 1 in srun.exits)
    srun.signal(signal.SIGTERM)
    srun.wait_done()

    ends = {task: (end.exit_signal, end.is_out_of_memory) for task, end in srun.exits.items()}
    assert ends == {0: (signal.SIGTERM, False), 1: (signal.SIGKILL, True), 2: (signal.SIGTERM, False)}


def test_a_job_runs_on_its_own_cpus(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, constrain_cores=True)

    cluster.run("grep Cpus_allowed_list /proc/self/status")

    assert cluster.read().split() == ["Cpus_allowed_list:", "0"]
    assert _groups() == []


FORK_BOMB = """
import os
count = 0
while True:
    try:
        pid = os.fork()
    except OSError as error:
        print(count, error.strerror)
        break
    if not pid:
        os.execvp("sleep", ["sleep", "300"])
    count += 1
"""


def test_a_fork_bomb_meets_the_limit_of_processes(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, processes_max=10)

    result = cluster.run(_python(FORK_BOMB))

    assert result.exit_code == 0
    assert cluster.read() == "9 Resource temporarily unavailable\n"
    assert _groups() == []


ENDLESS_BOMB = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    try:
        os.fork()
    except OSError:
        open("ready", "w").close()
"""


def test_a_bomb_that_never_ends_can_be_cancelled(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, processes_max=10)
    job_id = cluster.submit(_python(ENDLESS_BOMB))
    wait_until((cluster.work / "ready").exists, 20)

    cluster.end(job_id, kill_wait_s=0.2)

    assert cluster.result(job_id).exit_signal == signal.SIGKILL
    assert _groups() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the devices tried are root's")
def test_a_device_outside_the_grant_cannot_be_opened(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, constrain_devices=True, allowed_devices=("/dev/null",))

    cluster.run(
        "mknod renamed c 1 11\n"
        "for path in /dev/null /dev/zero /dev/urandom /dev/kmsg ./renamed; do\n"
        "head -c 0 $path && basename $path; done\n"
        f"{sys.executable} -c 'import os; print(os.openpty()[1] > 0)'"
    )

    said = cluster.read()
    assert re.findall(r"^\w+$", said, re.MULTILINE) == ["null", "zero", "urandom", "True"]
    assert said.count("Operation not permitted") == 2
    assert _groups() == []


def test_what_forks_faster_than_it_is_killed_ends_all_the_same(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster)
    # Each process replaces itself by a child with another pid, for ever, deaf to TERM.
    script = (
        "trap '' TERM\nhop() { if test -e stop; then exit; fi; hop & }\nhop\nhop\ntouch ready\n"
        "while ! test -e stop; do :; done"
    )
    job_id = cluster.submit(script)
    wait_until((cluster.work / "ready").exists, 20)

    cluster.end(job_id, kill_wait_s=0.2)

    try:
        assert cluster.result(job_id).exit_signal == signal.SIGKILL
    finally:
        (cluster.work / "stop").touch()
    assert _groups() == []


def _suspend(cluster: Cluster, job_id: int, number: int) -> None:
    order = SignalJob(
        node=NODE, epoch=1, job_id=job_id, attempt=0, signal=number, to_batch=True, full=True, is_suspension=True
    )
    cluster.controller.order(signals=(order,))


def _is_frozen(job_id: int) -> bool:
    """Both processes of COUNTING stand still, whatever version says so."""
    for step in _groups(f"/job_{job_id}.0/step_batch"):
        if (step / "freezer.state").exists():
            count = len((step / "cgroup.procs").read_text().split())
            return count == 2 and (step / "freezer.state").read_text() == "FROZEN\n"
        if (step / "cgroup.events").exists():
            return "frozen 1" in (step / "cgroup.events").read_text()
    return False


#: Two processes that write into a file for ever; the parent would see the other one being stopped.
COUNTING = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
signal.signal(signal.SIGCHLD, lambda *_: open("stopped", "w"))
name = "child" if os.fork() == 0 else "parent"
while True:
    open(name, "a").write("x")
"""


@pytest.mark.parametrize("is_accounted", [pytest.param(False, id="in no group yet"), pytest.param(True, id="in one")])
def test_a_suspended_job_stands_still_unseen_by_itself(
    make_cluster: Callable[..., Cluster], is_accounted: bool
) -> None:
    cluster = _constrained(make_cluster, is_accounted)
    job_id = cluster.submit(_python(COUNTING))
    files = [cluster.work / name for name in ("child", "parent")]
    wait_until(lambda: all(path.exists() for path in files), 20)

    _suspend(cluster, job_id, signal.SIGSTOP)
    wait_until(lambda: _is_frozen(job_id), 20)
    sizes = [path.stat().st_size for path in files]
    _suspend(cluster, job_id, signal.SIGSTOP)

    assert [path.stat().st_size for path in files] == sizes
    _suspend(cluster, job_id, signal.SIGCONT)
    wait_until(lambda: all(path.stat().st_size > size for path, size in zip(files, sizes, strict=True)), 20)
    assert not (cluster.work / "stopped").exists()
    cluster.end(job_id)
    assert cluster.result(job_id).exit_code == 9
    assert _groups() == []


def test_a_suspended_job_can_still_end(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster)
    job_id = cluster.submit(_python(COUNTING))
    wait_until((cluster.work / "child").exists, 20)
    _suspend(cluster, job_id, signal.SIGSTOP)
    wait_until(lambda: _is_frozen(job_id), 20)

    cluster.end(job_id, kill_wait_s=60)

    assert cluster.result(job_id).exit_code == 9
    assert _groups() == []


#: A child that nobody waits for burns CPU time, and two processes hold memory at the same time.
USING = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
reader, writer = os.pipe()
if os.fork() == 0:
    kept = bytearray(os.urandom(1024) * 40_000)
    while time.process_time() < 0.5:
        pass
    os.write(writer, b"x")
    os._exit(0)
kept = bytearray(os.urandom(1024) * 40_000)
os.read(reader, 1)
"""


def test_usage_is_the_kernels_account_of_all_processes(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, is_accounted=True)

    usage = cluster.run(_python(USING)).usage

    assert usage.user_s + usage.system_s >= 0.5
    assert usage.max_rss_kib >= 80_000
    assert _groups() == []


def test_what_a_dead_step_daemon_leaves_behind_is_killed_whatever_it_has_forgotten(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = _constrained(make_cluster, is_accounted=True)
    job_id = cluster.submit("env -i setsid sh -c 'echo $$ > pid; exec sleep 300' &\necho $PPID > daemon; wait")
    pid, daemon = _pid(cluster.work / "pid"), _pid(cluster.work / "daemon")

    os.kill(daemon, signal.SIGKILL)

    assert cluster.result(job_id).reason == "JobLaunchFailure"
    wait_until(lambda: not _is_alive(pid))
    assert _groups() == []


def test_an_agent_that_starts_ends_what_nobody_knows_any_more(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, is_accounted=True)
    stray = subprocess.Popen(["sleep", "300"])
    job_id = cluster.submit("echo > started; while ! test -e stop; do sleep 0.1; done")
    wait_until((cluster.work / "started").exists, 20)
    for step in _groups(f"/job_{job_id}.0/step_batch"):
        unknown = step.parents[1] / "job_7777.0"
        unknown.mkdir()
        if step.match("*/cpuset/*"):
            continue
        (unknown / "cgroup.procs").write_text(str(stray.pid))
    cluster.kill_agent()

    cluster.start_agent()

    assert stray.wait(20) == -signal.SIGKILL
    assert _groups("/job_7777.0") == []
    (cluster.work / "stop").touch()
    assert cluster.result(job_id).exit_code == 0
    assert _groups() == []


def test_an_agent_takes_its_empty_groups_away_when_it_starts_and_when_it_ends(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = _constrained(make_cluster)
    name = detect.node_name(_name(), NODE, str(cluster.spool))
    folders = [Path(folder) for folder in detect.node_folders(CgroupSettings(), name)]
    wait_until(lambda: name in (cluster.spool / "groups").read_text(), 20)
    cluster.kill_agent()
    # The virtual machine's tests share a spool: what a test before this one has left is no job of the node any more.
    for left in (cluster.spool / "jobs").iterdir():
        shutil.rmtree(left)
    for folder in folders:
        (folder / "job_1.0" / "step_extern").mkdir(parents=True)

    cluster.start_agent()

    assert _groups() == []
    for folder in folders:
        folder.mkdir()
    assert cluster.agent is not None
    cluster.agent.terminate()
    assert cluster.agent.wait(20) == 0
    assert _groups() == []


def test_an_agent_that_ends_leaves_the_groups_of_running_jobs(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, is_accounted=True)
    cluster.submit("echo > started; exec sleep 300")
    wait_until((cluster.work / "started").exists, 20)
    assert cluster.agent is not None

    cluster.agent.terminate()
    cluster.agent.wait(20)

    assert _groups("/job_*/step_batch")
