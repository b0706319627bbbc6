"""Dependencies: every type, alone and together, on jobs, arrays and tasks; what can never hold; what never was."""

from collections.abc import Callable

import pytest

from sluice.errors import RequestError
from sluice.model.reason import Reason
from sluice.model.request import JobSpec
from sluice.model.states import JobState
from sluice.wire.messages import SubmitJob
from sluicectld.scheduler.plan import Plan
from sluicectld.state.commands import AcceptJob
from sluicectld.state.dependencies import Outcome
from tests.engine_builder import ANN, BOB, ROOT, World, dependency_of

MakeWorld = Callable[..., World]


def is_free(world: World, job_id: int) -> bool:
    """Does a pass start the job, as far as its dependency is concerned?"""
    return job_id in world.cluster.ready


def end(world: World, job_id: int, how: str) -> None:
    """End a running job: "ok", "failed", "cancelled", "timeout", or a pending one: "never ran"."""
    if how == "ok":
        world.end_script(job_id)
    elif how == "failed":
        world.end_script(job_id, exit_code=1)
    elif how == "timeout":
        world.pass_time(60)
    else:
        world.cancel(job_id)


@pytest.mark.parametrize(
    ("kind", "how", "verdict"),
    [
        ("afterok", "ok", "free"),
        ("afterok", "failed", "never"),
        ("afterok", "cancelled", "never"),
        ("afterok", "timeout", "never"),
        ("afterok", "never ran", "never"),
        ("afternotok", "ok", "never"),
        ("afternotok", "failed", "free"),
        ("afternotok", "cancelled", "free"),
        ("afternotok", "timeout", "free"),
        ("afternotok", "never ran", "free"),
        ("afterany", "ok", "free"),
        ("afterany", "failed", "free"),
        ("afterany", "cancelled", "free"),
        ("afterany", "never ran", "free"),
        ("after", "never ran", "free"),
        ("aftercorr", "ok", "free"),
        ("aftercorr", "failed", "never"),
        ("afterburstbuffer", "ok", "free"),
    ],
)
def test_the_end_of_a_job_decides(world: World, kind: str, how: str, verdict: str) -> None:
    other = world.submit(is_held=True) if how == "never ran" else world.start(limit_s=60)
    job_id = world.submit(after=f"{kind}:{other}")
    assert not is_free(world, job_id)

    end(world, other, how)

    assert is_free(world, job_id) == (verdict == "free")
    is_never = world.job(job_id).reason is Reason.DEPENDENCY_NEVER_SATISFIED
    assert is_never == (verdict == "never")


def test_after_waits_for_the_start_alone(world: World) -> None:
    other = world.submit()
    job_id = world.submit(after=f"after:{other}")
    assert not is_free(world, job_id)

    world.pass_()

    assert world.job(other).state is JobState.RUNNING
    assert is_free(world, job_id)


def test_a_start_that_frees_another_job_makes_a_pass_due(world: World) -> None:
    """The plan that starts the one is applied; nothing else happens after it."""
    world.submit()
    world.submit(after="after:1")
    world.pass_()

    assert world.engine.is_pass_due


def test_after_with_minutes_waits_them_out(world: World) -> None:
    other = world.start()
    job_id = world.submit(after=f"after:{other}+10")

    world.pass_time(599)
    assert not is_free(world, job_id)
    world.pass_time(1)
    assert is_free(world, job_id)


def test_after_with_minutes_waits_them_out_over_a_restart(world: World) -> None:
    other = world.start()
    job_id = world.submit(after=f"after:{other}+10")
    world.pass_time(60)
    world.restart()

    world.pass_time(539)
    assert not is_free(world, job_id)
    world.pass_time(1)
    assert is_free(world, job_id)


def test_after_an_array_waits_for_its_last_task_to_start(world: World) -> None:
    array = world.submit(array="1-2%1")
    job_id = world.submit(after=f"after:{array}")
    world.pass_()
    assert not is_free(world, job_id)

    world.end_script(world.task(array, 1).id)
    world.pass_()

    assert is_free(world, job_id)


def test_all_terms_must_hold_and_those_that_do_vanish(world: World) -> None:
    first, second = world.start(), world.start()
    job_id = world.submit(after=f"afterok:{first},afterany:{second}")

    world.end_script(first)
    assert [term.job_id for term in world.job(job_id).dependency.terms] == [second]
    assert not is_free(world, job_id)

    world.end_script(second, exit_code=1)
    assert world.job(job_id).dependency.terms == ()
    assert is_free(world, job_id)


def test_one_of_several_is_enough(world: World) -> None:
    first, second = world.start(), world.start()
    job_id = world.submit(after=f"afterok:{first}?afterok:{second}")

    world.end_script(first, exit_code=1)
    assert not is_free(world, job_id)
    assert world.job(job_id).reason is Reason.NONE

    world.end_script(second)
    assert is_free(world, job_id)


def test_when_none_of_several_can_hold_it_is_told(world: World) -> None:
    first, second = world.start(), world.start()
    job_id = world.submit(after=f"afterok:{first}?afterok:{second}")
    world.end_script(first, exit_code=1)
    world.end_script(second, exit_code=1)

    assert world.job(job_id).reason is Reason.DEPENDENCY_NEVER_SATISFIED


@pytest.mark.parametrize("kind", ["afterok", "afternotok", "afterany", "after", "aftercorr"])
def test_a_job_that_never_was_counts_as_met(world: World, kind: str) -> None:
    """Observed of 22.05: afterok:999999 is accepted, and the job runs."""
    assert is_free(world, world.submit(after=f"{kind}:999999"))


@pytest.mark.parametrize(
    ("kind", "is_success", "verdict"),
    [
        ("afterok", True, "free"),
        ("afterok", False, "never"),
        ("afternotok", True, "never"),
        ("afternotok", False, "free"),
        ("afterany", False, "free"),
    ],
)
def test_a_job_that_only_the_accounting_knows_is_judged_by_that(
    world: World, kind: str, is_success: bool, verdict: str
) -> None:
    gone = Outcome(has_started=True, started_at=world.now - 9000, is_ended=True, is_success=is_success)

    job_id = world.submit(after=f"{kind}:77", ended={(77, None): gone})

    assert is_free(world, job_id) == (verdict == "free")
    assert (world.job(job_id).reason is Reason.DEPENDENCY_NEVER_SATISFIED) == (verdict == "never")


def test_what_can_never_hold_stays_so_when_something_else_wakes_the_job(world: World) -> None:
    """The failed job is known to the accounting alone: looking for it in memory again must not free the job."""
    failed = Outcome(has_started=True, started_at=world.now - 9000, is_ended=True)
    world.start(name="twin")
    job_id = world.submit(name="twin", after="afterok:77,singleton", ended={(77, None): failed})

    world.end_script(1)

    assert not is_free(world, job_id)
    assert world.job(job_id).reason is Reason.DEPENDENCY_NEVER_SATISFIED


def test_of_a_long_gone_job_only_the_pause_after_its_start_is_left(world: World) -> None:
    gone = Outcome(has_started=True, started_at=world.now - 60, is_ended=True, is_success=True)

    job_id = world.submit(after="after:77+2", ended={(77, None): gone})

    assert world.job(job_id).begin_at == world.now + 60
    assert world.job(job_id).dependency.terms == ()


def test_a_failed_job_that_is_requeued_gives_hope_again(world: World) -> None:
    other = world.start()
    job_id = world.submit(after=f"afterok:{other}")
    world.end_script(other, exit_code=1)
    world.change("requeue", other)
    assert world.job(job_id).reason is Reason.NONE

    world.pass_()
    world.end_script(other)

    assert is_free(world, job_id)


def test_a_job_on_its_way_back_into_the_queue_has_not_ended(world: World) -> None:
    other = world.start()
    job_id = world.submit(after=f"afterany:{other}")
    world.change("requeue", other)
    assert not is_free(world, job_id)
    world.clean(other)

    assert not is_free(world, job_id)


# --- arrays


def test_an_array_has_succeeded_when_every_task_has(world: World) -> None:
    array = world.submit(array="1-3")
    job_id = world.submit(after=f"afterok:{array}")
    world.pass_()
    for index in (1, 2):
        world.end_script(world.task(array, index).id)
    assert not is_free(world, job_id)

    world.end_script(world.task(array, 3).id)

    assert is_free(world, job_id)


def test_one_failed_task_fails_the_array_once_all_have_ended(world: World) -> None:
    array = world.submit(array="1-2")
    ok, not_ok = world.submit(after=f"afterok:{array}"), world.submit(after=f"afternotok:{array}")
    world.pass_()
    world.end_script(world.task(array, 1).id, exit_code=1)
    assert world.job(ok).reason is Reason.NONE

    world.end_script(world.task(array, 2).id)

    assert world.job(ok).reason is Reason.DEPENDENCY_NEVER_SATISFIED
    assert is_free(world, not_ok)


def test_tasks_that_were_cancelled_unstarted_count(world: World) -> None:
    array = world.submit(array="1-3%1")
    job_id = world.submit(after=f"afterok:{array}")
    world.pass_()
    world.cancel(f"{array}_[2-3]")

    world.end_script(world.task(array, 1).id)

    assert world.job(job_id).reason is Reason.DEPENDENCY_NEVER_SATISFIED


def test_a_single_task_can_be_waited_for(world: World) -> None:
    array = world.submit(array="1-3%1")
    job_id = world.submit(after=f"afterok:{array}_1")
    world.pass_()
    world.end_script(world.task(array, 1).id)

    assert is_free(world, job_id)


def test_a_task_that_is_cancelled_in_a_part_is_known_by_its_index(world: World) -> None:
    array = world.submit(array="1-5", is_held=True)
    job_id = world.submit(after=f"afterany:{array}_4")
    world.cancel(f"{array}_[3-4]")

    assert is_free(world, job_id)


def started_tasks(world: World, array: int) -> set[int]:
    return set(world.cluster.tasks.get(array, {}))


def test_each_task_follows_its_counterpart(make_world: MakeWorld) -> None:
    world = make_world(nodes=2)
    first = world.submit(array="1-3")
    second = world.submit(array="1-3", after=f"aftercorr:{first}")
    world.pass_()
    assert started_tasks(world, second) == set()

    world.end_script(world.task(first, 2).id)
    world.pass_()
    assert started_tasks(world, second) == {2}

    world.end_script(world.task(first, 1).id, exit_code=1)
    world.end_script(world.task(first, 3).id)
    world.pass_()
    assert started_tasks(world, second) == {2, 3}
    assert world.job(second).reason is Reason.DEPENDENCY_NEVER_SATISFIED


def test_tasks_without_a_successful_counterpart_are_cancelled_when_that_is_wanted(world: World) -> None:
    first = world.submit(array="1-3")
    second = world.submit(array="1-4", after=f"aftercorr:{first}", kill_on_invalid_dependency=True)
    world.pass_()
    for index, code in ((1, 0), (2, 1), (3, 0)):
        world.end_script(world.task(first, index).id, exit_code=code)

    part = world.job(second + 3)
    assert part.pending_array is not None
    assert (part.state, part.pending_array.ranges) == (JobState.CANCELLED, ((2, 2, 1), (4, 4, 1)))
    world.pass_()
    assert started_tasks(world, second) == {1, 3}


def test_an_array_after_a_plain_job_follows_it_as_a_whole(world: World) -> None:
    other = world.start()
    array = world.submit(array="1-2", after=f"aftercorr:{other}")
    world.end_script(other)
    world.pass_()

    assert started_tasks(world, array) == {1, 2}


def test_a_task_that_started_after_its_counterpart_can_be_requeued(world: World) -> None:
    """Its condition is behind it; it must not wait for it a second time."""
    first = world.submit(array="1-2")
    second = world.submit(array="1-2", after=f"aftercorr:{first}")
    world.pass_()
    world.end_script(world.task(first, 1).id)
    world.pass_()
    task = world.task(second, 1).id
    world.change("requeue", task)
    world.clean(task)
    world.pass_()

    assert (world.job(task).state, world.job(task).attempt) == (JobState.RUNNING, 1)


def test_a_thousand_tasks_end_without_a_walk_over_them_all(make_world: MakeWorld) -> None:
    """Every end and start of a task looks at counts: the records are visited a few times each, not a million times."""
    world = make_world(nodes=1, cpus=128)
    array = world.submit(array="0-99")
    job_id = world.submit(after=f"afterok:{array}")
    visits = 0
    original = world.cluster.jobs_named

    def counting(job_id: int) -> object:
        nonlocal visits
        visits += 1
        return original(job_id)

    world.cluster.jobs_named = counting  # type: ignore[method-assign,assignment]
    world.pass_()
    world.report(*(world.result(task) for task in list(world.cluster.tasks[array].values())))

    assert is_free(world, job_id)
    assert visits == 0


# --- singleton


def test_a_singleton_waits_for_the_running_job_of_its_name(world: World) -> None:
    first = world.start(name="one")
    second = world.submit(name="one", after="singleton")
    assert not is_free(world, second)

    world.end_script(first)

    assert is_free(world, second)


def test_singletons_of_one_name_run_one_after_the_other(world: World) -> None:
    first, second, third = (world.submit(name="one", after="singleton") for _ in range(3))
    world.pass_()
    assert [world.job(each).state.value for each in (first, second, third)] == ["RUNNING", "PENDING", "PENDING"]

    world.end_script(first)
    world.pass_()
    assert [world.job(each).state.value for each in (second, third)] == ["RUNNING", "PENDING"]


def test_other_names_and_users_do_not_matter(world: World) -> None:
    world.start(BOB, name="one")
    world.start(name="two")

    assert is_free(world, world.submit(name="one", after="singleton"))


def test_a_held_singleton_does_not_stand_in_the_way(world: World) -> None:
    world.submit(name="one", after="singleton", is_held=True)

    assert is_free(world, world.submit(name="one", after="singleton"))


def test_a_singleton_and_one_that_waits_for_it_do_not_block_each_other(world: World) -> None:
    """The older one has another condition: the younger one's end."""
    older = world.submit(name="one", is_held=True)
    younger = world.submit(name="one", after="singleton")
    world.update(older, Dependency=f"afterok:{younger}")
    world.change("release", older)

    assert is_free(world, younger)


def test_a_renamed_job_leaves_the_name_behind(world: World) -> None:
    first = world.start(name="one")
    second = world.submit(name="one", after="singleton")
    world.update(first, Name="other")
    world.end_script(first)
    world.pass_time(400)
    third = world.submit(name="one")
    world.cancel(third)

    assert is_free(world, second)


# --- what can never hold


def test_a_job_that_wants_it_is_cancelled_when_its_dependency_can_never_hold(world: World) -> None:
    other = world.start()
    job_id = world.submit(after=f"afterok:{other}", kill_on_invalid_dependency=True)
    world.end_script(other, exit_code=1)

    job = world.job(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.DEPENDENCY_NEVER_SATISFIED)


@pytest.mark.parametrize(("wish", "state"), [(None, JobState.CANCELLED), (False, JobState.PENDING)])
def test_the_site_may_want_it_and_a_job_may_not(make_world: MakeWorld, wish: bool | None, state: JobState) -> None:
    world = make_world(dependency_parameters={"kill_invalid_depend": ""})
    other = world.start()
    world.end_script(other, exit_code=1)

    job_id = world.submit(after=f"afterok:{other}", kill_on_invalid_dependency=wish)

    assert world.job(job_id).state is state


def test_a_long_chain_falls_without_ado(world: World) -> None:
    """Two thousand jobs, each waiting for the one before; the first one fails."""
    first = last = world.start()
    for _ in range(2000):
        last = world.engine.handle(chained(last), ANN, world.now).reply.job_id
    world.end_script(first, exit_code=1)

    assert world.job(last).state is JobState.CANCELLED
    assert world.cluster.dependents == {}


def chained(last: int) -> AcceptJob:
    """Return a submission that waits for *last*."""
    spec = JobSpec(
        name="link",
        uid=ANN.uid,
        gid=ANN.gid,
        user=ANN.user,
        memory_per_node_mib=1,
        dependency=dependency_of(f"afterok:{last}"),
        kill_on_invalid_dependency=True,
    )
    return AcceptJob(request=SubmitJob(token="", spec=spec))


# --- afterwards


def test_a_cancelled_dependent_is_forgotten_before_what_it_waited_for(world: World) -> None:
    """The other job ends long after: nobody is left to wake."""
    other = world.start()
    job_id = world.submit(after=f"afterok:{other}")
    world.cancel(job_id)
    world.pass_time(world.settings.min_job_age_s)
    assert job_id not in world.cluster.jobs

    world.end_script(other)

    assert world.cluster.dependents == {}


def test_a_job_that_others_wait_for_is_not_forgotten(world: World) -> None:
    other = world.start()
    world.end_script(other)
    waiting = world.submit(after=f"afternotok:{other}")
    world.pass_time(10 * world.settings.min_job_age_s)
    assert other in world.cluster.jobs

    world.cancel(waiting)
    world.pass_time(10 * world.settings.min_job_age_s)

    assert other not in world.cluster.jobs


def test_an_array_is_forgotten_as_a_whole(world: World) -> None:
    """A dependency on it that comes late must find every task, or none."""
    array = world.submit(array="1-2")
    world.pass_()
    first, second = world.task(array, 1).id, world.task(array, 2).id
    world.end_script(first, exit_code=1)
    world.pass_time(10 * world.settings.min_job_age_s)
    assert first in world.cluster.jobs

    world.end_script(second)
    world.pass_time(world.settings.min_job_age_s)

    assert first not in world.cluster.jobs
    assert second not in world.cluster.jobs
    assert world.cluster.tallies == {}


def test_an_array_stays_as_long_after_its_last_task_as_any_job(world: World) -> None:
    array = world.submit(array="1-2")
    world.pass_()
    first, second = world.task(array, 1).id, world.task(array, 2).id
    world.end_script(first)
    world.pass_time(world.settings.min_job_age_s - 1)
    world.end_script(second)
    world.pass_time(world.settings.min_job_age_s - 1)

    assert second in world.cluster.jobs


def test_a_waiting_singleton_does_not_keep_others_in_memory(world: World) -> None:
    world.start(name="one")
    world.submit(name="one", after="singleton")
    other = world.start()
    world.end_script(other)
    world.pass_time(world.settings.min_job_age_s)

    assert other not in world.cluster.jobs


# --- updates


def test_a_dependency_is_changed_and_taken_away(world: World) -> None:
    first, second = world.start(), world.start()
    job_id = world.submit(after=f"afterok:{first}")
    world.update(job_id, Dependency=f"afterok:{second}")
    world.end_script(first)
    assert not is_free(world, job_id)

    world.update(job_id, Dependency="")

    assert is_free(world, job_id)


def test_a_dependency_that_could_never_hold_is_replaced(world: World) -> None:
    first, second = world.start(), world.start()
    job_id = world.submit(after=f"afterok:{first}")
    world.end_script(first, exit_code=1)
    world.update(job_id, Dependency=f"afterok:{second}")
    assert world.job(job_id).reason is Reason.NONE

    world.end_script(second)

    assert is_free(world, job_id)


def test_a_job_does_not_wait_for_itself(world: World) -> None:
    job_id = world.submit(is_held=True)

    with pytest.raises(RequestError) as refusal:
        world.update(job_id, Dependency=f"afterok:{job_id}")

    assert refusal.value.code == "dependency"


def test_a_held_job_whose_dependency_holds_stays_held(world: World) -> None:
    other = world.start()
    job_id = world.submit(after=f"afterok:{other}", is_held=True)
    world.end_script(other)

    assert not is_free(world, job_id)
    world.change("release", job_id, caller=ROOT)
    assert is_free(world, job_id)


def test_a_pass_says_what_a_dependent_waits_for(world: World) -> None:
    other = world.start()
    world.submit(after=f"afterok:{other}")

    plan: Plan = world.plan()

    assert plan.starts == ()
