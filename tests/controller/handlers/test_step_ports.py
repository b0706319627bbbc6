"""Ports leased to steps: the same block on every node, nobody else's while the job lives."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.wire.messages import FinishStep, KillJobs
from tests.engine_builder import ANN, World

MakeWorld = Callable[..., World]


@pytest.fixture
def shared(make_world: MakeWorld) -> World:
    """Two nodes of one host, and twelve ports."""
    world = make_world(nodes=2, cpus=8, mpi_parameters={"ports": "13000-13011"})
    return at(world, "127.0.0.1", "127.0.0.1")


def ports(first: int, last: int) -> set[int]:
    return set(range(first, last + 1))


def at(world: World, *addresses: str) -> World:
    """Give the nodes addresses."""
    world.node_records = tuple(
        replace(node, address=address) for node, address in zip(world.node_records, addresses, strict=True)
    )
    world.configure()
    return world


def finish(world: World, job_id: int, step_id: int = 0) -> None:
    world.do(FinishStep(job_id=job_id, step_id=step_id), ANN)


def test_most_steps_have_no_ports(world: World) -> None:
    assert world.step(world.start()).ports == (0, 0)


def test_a_number_is_a_block_of_so_many(shared: World) -> None:
    first, last = shared.step(shared.start(), ports=4).ports

    assert last - first + 1 == 4
    assert ports(first, last) <= ports(13000, 13011)


def test_without_a_number_the_fullest_node_has_one_for_each_task(shared: World) -> None:
    job_id = shared.start(ntasks=8, nodes=2)

    first, last = shared.step(job_id, ntasks=5, ports=-1).ports

    assert last - first + 1 == max(node.ntasks for node in shared.step_of(job_id, 0).nodes)


def test_jobs_on_one_host_never_share_a_port(shared: World) -> None:
    """Three jobs on nodes that have the same address: three blocks of four fill the range, a fourth is refused."""
    leased = [shared.step(shared.start(nodes=1), ports=4).ports for _ in range(3)]

    assert set().union(*(ports(*each) for each in leased)) == ports(13000, 13011)
    with pytest.raises(RequestError, match=r"no 4 neighbouring ports of 13000-13011 \(MpiParams\) are free"):
        shared.step(shared.start(nodes=1), ports=4)


def test_nodes_of_different_hosts_have_their_own_ports(make_world: MakeWorld) -> None:
    world = at(make_world(nodes=2, cpus=4, mpi_parameters={"ports": "13000-13003"}), "10.0.0.1", "10.0.0.2")

    leased = [world.step(world.start(required_nodes=(name,)), ports=4).ports for name in ("n1", "n2")]

    assert leased == [(13000, 13003)] * 2


def test_a_job_keeps_its_block_for_later_steps(shared: World) -> None:
    job_id = shared.start()
    block = shared.step(job_id, ports=4).ports
    finish(shared, job_id)

    assert shared.step(job_id, token="again", ports=4).ports == block


def test_steps_that_run_beside_each_other_have_different_blocks(shared: World) -> None:
    job_id = shared.start(ntasks=2)
    one = shared.step(job_id, token="a", ntasks=1, ports=4).ports
    other = shared.step(job_id, token="b", ntasks=1, ports=4).ports

    assert ports(*one).isdisjoint(ports(*other))


def test_a_block_is_kept_between_steps_and_free_after_the_job(shared: World) -> None:
    job_id = shared.start(nodes=1)
    shared.step(job_id, ports=12)
    finish(shared, job_id)
    with pytest.raises(RequestError, match="are free"):
        shared.step(shared.start(nodes=1), ports=4)

    shared.do(KillJobs(ids=(str(job_id),)), ANN)

    assert shared.step(shared.start(nodes=1), ports=4).ports != (0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("13000-13003", r"5 ports wanted, MpiParams has 4", id="more than there are"),
        pytest.param("13000", r"MpiParams=ports=13000: a range such as 13000-18999", id="no range"),
    ],
)
def test_what_cannot_be_is_refused_with_the_numbers(make_world: MakeWorld, text: str, message: str) -> None:
    world = make_world(mpi_parameters={"ports": text})

    with pytest.raises(RequestError, match=message):
        world.step(world.start(), ports=5)
