"""Arrays: ids of tasks as they start, the throttle, tasks changed alone, one record for what waits."""

from collections.abc import Callable

import pytest

from sluice.errors import RequestError
from sluice.model.states import JobState
from sluicectld.state.commands import ApplyPlan
from tests.engine_builder import ROOT, World

MakeWorld = Callable[..., World]


def ids(world: World, array: int) -> dict[int, int]:
    return dict(world.cluster.tasks.get(array, {}))


def ranges(world: World, job_id: int) -> object:
    pending = world.job(job_id).pending_array
    return pending.ranges if pending is not None else None


def test_the_last_task_takes_the_base_id(make_world: MakeWorld) -> None:
    """Recorded of 22.05: base 395 of 4 tasks, the next submission is 396; tasks are 397, 398, 399 and 395."""
    world = make_world()
    array = world.submit(array="0-3")
    other = world.submit(is_held=True)
    world.pass_()

    assert other == array + 1
    assert ids(world, array) == {0: array + 2, 1: array + 3, 2: array + 4, 3: array}


def test_a_million_tasks_are_one_record(make_world: MakeWorld) -> None:
    world = make_world(array_size_max=1_000_001)
    array = world.submit(array="0-999999")
    world.pass_()

    assert len(world.cluster.jobs) == 5
    assert ranges(world, array) == ((4, 999_999, 1),)


def test_the_throttle_bounds_the_running_tasks(world: World) -> None:
    array = world.submit(array="0-5%2")
    world.pass_()
    assert ids(world, array).keys() == {0, 1}

    world.end_script(ids(world, array)[0])
    world.pass_()
    assert ids(world, array).keys() == {0, 1, 2}


def test_a_changed_throttle_counts_from_the_next_pass(world: World) -> None:
    array = world.submit(array="0-5%1")
    world.pass_()
    world.update(array, ArrayTaskThrottle="3")
    world.pass_()

    assert ids(world, array).keys() == {0, 1, 2}


def test_a_plan_made_before_the_throttle_was_lowered_is_stale(world: World) -> None:
    array = world.submit(array="0-5")
    plan = world.plan()
    world.update(array, ArrayTaskThrottle="1")
    world.do(ApplyPlan(plan))
    assert ids(world, array) == {}
    assert world.engine.is_pass_due

    world.pass_()

    assert ids(world, array).keys() == {0}


def test_the_throttle_of_an_array_with_running_tasks_is_changed_without_complaint(world: World) -> None:
    array = world.submit(array="0-5%1")
    world.pass_()

    assert world.update(array, ArrayTaskThrottle="2").lines == ()


def test_a_task_has_the_arrays_request_and_a_life_of_its_own(world: World) -> None:
    array = world.submit(array="0-3", name="arr")
    world.pass_()
    task = world.task(array, 1)
    world.end_script(task.id, exit_code=1)

    assert (task.spec.name, task.array_job_id, task.pending_array) == ("arr", array, None)
    assert world.job(task.id).state is JobState.FAILED
    assert world.task(array, 2).state is JobState.RUNNING


def test_a_task_that_is_changed_alone_is_split_off(world: World) -> None:
    array = world.submit(array="1-6", is_held=True, limit_s=3600)
    world.update(f"{array}_5", TimeLimit="3", Name="five")

    task = world.task(array, 5)
    assert (task.id, task.limit_s, task.spec.name, task.state) == (array + 1, 180, "five", JobState.PENDING)
    assert ranges(world, array) == ((1, 4, 1), (6, 6, 1))
    assert (world.job(array).limit_s, world.job(array).spec.name) == (3600, "job")


def test_a_refused_change_of_a_task_splits_nothing(world: World) -> None:
    array = world.submit(array="1-6", is_held=True)

    with pytest.raises(RequestError):
        world.update(f"{array}_5", Partition="nosuch")

    assert ids(world, array) == {}


def test_the_last_pending_task_that_is_changed_stays_the_base(world: World) -> None:
    array = world.submit(array="1-2", is_held=True)
    world.update(f"{array}_1", Name="one")
    world.update(f"{array}_2", Name="two")
    world.change("release", array)
    world.pass_()

    assert ids(world, array) == {1: array + 1, 2: array}
    assert (world.job(array).spec.name, world.job(array + 1).spec.name) == ("two", "one")


def test_a_split_task_starts_like_any_job(world: World) -> None:
    array = world.submit(array="1-2", is_held=True)
    world.change("release", f"{array}_2")
    world.pass_()

    assert world.task(array, 2).state is JobState.RUNNING
    assert world.cluster.running_tasks == {array: 1}


def test_a_requeued_task_keeps_its_id_and_index(world: World) -> None:
    array = world.submit(array="0-1")
    world.pass_()
    task = world.task(array, 0)
    world.change("requeue", f"{array}_0")
    world.clean(task.id)
    assert world.job(task.id).state is JobState.PENDING
    world.pass_()

    again = world.task(array, 0)
    assert (again.id, again.attempt, again.state) == (task.id, 1, JobState.RUNNING)


def test_a_requeued_task_counts_for_the_throttle(world: World) -> None:
    """One task may run at a time, the one that comes back or the next one."""
    array = world.submit(array="0-3%1")
    world.pass_()
    task = world.task(array, 0).id
    world.change("requeue", task)
    world.clean(task)
    world.pass_()
    assert world.cluster.running_tasks == {array: 1}

    running = next(job for job in world.cluster.jobs_named(array) if job.state is JobState.RUNNING)
    world.end_script(running.id)
    world.pass_()

    assert world.cluster.running_tasks == {array: 1}


def test_cancelled_tasks_can_be_requeued_and_run_under_their_indices(world: World) -> None:
    """They ended as one record; the last one to start takes that record's id."""
    array = world.submit(array="0-3", is_held=True)
    world.cancel(f"{array}_[1-2]")
    part = array + 1
    world.change("requeue", part)
    world.change("release", part)
    world.pass_()

    assert ids(world, array) == {1: part + 1, 2: part}
    assert {world.task(array, index).array_job_id for index in (1, 2)} == {array}
    world.cancel(array, caller=ROOT)
    for job in list(world.cluster.jobs.values()):
        world.clean(job.id)
    world.pass_time(2 * world.settings.min_job_age_s)
    assert world.cluster.jobs == {}


def test_a_lost_node_requeues_the_tasks_there(world: World) -> None:
    array = world.submit(array="0-1", cpus_per_task=4)
    world.pass_()
    on_first = next(job for job in world.cluster.jobs_named(array) if job.nodes == ("n1",))
    world.lose("n1")

    assert world.job(on_first.id).state is JobState.PENDING
    assert world.cluster.running_tasks == {array: 1}


def test_every_task_survives_a_restart(world: World) -> None:
    array = world.submit(array="0-5%2")
    world.pass_()
    before = {job.id: job for job in world.cluster.jobs.values()}
    world.restart()

    assert world.cluster.jobs == before
    assert world.cluster.running_tasks == {array: 2}
    assert ids(world, array).keys() == {0, 1}
