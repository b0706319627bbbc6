"""Heterogeneous jobs go back to the queue, are held, suspended and changed together."""

import pytest

from sluice.errors import RequestError
from sluice.model.states import JobState
from tests.engine_builder import BOB, OPERATOR, World
from tests.het_builder import CANCELLED, PENDING, RUNNING, finish, start, states


@pytest.fixture
def world() -> World:
    return World(nodes=3)


def test_a_requeue_brings_all_components_back_also_one_that_had_ended(world):
    leader_id = start(world, {}, {}, {})
    world.cancel(f"{leader_id}+2")
    world.clean(leader_id + 2)
    world.change("requeue", leader_id, caller=OPERATOR)
    finish(world, leader_id)

    jobs = world.cluster.components_of(world.job(leader_id))
    assert [(job.state, job.attempt) for job in jobs] == [(PENDING, 1)] * 3
    world.pass_()
    assert states(world, leader_id) == [RUNNING] * 3


def test_nothing_starts_before_all_components_are_back(world):
    leader_id = start(world)
    world.change("requeue", leader_id, caller=OPERATOR)
    world.clean(leader_id)
    world.pass_()

    assert states(world, leader_id) == [PENDING, CANCELLED]
    world.clean(leader_id + 1)
    world.pass_()
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_a_finished_job_may_be_requeued_as_a_whole(world):
    leader_id = start(world)
    world.end_script(leader_id)
    finish(world, leader_id)
    world.change("requeue", leader_id, caller=OPERATOR)

    assert states(world, leader_id) == [PENDING, PENDING]


@pytest.mark.parametrize(
    ("action", "code"), [("requeue", "not_leader"), ("suspend", "component"), ("resume", "component")]
)
def test_a_component_is_not_requeued_or_suspended_alone(world, action, code):
    leader_id = start(world)

    with pytest.raises(RequestError) as refusal:
        world.change(action, f"{leader_id}+1", caller=OPERATOR)
    assert refusal.value.code == code


def test_suspend_and_resume_act_on_all(world):
    leader_id = start(world)
    world.change("suspend", leader_id, caller=OPERATOR)
    assert states(world, leader_id) == [JobState.SUSPENDED, JobState.SUSPENDED]

    world.change("resume", leader_id, caller=OPERATOR)
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_requeuehold_holds_all(world):
    leader_id = start(world)
    world.change("requeuehold", leader_id, caller=OPERATOR)
    finish(world, leader_id)
    world.pass_()

    assert states(world, leader_id) == [PENDING, PENDING]
    assert {job.priority for job in world.cluster.components_of(world.job(leader_id))} == {0}


def test_hold_and_release_by_the_common_id_act_on_all_by_a_component_on_it(world):
    leader_id = world.submit_het({}, {})
    world.change("hold", leader_id)
    world.change("release", f"{leader_id}+0")
    world.pass_()
    assert states(world, leader_id) == [PENDING, PENDING]

    world.change("release", f"{leader_id}+1")
    world.pass_()
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_an_update_by_the_common_id_changes_all_by_a_component_it_alone(world):
    leader_id = world.submit_het({}, {}, limit_s=3600)
    world.update(leader_id, TimeLimit="20")
    world.update(f"{leader_id}+1", TimeLimit="10")

    assert [job.limit_s for job in world.cluster.components_of(world.job(leader_id))] == [1200, 600]


@pytest.mark.parametrize("node", ["n1", "n2"], ids=["of the leader", "of another component"])
def test_a_node_that_fails_sends_the_whole_job_back(world, node):
    leader_id = start(world)
    world.lose(node)
    finish(world, leader_id)

    assert states(world, leader_id) == [PENDING, PENDING]
    world.register(node)
    world.pass_()
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_a_component_whose_node_fails_ends_alone_when_the_job_may_not_be_requeued(world):
    leader_id = start(world, can_requeue=False)
    world.lose("n2")

    assert states(world, leader_id) == [RUNNING, JobState.NODE_FAIL]


def test_the_leaders_node_that_fails_ends_all_when_the_job_may_not_be_requeued(world):
    leader_id = start(world, can_requeue=False)
    world.lose("n1")

    assert states(world, leader_id) == [JobState.NODE_FAIL, JobState.NODE_FAIL]


def test_a_failed_node_that_all_components_share_ends_each_once():
    world = World(cpus=4)
    leader_id = start(world, {"ntasks": 1}, {"ntasks": 1}, can_requeue=False)
    world.lose("n1")

    assert states(world, leader_id) == [JobState.NODE_FAIL, JobState.NODE_FAIL]
    assert world.job(leader_id + 1).completing_nodes == ()


def test_another_users_component_is_nobody_elses_to_cancel(world):
    leader_id = start(world)

    assert {outcome.code for outcome in world.cancel(leader_id, caller=BOB)} == {"not_permitted"}
