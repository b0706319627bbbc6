"""The extern step on a real agent: what it holds, who may be brought in, and how it ends.  Needs root and cgroups."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sluice.errors import RequestError
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.model.states import Ending
from sluice.wire.light import connect_unix
from sluice.wire.messages import EndStep, PrepareJob, SignalJob
from sluiced.adoption import why_not
from sluiced.cgroup import detect
from tests.nodeagent.conftest import CONFIG, NODE, Cluster
from tests.nodeagent.fake_srun import Srun
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root moves other users' processes into control groups"),
    pytest.mark.skipif(
        os.geteuid() == 0 and "freezing" in detect.find_tree(CONFIG.cgroup).gaps(),
        reason="no control groups can be made here",
    ),
]

MakeCluster = Callable[..., Cluster]
USER = 65534


@pytest.fixture
def contained(make_cluster: MakeCluster) -> Cluster:
    cluster = make_cluster(msgspec.structs.replace(CONFIG, prolog_flags=("Alloc", "Contain"), kill_wait_s=1.0))
    cluster.start_agent()
    return cluster


@pytest.fixture
def login() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Give a function that starts a shell command as the user, as a login from elsewhere would."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            user=USER,
            group=USER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        # What the shell has started does not end with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()


def test_it_leaves_an_idle_step_daemon_to_the_steps(contained: Cluster) -> None:
    """Those are short, and it lasts as long as its job."""
    first = _parent(contained, 0)

    prepare(contained, contained.new_job())

    assert _parent(contained, 1) == first


def _parent(cluster: Cluster, step_id: int) -> str:
    """Return the pid of the step daemon of a short step."""
    srun = Srun(cluster, ["sh", "-c", "echo $PPID"], step_id=step_id).wait_done()
    cluster.result(1, step_id)
    return srun.output()


def prepare(cluster: Cluster, job: Job) -> None:
    """Have the job's extern step started, and wait until the agent says that the node is ready."""
    order = PrepareJob(node=NODE, epoch=1, job_id=job.id, attempt=0, variables={"SLURM_JOB_ID": str(job.id)}, job=job)
    cluster.controller.order(prepares=(order,))
    wait_until(lambda: any(each.job_id == job.id for each in cluster.controller.prepared), 20)


def user_job(cluster: Cluster) -> Job:
    cluster.work.chmod(0o777)
    job = cluster.new_job(uid=USER, gid=USER, user="nobody")
    prepare(cluster, job)
    return job


def adopt(cluster: Cluster, pid: int, uid: int = USER, job_id: int | None = None) -> int:
    """Return the job that has adopted the process.  Raises RequestError."""
    with connect_unix(cluster.agent_socket) as agent:
        body = {"pid": pid, "uid": uid, "job_id": job_id}
        adopted: int = agent.call("AdoptProcess", body)["job_id"]
        return adopted


def groups_of(pid: int | str) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()


def keepers(job_id: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if f"job_{job_id}.0/step_extern" in groups_of(name) and b"sleep" in _command(name):
                    found.append(int(name))
            except OSError:
                continue
    return found


def _is_gone(pid: int) -> bool:
    """Has it ended, whether or not somebody waits for it?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _command(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_job_has_a_process_of_its_own_on_the_node_until_it_ends(contained: Cluster) -> None:
    job = contained.new_job()
    prepare(contained, job)
    wait_until(lambda: len(keepers(job.id)) == 1, 20)

    contained.end(job.id)

    result = contained.result(job.id, EXTERN_STEP)
    assert (result.exit_code, result.exit_signal) == (0, 0)
    wait_until(lambda: contained.controller.is_clean(job.id), 20)
    assert keepers(job.id) == []


def test_who_ends_that_process_ends_the_step_and_not_the_job(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    job = user_job(contained)
    shell = login("sleep 1000")
    adopt(contained, shell.pid)
    wait_until(lambda: len(keepers(job.id)) == 2, 20)

    os.kill(next(pid for pid in keepers(job.id) if pid != shell.pid and os.stat(f"/proc/{pid}").st_uid == 0), 15)

    assert shell.wait(20) == -signal.SIGTERM
    assert contained.result(job.id, EXTERN_STEP).exit_code == 0
    assert not contained.controller.is_clean(job.id)


def test_a_script_that_ends_takes_the_extern_step_along(contained: Cluster) -> None:
    job = contained.new_job()
    prepare(contained, job)

    contained.launch(job, "#!/bin/sh\nexit 3\n")

    assert contained.result(job.id).exit_code == 3
    assert contained.result(job.id, EXTERN_STEP).exit_code == 0


def test_an_adopted_login_is_in_the_jobs_group_accounted_and_ended_with_it(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """What it starts after that, even in a session of its own, is in it as well."""
    job = user_job(contained)
    spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    shell = login(f"read go; {spin}; setsid sleep 1000 & echo $!; wait; sleep 1000")

    assert adopt(contained, shell.pid) == job.id
    assert f"job_{job.id}.0/step_extern" in groups_of(shell.pid)
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(b"go\n")
    shell.stdin.flush()
    child = int(shell.stdout.readline())
    contained.end(job.id)

    usage = contained.result(job.id, EXTERN_STEP).usage
    assert shell.wait(20) != 0
    wait_until(lambda: _is_gone(child), 20)
    assert usage.user_s + usage.system_s > 0.01
    assert usage.max_rss_kib > 0


def test_one_that_ignores_term_is_killed_after_the_wait(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    job = user_job(contained)
    shell = login("trap '' TERM HUP; while :; do sleep 1; done")
    wait_until(lambda: int(_signals(shell.pid, "SigIgn"), 16) & (1 << (signal.SIGTERM - 1)), 20)
    adopt(contained, shell.pid)

    contained.end(job.id, kill_wait_s=0.5)

    assert shell.wait(20) == -signal.SIGKILL
    wait_until(lambda: contained.controller.is_clean(job.id), 20)


def _signals(pid: int, row: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(row))


def test_users_without_a_job_here_are_refused(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    user_job(contained)
    shell = login("sleep 1000")

    with pytest.raises(RequestError, match="user 65533 has no job") as refusal:
        adopt(contained, shell.pid, uid=65533)

    assert refusal.value.code == "no_job"
    assert "step_extern" not in groups_of(shell.pid)


def test_only_root_has_processes_adopted(contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]) -> None:
    user_job(contained)
    shell = login("sleep 1000")
    asked = os.fork()
    if asked == 0:
        os.setresuid(USER, USER, USER)
        try:
            adopt(contained, shell.pid)
        except RequestError as error:
            os._exit(7 if error.code == "not_permitted" else 8)
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]) == 7


def test_the_agents_own_processes_are_not_adopted(contained: Cluster) -> None:
    user_job(contained)
    assert contained.agent is not None
    agent = contained.agent.pid
    fork_server = int(Path(f"/proc/{agent}/task/{agent}/children").read_text().split()[0])
    before = groups_of(fork_server)

    with pytest.raises(RequestError, match=f"process {fork_server} cannot be adopted: it is the node agent's own"):
        adopt(contained, fork_server)
    assert groups_of(fork_server) == before


def test_what_the_agent_hangs_on_is_not_adopted() -> None:
    """What an adopted process has started ends with the job.  Asked of the rule alone, for the machine's own sake."""
    for pid in (1, os.getpid(), os.getppid()):
        assert why_not(pid, os.getpid()) == "the node's agent runs below it"
    kernels_own = 2  # kthreadd
    assert why_not(kernels_own, os.getpid()) == "it is the kernel's"


@pytest.mark.parametrize("words", ["-m sluicectld", "/opt/bin/sluiced -D", "-m sluiced.steps.forkserver"])
def test_no_daemon_of_another_cluster_is_adopted(words: str, login: Callable[[str], subprocess.Popen[bytes]]) -> None:
    agent = login("exec sleep 600")
    with subprocess.Popen([sys.executable, "-c", "input()", *words.split()], stdin=subprocess.PIPE) as other:
        try:
            assert why_not(other.pid, agent.pid) == "it is a daemon of Sluice"
        finally:
            other.kill()


def test_of_several_jobs_the_latest_adopts_unless_one_is_named(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    first, second = user_job(contained), user_job(contained)
    shell, other = login("sleep 1000"), login("sleep 1000")

    assert adopt(contained, shell.pid) == second.id
    assert adopt(contained, other.pid, job_id=first.id) == first.id
    with pytest.raises(RequestError, match="no job 99"):
        adopt(contained, other.pid, job_id=99)


def test_an_ended_job_adopts_nothing(contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]) -> None:
    job = user_job(contained)
    shell = login("sleep 1000")
    contained.end(job.id)
    wait_until(lambda: contained.controller.is_clean(job.id), 20)

    with pytest.raises(RequestError, match="no job"):
        adopt(contained, shell.pid)
    with pytest.raises(RequestError, match="no process"):
        adopt(contained, 4_000_000)


def test_an_agent_that_was_killed_finds_the_step_and_its_guests_again(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    job = user_job(contained)
    first, second = login("sleep 1000"), login("sleep 1000")
    adopt(contained, first.pid)

    contained.kill_agent()
    contained.start_agent()

    assert adopt(contained, second.pid) == job.id
    contained.end(job.id)
    assert (first.wait(20), second.wait(20)) == (-signal.SIGTERM, -signal.SIGTERM)


def test_guests_of_a_dead_step_daemon_are_killed(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    job = user_job(contained)
    shell = login("sleep 1000")
    adopt(contained, shell.pid)
    claim = contained.spool / "jobs" / f"{job.id}.0" / "extern.claim"

    os.kill(int(os.readlink(claim).partition(".")[0]), signal.SIGKILL)

    assert shell.wait(20) == -signal.SIGKILL
    assert contained.result(job.id, EXTERN_STEP).exit_code == 1


def test_guests_stand_still_with_a_suspended_job_and_hear_no_other_signal(
    contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    job = user_job(contained)
    shell = login("while :; do :; done")
    adopt(contained, shell.pid)

    def order(number: int, is_suspension: bool) -> None:
        fields = {"node": NODE, "epoch": 1, "job_id": job.id, "attempt": 0, "full": True}
        contained.controller.order(
            signals=(SignalJob(signal=number, is_suspension=is_suspension, **fields),)  # type: ignore[arg-type]
        )

    order(signal.SIGUSR1, False)
    order(signal.SIGSTOP, True)
    wait_until(lambda: _is_still(shell.pid), 20)
    order(signal.SIGCONT, True)
    wait_until(lambda: not _is_still(shell.pid), 20)

    assert shell.poll() is None


def _is_still(pid: int) -> bool:
    def ticks() -> str:
        return " ".join(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])

    before = ticks()
    # No wait for a condition: that nothing happens can only be watched for a while.
    time.sleep(0.2)
    return ticks() == before


def test_the_step_can_be_ended_by_itself(contained: Cluster, login: Callable[[str], subprocess.Popen[bytes]]) -> None:
    job = user_job(contained)
    shell = login("sleep 1000")
    adopt(contained, shell.pid)

    end = EndStep(
        node=NODE, epoch=1, job_id=job.id, attempt=0, step_id=EXTERN_STEP, kill_wait_s=5.0, ending=Ending.CANCEL
    )
    contained.controller.order(step_ends=(end,))

    assert shell.wait(20) == -signal.SIGTERM
    assert contained.result(job.id, EXTERN_STEP).exit_code == 0
    assert not contained.controller.is_clean(job.id)


def test_where_there_are_no_groups_nothing_is_adopted(
    make_cluster: MakeCluster, login: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """The step is there all the same, and ends with its job."""
    disabled = msgspec.structs.replace(CONFIG.cgroup, plugin="disabled")
    cluster = make_cluster(msgspec.structs.replace(CONFIG, prolog_flags=("Alloc", "Contain"), cgroup=disabled))
    cluster.start_agent()
    job = user_job(cluster)
    shell = login("sleep 1000")

    with pytest.raises(RequestError, match="there are no control groups here") as refusal:
        adopt(cluster, shell.pid)
    cluster.end(job.id)

    assert refusal.value.code == "not_adopted"
    assert cluster.result(job.id, EXTERN_STEP).exit_code == 0
    assert shell.poll() is None


@pytest.mark.parametrize(
    ("flags", "is_inside"),
    [pytest.param((), False, id="outside"), pytest.param(("RunInJob",), True, id="inside with RunInJob")],
)
def test_prolog_and_epilog_run_in_the_jobs_group_if_asked(
    make_cluster: MakeCluster, flags: tuple[str, ...], is_inside: bool
) -> None:
    """What a prolog leaves running in a session of its own is then ended with the job."""
    cluster = make_cluster()
    program = cluster.folder / "program"
    program.write_text(
        f"#!/bin/sh\ncat /proc/self/cgroup > {cluster.folder}/$SLURM_SCRIPT_CONTEXT\n"
        f"setsid sleep 1000 > /dev/null 2>&1 & echo $! > {cluster.folder}/left.$SLURM_SCRIPT_CONTEXT\n"
    )
    program.chmod(0o755)
    cluster.controller.config = msgspec.structs.replace(
        CONFIG, prolog_flags=("Alloc", "Contain", *flags), prolog=(str(program),), epilog=(str(program),)
    )
    cluster.start_agent()
    job = cluster.new_job()
    prepare(cluster, job)

    cluster.end(job.id)
    wait_until(lambda: cluster.controller.is_clean(job.id), 20)

    for context in ("prolog_slurmd", "epilog_slurmd"):
        where = (cluster.folder / context).read_text()
        assert (f"job_{job.id}.0/step_extern" in where) is is_inside
        left = int((cluster.folder / f"left.{context}").read_text())
        if is_inside:
            wait_until(lambda pid=left: _is_gone(pid), 20)  # type: ignore[misc]
        else:
            os.kill(left, signal.SIGKILL)


def test_a_group_that_a_failed_prolog_ran_in_is_taken_away(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    program = cluster.folder / "program"
    program.write_text(f"#!/bin/sh\ncat /proc/self/cgroup > {cluster.folder}/seen\necho no disk >&2\nexit 3\n")
    program.chmod(0o755)
    cluster.controller.config = msgspec.structs.replace(
        CONFIG, prolog_flags=("Alloc", "Contain", "RunInJob"), prolog=(str(program),)
    )
    cluster.start_agent()
    job = cluster.new_job()

    prepare(cluster, job)

    assert "no disk" in cluster.controller.prepared[0].problem
    path = (cluster.folder / "seen").read_text().splitlines()[0].split(":", 2)[2]
    assert "step_extern" in path or "step_extern" in (cluster.folder / "seen").read_text()
    name = detect.node_name("test", NODE, str(cluster.spool))
    assert detect.find_tree(CONFIG.cgroup).jobs(name) == []
