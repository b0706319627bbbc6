"""Step daemons that read no orders when their steps are to end: stopped ones, and those that hang."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from sluice.model.states import Ending
from sluice.wire.messages import NodeTrouble
from sluiced import control_socket, process_id
from sluiced.processes import DAEMON_DIED, DAEMON_STUCK
from sluiced.spool import Claim, read_claim
from sluiced.steps.control import pass_over_orders, receive_order
from sluiced.steps.launch import EndOrder, TalkOrder
from tests.nodeagent.conftest import CONFIG, Cluster
from tests.waiting import wait_until

QUICK = replace(CONFIG, unkillable_timeout_s=0.1)
_FREEZER = Path("/sys/fs/cgroup/freezer")

real = pytest.mark.system
takes_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system, or makes a control group")


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A group of the old freezer, in which KILL waits until it is thawed."""
    if not _FREEZER.is_dir():
        pytest.skip("KILL ends what the freezer of cgroup v2 holds")
    folder = _FREEZER / f"sluice-test-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    yield folder
    (folder / "freezer.state").write_text("THAWED")
    wait_until(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


@real
def test_a_stopped_step_daemon_does_not_keep_its_job_from_ending(make_cluster: Callable[..., Cluster]) -> None:
    """The task stops its parent; what it started goes all the same, and the step is told as lost."""
    cluster = make_cluster(QUICK)
    cluster.start_agent()
    job_id = cluster.submit("sleep 300 & echo $! > pid; sync pid; kill -STOP $PPID; wait")
    path = cluster.work / "pid"
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    child = int(path.read_text())

    cluster.end(job_id, kill_wait_s=0.1)

    result = cluster.result(job_id)
    assert (result.reason_text, result.is_node_clean) == (DAEMON_DIED, True)
    assert process_id.stat_fields(child)[:1] in ([], [b"Z"])


@real
def test_a_stopped_daemon_is_found_by_the_next_agent(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(QUICK)
    cluster.start_agent()
    job_id = cluster.submit("touch up; kill -STOP $PPID; exec sleep 300")
    wait_until((cluster.work / "up").exists)
    cluster.kill_agent()
    cluster.start_agent()

    cluster.end(job_id, kill_wait_s=0.1)

    assert cluster.result(job_id).reason_text == DAEMON_DIED


@real
@takes_root
def test_a_step_daemon_that_hangs_in_setting_up_does_not_either(
    make_cluster: Callable[..., Cluster], dead_folder: Path
) -> None:
    """Its first file lies on a server that does not answer."""
    cluster = make_cluster(QUICK)
    cluster.start_agent()
    job_id = cluster.submit("true", std_out=str(dead_folder / "out.txt"))
    claim = _claim_of(cluster, job_id)
    wait_until(lambda: process_id.stat_fields(claim.pid)[:1] == [b"D"])

    cluster.end(job_id, kill_wait_s=0.1)

    result = cluster.result(job_id)
    assert (result.reason_text, result.is_node_clean) == (DAEMON_DIED, True)
    assert not _troubles(cluster)


@real
@takes_root
def test_the_step_ends_without_a_daemon_that_kill_does_not_end(
    make_cluster: Callable[..., Cluster], freezer: Path
) -> None:
    """The node gets no work while it is there, and is back when it went."""
    cluster = make_cluster(replace(CONFIG, unkillable_timeout_s=0.5))
    cluster.start_agent()
    job_id = cluster.submit("touch up; exec sleep 300")
    wait_until((cluster.work / "up").exists)
    claim = _claim_of(cluster, job_id)
    (freezer / "cgroup.procs").write_text(str(claim.pid))
    (freezer / "freezer.state").write_text("FROZEN")

    cluster.end(job_id, Ending.CANCEL, kill_wait_s=0.1)

    result = cluster.result(job_id)
    assert (result.reason_text, result.is_node_clean) == (DAEMON_STUCK, True)
    [trouble] = _troubles(cluster)
    assert trouble.cause == f"unkillable {job_id}.0.batch"
    assert trouble.reason.startswith(f"Kill task failed: pid {claim.pid} state D ")

    (freezer / "freezer.state").write_text("THAWED")

    wait_until(lambda: [each.reason for each in _troubles(cluster)] == [trouble.reason, ""])


def _troubles(cluster: Cluster) -> list[NodeTrouble]:
    return [each for each in cluster.controller.troubles if each.cause.startswith("unkillable")]


def _claim_of(cluster: Cluster, job_id: int) -> Claim:
    step_path = str(cluster.spool / "jobs" / f"{job_id}.0" / "batch")
    wait_until(lambda: read_claim(step_path) is not None)
    claim = read_claim(step_path)
    assert claim is not None
    return claim


# Whether an order was read.


END = EndOrder(ending=Ending.CANCEL, kill_wait_s=30.0)


@pytest.fixture
def step_path(tmp_path: Path) -> str:
    return str(tmp_path / "0")


@pytest.fixture
def control(step_path: str) -> Iterator[socket.socket]:
    with control_socket.bind(step_path) as end:
        yield end


def test_it_can_be_told_whether_an_order_was_read(step_path: str, control: socket.socket) -> None:
    asked = control_socket.ask(step_path, END)
    assert asked is not None
    assert not asked.is_read()

    assert receive_order(control.fileno())[0] == END

    assert asked.is_read()
    asked.close()


def test_an_order_for_which_there_is_no_room_is_not_read(step_path: str, control: socket.socket) -> None:
    """Whoever hears nothing is not taken for one that has read all because a last order did not go in."""
    while control_socket.send(step_path, TalkOrder(text="hello")):
        pass

    asked = control_socket.ask(step_path, END)

    assert asked is not None
    assert not asked.is_read()
    asked.close()


def test_nobody_is_asked_who_has_ended(step_path: str, control: socket.socket) -> None:
    control.close()

    assert control_socket.ask(step_path, END) is None
    assert control_socket.ask(step_path + "1", END) is None


def test_what_waits_at_its_end_reads_orders_all_the_same(step_path: str, control: socket.socket) -> None:
    """Nor does it keep the connections that come with them."""
    asked = control_socket.ask(step_path, END)
    assert asked is not None
    ours, theirs = socket.socketpair()
    control_socket.send(step_path, TalkOrder(text="hello"), [theirs.fileno()])
    theirs.close()

    pass_over_orders(control.fileno(), 5.0)
    pass_over_orders(control.fileno(), 5.0)

    assert asked.is_read()
    assert ours.recv(1) == b""
    asked.close()
    ours.close()
