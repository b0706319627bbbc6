"""Step daemons among each other: real sockets, several networks in one process."""

import os
import select
import socket
from collections.abc import Callable, Iterator

import pytest

from sluice.wire.messages import JoinStep
from sluiced.pmi.collective import Release
from sluiced.pmi.frames import FrameLink
from sluiced.pmi.messages import Abort, Fetch, Fetched
from sluiced.pmi.network import Event, Network
from sluiced.pmi.parent import ParentLink
from sluiced.steps.user import load_user
from tests.waiting import wait_until

NODES = ("n1", "n2", "n3")
OWN_USER = load_user(os.getuid(), os.getgid(), "me")


class Step:
    """Three nodes; n1 is the parent of the others, whose connections an agent would hand over."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        requests = [JoinStep(node=node, job_id=1, attempt=0, step_id=0) for node in NODES]
        parents = [ParentLink("n1", "127.0.0.1", port, "credential", request, OWN_USER) for request in requests]
        self.networks = [Network(0, NODES, None)] + [Network(index, NODES, parents[index]) for index in (1, 2)]
        self.events: list[list[Event]] = [[], [], []]

    def hand_over(self, node: str) -> None:
        """Be the agent of n1: read hello and request, then give the connection away."""
        connection, _ = self.listener.accept()
        link = FrameLink(connection)
        names: list[str] = []
        wait_until(lambda: names.extend(each.name for each in link.receive()) or len(names) == 2, 5)
        assert names == ["hello", "JoinStep"]
        self.networks[0].on_child(node, connection)

    def turn(self) -> None:
        """Let every network do what it can."""
        for index, network in enumerate(self.networks):
            self.events[index] += network.do_timers(10.0**9)
            descriptors = network.poll_events()
            poller = select.poll()
            for descriptor, wanted in descriptors.items():
                poller.register(descriptor, wanted)
            for descriptor, _ in poller.poll(0):
                self.events[index] += network.on_event(descriptor)

    def run_until(self, condition: Callable[[], object]) -> None:
        def look() -> object:
            self.turn()
            return condition()

        wait_until(look, 5)

    def join(self) -> None:
        """Connect both children, in the other order."""
        self.run_until(lambda: all(network.poll_events() for network in self.networks[1:]))
        self.run_until(lambda: select.select([self.listener], [], [], 0)[0])
        self.turn()
        for node in ("n2", "n3"):
            self.hand_over(node)

    def close(self) -> None:
        for network in self.networks:
            network.close()
        self.listener.close()


@pytest.fixture
def step() -> Iterator[Step]:
    """A step whose nodes have found each other."""
    made = Step()
    try:
        made.join()
        yield made
    finally:
        made.close()


def test_a_barrier_spans_the_nodes(step: Step) -> None:
    for index, network in enumerate(step.networks):
        step.events[index] += network.give("k", (), f"of {index}".encode())

    step.run_until(lambda: all(step.events))

    for events in step.events:
        (event,) = events
        assert isinstance(event, Release)
        assert sorted(event.pieces) == [b"of 0", b"of 1", b"of 2"]


def test_a_question_goes_by_way_of_the_root_and_back(step: Step) -> None:
    """n2 asks for what a rank on n3 has published."""
    question = Fetch(id=5, origin=1, target=2, rank=7)
    assert step.networks[1].send(question, 2) == []
    step.run_until(lambda: step.events[2])
    assert step.events[2] == [question]

    answer = Fetched(id=5, target=1, status=0, data=b"card")
    assert step.networks[2].send(answer, 1) == []
    step.run_until(lambda: step.events[1])

    assert step.events == [[], [answer], [question]]


def test_an_abort_reaches_every_node_once(step: Step) -> None:
    told = step.networks[1].abort("task 3 called abort")

    step.run_until(lambda: step.events[0] and step.events[2])

    assert told == step.events[0] == step.events[2] == [Abort(text="task 3 called abort")]
    assert step.networks[0].abort("another reason") == []


def test_a_node_that_leaves_early_is_missed_by_those_who_wait_for_it(step: Step) -> None:
    step.events[0] += step.networks[0].give("k", (), b"x")
    step.networks[2].close()

    step.run_until(lambda: step.events[1])

    text = "node n3 left the step while tasks of other nodes wait for its own"
    assert step.events[0] == step.events[1] == [Abort(text=text)]


def test_a_node_that_leaves_when_nobody_waits_is_no_loss(step: Step) -> None:
    step.networks[2].close()
    step.run_until(lambda: len(step.networks[0].poll_events()) == 1)

    assert step.events == [[], [], []]
    assert step.networks[1].give("k", (), b"x") == []
    (lost,) = step.networks[0].give("k", (), b"x")
    assert isinstance(lost, Abort), "now it is missed"


def test_a_stranger_is_not_let_in(step: Step) -> None:
    """Somebody says that it is n3, which is here already; a node that is no child of ours."""
    for node in ("n3", "n1", "n9"):
        own, theirs = socket.socketpair()
        with own:
            step.networks[0].on_child(node, theirs)
            assert own.recv(1) == b""


def test_garbage_from_a_node_is_an_end_of_its_connection(step: Step) -> None:
    own, theirs = socket.socketpair()
    fresh = Network(0, NODES, None)
    fresh.on_child("n2", theirs)
    with own:
        own.sendall(b"\xff" * 100)
        (descriptor,) = fresh.poll_events()

        assert fresh.on_event(descriptor) == []
        assert fresh.poll_events() == {}


def test_an_unreachable_parent_is_a_reason_to_end() -> None:
    """Nobody listens there; once the patience is over, the step ends with the address and the cause."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    request = JoinStep(node="n2", job_id=1, attempt=0, step_id=0)
    parent = ParentLink("n1", "127.0.0.1", port, "c", request, OWN_USER, patience_s=0)
    network = Network(1, NODES, parent)
    events: list[Event] = []

    def is_over() -> object:
        events.extend(network.do_timers(10.0**9))
        for descriptor in network.poll_events():
            events.extend(network.on_event(descriptor))
        return events

    wait_until(is_over, 5)

    assert events == [Abort(text=f"node n1 (127.0.0.1:{port}) cannot be reached: Connection refused")]
