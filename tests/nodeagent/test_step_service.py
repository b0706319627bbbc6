"""What a step offers to launchers: ports that are free, and addresses that resolve."""

import socket

import pytest
from msgspec.structs import replace

from sluice.model.request import StepSpec
from sluice.model.step import Step, StepNode
from sluice.wire.messages import PeerAddress, TaskLaunch
from sluiced.pmi.layout import layout_of
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.leased_ports import check_ports
from sluiced.steps.service import make_service
from sluiced.steps.warmup import sample_launch


def make_tasks(*addresses: str, ports: tuple[int, int] = (0, 0)) -> tuple[StepLaunch, TaskLaunch]:
    """Return the launch on n1 of a step with a node for each address and two tasks a node."""
    launch = sample_launch(0)
    assert launch.tasks is not None
    nodes = tuple(
        StepNode(node=f"n{number}", ntasks=2, ranks=f"{2 * number - 2}-{2 * number - 1}", cpu_count=2)
        for number in range(1, len(addresses) + 1)
    )
    step = Step(job_id=1, step_id=0, spec=StepSpec(name="x"), nodes=nodes, ports=ports)
    peers = tuple(PeerAddress(address=address, port=1) for address in addresses)
    tasks = replace(launch.tasks, step=step, peers=peers)
    return replace(launch, tasks=tasks), tasks


def test_a_port_that_somebody_has_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        _, tasks = make_tasks("127.0.0.1", ports=(port, port))

        with pytest.raises(LaunchFailure, match=f"port {port}, leased to the step with {port}-{port}, is in use on n"):
            check_ports(tasks, "n1")


def test_of_several_nodes_on_a_host_the_first_one_looks() -> None:
    """The tasks of n1 may listen by the time that n2 starts; n3 is another host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        _, tasks = make_tasks("10.0.0.1", "10.0.0.1", "10.0.0.2", ports=(port, port))

        check_ports(tasks, "n2")
        with pytest.raises(LaunchFailure, match="on node n3"):
            check_ports(tasks, "n3")


def test_the_service_tells_role_peers_and_ports() -> None:
    launch, tasks = make_tasks("localhost", "10.0.0.2", ports=(13000, 13007))

    service = make_service(launch, tasks, layout_of(tasks.step, "n1"), "/tmp/x")

    assert (service.node_rank, service.rank, service.size, service.local_size) == (0, 0, 4, 2)
    assert [(peer.node, peer.tasks) for peer in service.peers] == [("n1", 2), ("n2", 2)]
    assert service.head.address in ("127.0.0.1", "::1"), "in numbers"
    assert service.ports == range(13000, 13008)


def test_an_address_that_does_not_resolve_is_named_at_once() -> None:
    launch, tasks = make_tasks("no.such.host.invalid", "10.0.0.2")

    with pytest.raises(LaunchFailure, match=r"the address 'no\.such\.host\.invalid' of node n1 does not resolve on n"):
        make_service(launch, tasks, layout_of(tasks.step, "n1"), "/tmp/x")
