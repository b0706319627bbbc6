"""A step over components of a heterogeneous job: in all of them or in none, under one number."""

import pytest

from sluice.errors import NotPermitted, RequestError
from sluice.model.request import StepSpec
from sluice.model.step import Step
from sluice.steps.grant import StepBusy
from sluice.wire.messages import CreateHetStep, FinishStep, HetPart
from tests.engine_builder import ANN, BOB, World


@pytest.fixture
def world() -> World:
    return World(nodes=3)


@pytest.fixture
def leader_id(world: World) -> int:
    """A running job of two components: one task on one node, two on another."""
    leader_id: int = world.submit_het({"ntasks": 1, "nodes": 1}, {"ntasks": 2, "nodes": 1})
    world.pass_()
    return leader_id


def create(world: World, *job_ids: int, token: str = "", caller=ANN, **spec: object) -> tuple[Step, ...]:
    parts = tuple(HetPart(job_id=job_id, spec=StepSpec(**({"name": "step"} | spec))) for job_id in job_ids)
    steps: tuple[Step, ...] = world.do(CreateHetStep(token=token, parts=parts), caller)
    return steps


def test_all_parts_have_the_next_number_that_is_free_in_each(world: World, leader_id: int) -> None:
    """The second component has had a step of its own."""
    world.step(leader_id + 1, ntasks=1, is_overlapping=True)

    steps = create(world, leader_id, leader_id + 1, ntasks=1)

    assert [(step.job_id, step.step_id) for step in steps] == [(leader_id, 1), (leader_id + 1, 1)]
    assert world.step(leader_id, ntasks=1, is_overlapping=True).step_id == 2


def test_a_part_that_has_no_room_leaves_the_others_free(world: World, leader_id: int) -> None:
    """World.do() sees to it that the refused request has changed nothing."""
    world.step(leader_id + 1, ntasks=2)

    with pytest.raises(StepBusy):
        create(world, leader_id, leader_id + 1, ntasks=1)

    assert world.step(leader_id, ntasks=1).step_id == 0


def test_a_repeated_request_gives_the_same_steps(world: World, leader_id: int) -> None:
    steps = create(world, leader_id, leader_id + 1, ntasks=1, token="t")

    assert create(world, leader_id, leader_id + 1, ntasks=1, token="t") == steps
    assert world.happened() == []


def test_all_parts_have_the_same_ports(world: World, leader_id: int) -> None:
    """Though one component has leased some before."""
    own = world.step(leader_id + 1, ntasks=1, is_overlapping=True, ports=8).ports

    first, second = create(world, leader_id, leader_id + 1, ntasks=1, ports=8)

    assert first.ports == second.ports
    assert set(range(first.ports[0], first.ports[1] + 1)).isdisjoint(range(own[0], own[1] + 1))


def test_a_later_step_has_the_ports_of_an_earlier_one(world: World, leader_id: int) -> None:
    first, _ = create(world, leader_id, leader_id + 1, ntasks=1, ports=8)
    for job_id in (leader_id, leader_id + 1):
        world.do(FinishStep(job_id=job_id, step_id=0), ANN)

    again, _ = create(world, leader_id, leader_id + 1, ntasks=1, ports=8)

    assert again.ports == first.ports


def test_only_components_of_one_job_make_a_step(world: World, leader_id: int) -> None:
    plain = world.start(ntasks=1)
    other: int = world.submit_het({"ntasks": 1}, {"ntasks": 1})
    world.pass_()

    for job_ids in ((leader_id, plain), (leader_id, other), (leader_id, leader_id), ()):
        with pytest.raises(RequestError, match="not components of one job"):
            create(world, *job_ids, ntasks=1)


def test_a_stranger_makes_none(world: World, leader_id: int) -> None:
    with pytest.raises(NotPermitted):
        create(world, leader_id, leader_id + 1, caller=BOB, ntasks=1)
