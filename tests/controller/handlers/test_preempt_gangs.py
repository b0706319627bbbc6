"""Preemption of and by heterogeneous jobs, carried out: all components are warned, ended, suspended and resumed."""

from typing import Any

import pytest

from sluice.model.states import Ending, JobState
from sluice.wire.messages import EndJob, SignalJob
from sluicectld.state import commands
from sluicectld.state.events import JobPreempted
from tests.engine_builder import ROOT, World

from .test_preempt import CONT, STOP, TERM, make_world, signals

NODE = {"cpus_per_task": 4}


def start_gang(world: World, *components: dict[str, Any], **shared: Any) -> tuple[int, ...]:
    """Start a heterogeneous job, by default one of two whole nodes; return the ids of its components."""
    leader_id = world.submit_het(*(components or (NODE, NODE)), **shared)
    world.pass_()
    ids = tuple(job.id for job in world.cluster.components_of(world.job(leader_id)))
    assert states(world, ids) == {JobState.RUNNING}
    world.effects.clear()
    return ids


def submit_urgent(world: World, **fields: Any) -> int:
    urgent_id = world.submit(partitions=("urgent",), **(NODE | fields))
    world.pass_()
    return urgent_id


def states(world: World, ids: tuple[int, ...]) -> set[JobState]:
    return {world.job(job_id).state for job_id in ids}


def clean(world: World, ids: tuple[int, ...]) -> None:
    for job_id in ids:
        world.clean(job_id)


def test_all_components_end_at_once_and_go_back_to_the_queue_together() -> None:
    world = make_world(nodes=2)
    ids = start_gang(world)
    urgent_id = submit_urgent(world)

    orders = world.took(EndJob)
    assert {order.job_id for order in orders} == set(ids)
    assert {order.ending for order in orders} == {Ending.PREEMPTION}
    assert states(world, ids) == {JobState.PREEMPTED}
    clean(world, ids)
    assert states(world, ids) == {JobState.PENDING}

    world.pass_()
    assert world.job(urgent_id).state is JobState.RUNNING
    assert states(world, ids) == {JobState.PENDING}
    world.end_script(urgent_id)
    world.pass_()
    assert states(world, ids) == {JobState.RUNNING}
    world.check_replay()


def test_cancelled_components_end_preempted() -> None:
    world = make_world("CANCEL", nodes=2)
    ids = start_gang(world)
    urgent_id = submit_urgent(world)
    clean(world, ids)

    assert states(world, ids) == {JobState.PREEMPTED}
    assert {world.job(job_id).reason_text for job_id in ids} == {f"preempted for job {urgent_id}"}


def test_all_components_are_warned_and_killed_when_their_grace_is_over() -> None:
    world = make_world("CANCEL", grace_s=60, nodes=2)
    ids = start_gang(world)
    submit_urgent(world)
    assert sorted(signals(world)) == [(job_id, TERM) for job_id in ids]
    world.pass_()
    world.pass_time(59)
    assert states(world, ids) == {JobState.RUNNING}
    assert not world.took(SignalJob)

    world.pass_time(1)
    orders = world.took(EndJob)
    assert sorted((order.job_id, order.kill_wait_s) for order in orders) == [(job_id, 0.0) for job_id in ids]
    assert states(world, ids) == {JobState.PREEMPTED}
    world.pass_time(60)
    assert not world.took(EndJob)
    world.check_replay()


def test_a_restart_in_the_grace_ends_them_together_all_the_same() -> None:
    world = make_world("CANCEL", grace_s=60, nodes=2)
    ids = start_gang(world)
    submit_urgent(world)
    world.pass_time(30)
    world.restart()
    assert not world.pass_().preemptions

    world.pass_time(29)
    assert states(world, ids) == {JobState.RUNNING}
    world.pass_time(1)
    assert states(world, ids) == {JobState.PREEMPTED}
    world.check_replay()


def test_a_component_that_has_ended_by_itself_is_not_missed() -> None:
    world = make_world(nodes=2)
    ids = start_gang(world)
    world.cancel(ids[1])
    world.clean(ids[1])
    submit_urgent(world, nodes=2, ntasks=2)
    assert {order.job_id for order in world.took(EndJob)} == set(ids)
    world.clean(ids[0])

    assert states(world, ids) == {JobState.PENDING}
    world.check_replay()


def test_all_components_are_suspended_and_go_on_together() -> None:
    """One of the two nodes is free long before the other."""
    world = make_world("SUSPEND,GANG", nodes=2)
    ids = start_gang(world)
    urgent = [submit_urgent(world, limit_s=60), world.submit(partitions=("urgent",), **NODE)]
    assert sorted(signals(world)) == [(job_id, STOP) for job_id in ids]
    world.pass_()
    assert states(world, tuple(urgent)) == {JobState.RUNNING}

    world.end_script(urgent[0])
    assert not world.pass_().resumes
    assert states(world, ids) == {JobState.SUSPENDED}

    world.end_script(urgent[1])
    assert world.pass_().resumes == (ids[0],)
    assert sorted(signals(world)) == [(job_id, CONT) for job_id in ids]
    assert states(world, ids) == {JobState.RUNNING}
    world.check_replay()


def test_components_of_a_job_that_goes_on_by_order_go_on_together_when_both_can() -> None:
    world = make_world(nodes=2)
    ids = start_gang(world)
    world.change("suspend", ids[0], caller=ROOT)
    other = world.start(cpus_per_task=4)
    world.change("resume", ids[0], caller=ROOT)
    world.pass_()
    assert states(world, ids) == {JobState.SUSPENDED}

    world.end_script(other)
    world.pass_()
    assert states(world, ids) == {JobState.RUNNING}


def test_a_heterogeneous_job_preempts_and_starts_when_all_have_gone() -> None:
    world = make_world(nodes=2)
    victims = tuple(world.start(**NODE) for _ in range(2))
    leader_id = world.submit_het(NODE, NODE, partitions=("urgent",))
    assert {order.for_job_id for order in world.pass_().preemptions} == {leader_id}
    ids = (leader_id, leader_id + 1)

    world.clean(victims[0])
    later = world.submit(partitions=("urgent",), **NODE)
    world.pass_()
    assert states(world, (*ids, later)) == {JobState.PENDING}
    world.clean(victims[1])
    world.pass_()
    assert states(world, ids) == {JobState.RUNNING}
    assert world.job(later).state is JobState.PENDING
    world.check_replay()


@pytest.mark.parametrize("offset", [0, 1])
def test_nothing_is_preempted_for_a_job_of_which_a_component_was_changed_meanwhile(offset: int) -> None:
    world = make_world(nodes=2)
    victims = tuple(world.start(**NODE) for _ in range(2))
    leader_id = world.submit_het(NODE, NODE, partitions=("urgent",))
    plan = world.plan()
    assert len(plan.preemptions) == 2
    world.update(leader_id + offset, TimeLimit="5")

    assert world.do(commands.ApplyPlan(plan)) == 2
    assert not any(isinstance(event, JobPreempted) for event in world.happened())
    assert states(world, victims) == {JobState.RUNNING}


def test_a_component_that_was_suspended_meanwhile_protects_all() -> None:
    world = make_world(nodes=2)
    ids = start_gang(world)
    world.submit(partitions=("urgent",), **NODE)
    plan = world.plan()
    world.change("suspend", ids[0], caller=ROOT)

    assert world.do(commands.ApplyPlan(plan)) == 1
    assert states(world, ids) == {JobState.SUSPENDED}
