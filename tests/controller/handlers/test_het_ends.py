"""The end of heterogeneous jobs: whose end is whose."""

import pytest

from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluice.wire import messages
from tests.engine_builder import ANN, World
from tests.het_builder import CANCELLED, PENDING, RUNNING, start, states


@pytest.fixture
def world() -> World:
    return World(nodes=3)


@pytest.mark.parametrize(("code", "state"), [(0, JobState.COMPLETED), (3, JobState.FAILED)], ids=["well", "badly"])
def test_when_the_script_ends_all_end_like_it(world, code, state):
    leader_id = start(world)
    world.end_script(leader_id, exit_code=code)

    assert states(world, leader_id) == [state, state]
    assert world.job(leader_id + 1).completing_nodes == world.job(leader_id + 1).nodes
    world.clean(leader_id + 1)
    assert [world.free_cpus(name) for name in ("n1", "n2", "n3")] == [4, 4, 4]


def test_a_node_that_is_clean_of_the_leader_is_not_clean_of_another_component():
    world = World(cpus=4)
    leader_id = start(world, {"ntasks": 1}, {"ntasks": 1})
    world.end_script(leader_id)

    assert world.job(leader_id + 1).completing_nodes == ("n1",)


def test_a_running_component_may_be_cancelled_alone(world):
    leader_id = start(world)
    (outcome,) = world.cancel(f"{leader_id}+1")

    assert outcome.code == ""
    assert states(world, leader_id) == [RUNNING, CANCELLED]


def test_cancelling_the_leader_cancels_all(world):
    leader_id = start(world)
    world.cancel(f"{leader_id}+0")

    assert states(world, leader_id) == [CANCELLED, CANCELLED]


def test_the_common_id_stands_for_all(world):
    leader_id = world.submit_het({}, {})
    (outcome,) = world.cancel(leader_id)

    assert outcome.code == ""
    assert states(world, leader_id) == [CANCELLED, CANCELLED]


@pytest.mark.parametrize("name", ["{0}+1", "{1}"], ids=["as a component", "by its own id"])
def test_a_waiting_component_is_not_cancelled_alone(world, name):
    leader_id = world.submit_het({}, {})
    (outcome,) = world.cancel(name.format(leader_id, leader_id + 1))

    assert outcome.code == "component"
    assert outcome.message == "Operation not permitted on individual component of heterogeneous job"
    assert states(world, leader_id) == [PENDING, PENDING]


def test_a_filter_that_names_all_components_cancels_the_job_without_complaint(world):
    leader_id = world.submit_het({}, {})
    outcomes = world.cancel(users=("ann",))

    assert [(outcome.id, outcome.code) for outcome in outcomes] == [(str(leader_id), "")]
    assert states(world, leader_id) == [CANCELLED, CANCELLED]


def test_a_component_that_does_not_exist_is_unknown(world):
    leader_id = world.submit_het({}, {})
    plain = world.submit()

    assert [world.cancel(name)[0].code for name in (f"{leader_id}+2", f"{leader_id}+7", f"{plain}+0")] == [
        "unknown"
    ] * 3


def test_a_component_reaches_its_own_time_limit_alone(world):
    leader_id = start(world, {"limit_s": 600}, {"limit_s": 60})
    world.pass_time(61)

    assert states(world, leader_id) == [RUNNING, JobState.TIMEOUT]


def test_when_the_leader_reaches_its_limit_all_have(world):
    leader_id = start(world, {"limit_s": 60}, {"limit_s": 600})
    world.pass_time(61)

    assert states(world, leader_id) == [JobState.TIMEOUT, JobState.TIMEOUT]


def test_a_deadline_that_one_component_can_not_meet_ends_all(world):
    world.start(nodes=3, exclusive="node", limit_s=3600)
    leader_id = world.submit_het({}, {"deadline_at": world.now + 1200, "limit_s": 600})
    world.pass_time(601)

    assert states(world, leader_id) == [JobState.DEADLINE, JobState.DEADLINE]


def test_a_dependency_of_one_component_that_can_never_hold_ends_all_where_that_is_asked(world):
    failing = world.start()
    leader_id = world.submit_het({}, {"after": f"afterok:{failing}", "kill_on_invalid_dependency": True})
    world.end_script(failing, exit_code=1)

    assert states(world, leader_id) == [CANCELLED, CANCELLED]
    assert world.job(leader_id).reason is Reason.DEPENDENCY_NEVER_SATISFIED


def test_an_interactive_job_ends_with_its_command(world):
    leader_id = start(world, is_batch=False)
    world.do(messages.FinishAllocation(job_id=leader_id), ANN)

    assert states(world, leader_id) == [JobState.COMPLETED, JobState.COMPLETED]
