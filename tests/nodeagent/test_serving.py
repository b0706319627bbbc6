"""A step daemon that serves one short step after the other: which do, and that nothing goes from one to the next."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sluiced.processes import DAEMON_DIED
from sluiced.spool import Spool, StepKey
from sluiced.steps.serving import STEPS_MAX
from tests.nodeagent.conftest import Cluster
from tests.nodeagent.fake_srun import Srun
from tests.nodeagent.test_users import NOBODY, as_root, open_work
from tests.waiting import wait_until

pytestmark = pytest.mark.system
_WHO = ["sh", "-c", "echo $PPID"]


def _run(cluster: Cluster, step_id: int, argv: list[str] | None = None) -> int:
    """Run a step until the controller knows its end; return what its first line says, the step daemon's pid."""
    srun = Srun(cluster, argv or _WHO, step_id=step_id).wait_done()
    cluster.result(1, step_id)
    return int(srun.output().split()[0])


def _open(pid: int) -> list[str]:
    return sorted(os.listdir(f"/proc/{pid}/fd"))


def test_short_steps_are_served_by_one_process(cluster: Cluster) -> None:
    first = _run(cluster, 0)

    assert [_run(cluster, step_id) for step_id in (1, 2, 3)] == [first] * 3


def test_it_holds_no_more_afterwards_than_before(cluster: Cluster) -> None:
    """Files, streams, sockets: with input that nobody reads, output files, and a step whose program is not there."""
    pid = _run(cluster, 0)
    before = _open(pid)

    _run(cluster, 1, [*_WHO[:2], "echo $PPID; echo $PPID >&2"])
    Srun(cluster, ["true"], step_id=2, std_out="o-%t", std_err="e-%t", ntasks=3).wait_done()
    cluster.result(1, 2)
    Srun(cluster, ["/nowhere"], step_id=3).wait_done()
    cluster.result(1, 3)

    assert _run(cluster, 4) == pid
    wait_until(lambda: _open(pid) == before)


def test_after_a_number_of_steps_another_one_takes_over(cluster: Cluster) -> None:
    """And no step is lost between them."""
    pids = [_run(cluster, step_id) for step_id in range(STEPS_MAX + 2)]

    assert pids == [pids[0]] * STEPS_MAX + [pids[-1]] * 2
    assert pids[0] != pids[-1]


def test_a_step_that_takes_its_time_has_its_process_to_itself(cluster: Cluster) -> None:
    first = _run(cluster, 0, ["sh", "-c", "echo $PPID; sleep 0.5"])

    assert _run(cluster, 1) != first
    wait_until(lambda: not Path(f"/proc/{first}").exists())


def test_steps_at_once_have_a_process_each(cluster: Cluster) -> None:
    waiting = Srun(cluster, ["sh", "-c", "echo $PPID; read x"], step_id=0).wait_started()
    other = _run(cluster, 1)

    waiting.give(is_end=True)

    assert int(waiting.wait_done().output()) != other


def test_an_idle_one_that_dies_is_replaced(cluster: Cluster) -> None:
    first = _run(cluster, 0)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{first}").exists())

    assert _run(cluster, 1) != first


def test_a_step_given_to_one_that_dies_before_it_begins_is_run_by_another_once(cluster: Cluster) -> None:
    """It stands still, so that it is caught with the step in its hands."""
    first = _run(cluster, 0)
    os.kill(first, signal.SIGSTOP)
    srun = Srun(cluster, ["sh", "-c", "echo $PPID; echo ran >> runs"], step_id=1)
    wait_until(lambda: list(cluster.spool.glob("jobs/*/1.launch")))

    os.kill(first, signal.SIGKILL)

    assert int(srun.wait_done().output()) != first
    assert cluster.result(1, 1).exit_code == 0
    assert cluster.read("runs") == "ran\n"


def test_an_order_waits_with_the_step_that_is_given_away_again(cluster: Cluster) -> None:
    first = _run(cluster, 0)
    os.kill(first, signal.SIGSTOP)
    job_id = cluster.submit("sleep 300")
    wait_until(lambda: list(cluster.spool.glob(f"jobs/{job_id}.0/*.launch")))
    cluster.end(job_id)

    os.kill(first, signal.SIGKILL)

    assert cluster.result(job_id).exit_signal == signal.SIGTERM


def test_one_that_dies_in_its_second_step_fails_that_step(cluster: Cluster) -> None:
    first = _run(cluster, 0)
    srun = Srun(cluster, ["sh", "-c", "echo $PPID; sleep 300"], step_id=1)
    srun.wait(srun.output)

    os.kill(first, signal.SIGKILL)

    result = cluster.result(1, 1)
    assert (int(srun.output()), result.reason_text) == (first, DAEMON_DIED)


def test_a_second_step_outlives_the_agent(cluster: Cluster) -> None:
    first = _run(cluster, 0)
    job_id = cluster.submit("echo $PPID; while [ ! -e go ]; do sleep 0.05; done; exit 7")
    wait_until(lambda: (cluster.work / "out.txt").exists() and cluster.read())
    assert int(cluster.read()) == first

    cluster.kill_agent()
    cluster.start_agent()
    (cluster.work / "go").touch()

    assert cluster.result(job_id).exit_code == 7
    wait_until(lambda: not Path(f"/proc/{first}").exists())


def test_a_short_step_of_an_agent_that_died_ends_its_process(cluster: Cluster) -> None:
    """The new agent waits for the process: one that waited for more would leave it waiting too."""
    pid = _run(cluster, 0)
    srun = Srun(cluster, ["sh", "-c", "read x"], step_id=1).wait_started()
    claim = Spool(str(cluster.spool)).read_claim(StepKey(1, 0, 1))
    assert claim is not None
    assert claim.pid == pid

    cluster.kill_agent()
    srun.give(is_end=True)
    srun.wait_done()
    cluster.start_agent()

    assert cluster.result(1, 1).exit_code == 1
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_idle_ones_go_with_the_agent(cluster: Cluster) -> None:
    pid = _run(cluster, 0)

    cluster.kill_agent()

    wait_until(lambda: not Path(f"/proc/{pid}").exists())


@as_root
def test_users_follow_each_other_without_a_trace(cluster: Cluster) -> None:
    told = "echo $PPID; id -u; id -g; id -G; umask"
    open_work(cluster)
    root = cluster.submit(told, umask=0o027)
    cluster.result(root)
    lines = cluster.read().splitlines()
    cluster.run(told, std_out="nobody.txt", umask=0o022, **NOBODY)
    third = cluster.submit(told, std_out="again.txt", umask=0o027)
    cluster.result(third)

    other = cluster.read("nobody.txt").splitlines()
    assert other[1:] == ["65534", "65534", " ".join(map(str, os.getgrouplist("nobody", 65534))), "0022"]
    assert other[0] == lines[0]
    assert cluster.read("again.txt").splitlines() == lines
