"""Changes of whole arrays: tasks that have ended are passed over, the others called as their user calls them."""

import pytest

from sluice.errors import RequestError
from sluice.model.states import Hold, JobState
from tests.engine_builder import ANN, BOB, World


@pytest.fixture
def array(world: World) -> int:
    """Task 0 has ended, task 1 runs, 2 and 3 wait."""
    array_id = world.submit(array="0-3%1", limit_s=600)
    world.pass_()
    world.end_script(world.task(array_id, 0).id)
    world.pass_()
    assert world.task(array_id, 1).state is JobState.RUNNING
    return array_id


def test_a_new_limit_of_an_array_is_for_the_tasks_that_are_not_over(world: World, array: int) -> None:
    assert world.update(array, TimeLimit="5").lines == ()

    assert [world.task(array, index).limit_s for index in (0, 1)] == [600, 300]
    assert world.job(array).limit_s == 300


@pytest.mark.parametrize("action", ["hold", "release"])
def test_an_array_is_held_and_released_without_complaint(world: World, array: int, action: str) -> None:
    assert world.change(action, array) == ()

    assert world.job(array).hold is (Hold.USER if action == "hold" else Hold.NONE)


def test_an_array_that_is_over_is_told(world: World) -> None:
    array = world.submit(array="0-1")
    world.pass_()
    for index in (0, 1):
        world.end_script(world.task(array, index).id)

    with pytest.raises(RequestError) as refusal:
        world.update(array, TimeLimit="5")
    assert refusal.value.code == "finished"


def test_tasks_that_refuse_are_told_in_one_line_by_the_names_their_user_knows(world: World, array: int) -> None:
    """One of them runs, and comes back; the others wait already."""
    assert world.change("requeue", f"{array}_[1-3]") == (f"{array}_[2-3]: Job is pending execution",)


def test_a_task_that_has_started_cannot_change_its_size(world: World, array: int) -> None:
    assert world.update(array, NumNodes="2").lines == (f"{array}_1: Job is no longer pending execution",)
    assert world.job(array).spec.min_nodes == 2


def test_a_plain_job_that_refuses_is_told_by_its_number(world: World) -> None:
    own, foreign = world.submit(ANN), world.submit(BOB)

    assert world.change("hold", own, foreign) == (f"Access/permission denied for job {foreign}",)


def test_why_nothing_could_be_done_comes_before_what_is_over(world: World) -> None:
    array = world.submit(array="0-1%1", can_requeue=False)
    world.pass_()
    world.cancel(f"{array}_0")
    world.clean(world.task(array, 0).id)

    with pytest.raises(RequestError) as refusal:
        world.change("suspend", array, caller=ANN)
    assert refusal.value.code == "not_permitted"
