"""hold, uhold, release, top, suspend, resume: who may, in which state, and what stays of it."""

import pytest

from sluice.errors import NotPermitted, RequestError
from sluice.model.reason import Reason
from sluice.model.states import Hold, JobState
from sluice.wire.messages import SignalJob
from sluicectld.state.commands import ApplyPlan
from tests.engine_builder import ANN, BOB, OPERATOR, ROOT, World


def test_a_held_job_does_not_start_until_it_is_released(world: World) -> None:
    job_id = world.submit()
    world.change("hold", job_id)
    world.pass_()
    assert world.job(job_id).hold is Hold.USER
    assert world.job(job_id).state is JobState.PENDING

    world.change("release", job_id)
    world.pass_()

    assert world.job(job_id).state is JobState.RUNNING


def test_a_plan_made_before_the_hold_does_not_start_the_job(world: World) -> None:
    job_id = world.submit()
    plan = world.plan()
    world.change("hold", job_id)

    assert world.do(ApplyPlan(plan)) == 1
    assert world.job(job_id).state is JobState.PENDING


def test_an_administrators_hold_is_not_the_users_to_end(world: World) -> None:
    job_id = world.submit()
    world.change("hold", job_id, caller=ROOT)
    assert world.job(job_id).hold is Hold.ADMIN

    with pytest.raises(NotPermitted):
        world.change("release", job_id)


@pytest.mark.parametrize("again", ["hold", "uhold"])
def test_a_user_cannot_make_an_administrators_hold_his_own(world: World, again: str) -> None:
    job_id = world.submit()
    world.change("hold", job_id, caller=ROOT)
    world.change(again, job_id)

    assert world.job(job_id).hold is Hold.ADMIN


def test_priority_zero_by_the_user_leaves_an_administrators_hold(world: World) -> None:
    job_id = world.submit()
    world.change("hold", job_id, caller=ROOT)
    world.update(job_id, Priority="0")

    assert world.job(job_id).hold is Hold.ADMIN


def test_an_administrator_can_make_his_hold_the_users(world: World) -> None:
    job_id = world.submit()
    world.change("hold", job_id, caller=ROOT)
    world.change("uhold", job_id, caller=ROOT)

    world.change("release", job_id)

    assert world.job(job_id).hold is Hold.NONE


def test_an_operator_who_holds_his_own_job_is_its_user(world: World) -> None:
    job_id = world.submit(OPERATOR)
    world.change("hold", job_id, caller=OPERATOR)

    assert world.job(job_id).hold is Hold.USER


@pytest.mark.parametrize("action", ["hold", "release", "requeue", "top", "suspend"])
def test_another_users_job_is_out_of_reach(world: World, action: str) -> None:
    job_id = world.start(ANN)

    with pytest.raises(NotPermitted, match="bob"):
        world.change(action, job_id, caller=BOB)


def test_holding_a_running_job_holds_its_next_run(world: World) -> None:
    """22.05: priority and reason change, nothing else; after a requeue it waits held."""
    job_id = world.start()
    world.change("hold", job_id)
    assert world.job(job_id).state is JobState.RUNNING
    assert world.job(job_id).reason is Reason.JOB_HELD_USER

    world.change("requeue", job_id)
    world.clean(job_id)
    world.pass_()

    assert world.job(job_id).state is JobState.PENDING
    assert world.job(job_id).hold is Hold.USER


def test_a_running_job_is_released_too(world: World) -> None:
    job_id = world.start()
    world.change("hold", job_id)
    world.change("release", job_id)

    assert world.job(job_id).hold is Hold.NONE
    assert world.job(job_id).reason is Reason.NONE


def test_an_ended_job_cannot_be_held(world: World) -> None:
    job_id = world.start()
    world.end_script(job_id)

    with pytest.raises(RequestError) as refusal:
        world.change("hold", job_id)

    assert refusal.value.code == "finished"


def test_holding_one_pending_task_leaves_the_others(world: World) -> None:
    array = world.submit(array="1-4")
    world.change("hold", f"{array}_2")
    world.pass_()

    assert world.task(array, 2).hold is Hold.USER
    assert {world.task(array, index).state for index in (1, 3, 4)} == {JobState.RUNNING}


def test_releasing_some_tasks_of_a_held_array_starts_just_those(world: World) -> None:
    array = world.submit(array="1-6", is_held=True)
    world.change("release", f"{array}_[3-4]")
    world.pass_()

    assert world.cluster.tasks[array].keys() == {3, 4}
    assert {world.task(array, index).state for index in (3, 4)} == {JobState.RUNNING}
    assert world.job(array).hold is Hold.USER


def test_releasing_a_foreign_task_splits_nothing(world: World) -> None:
    array = world.submit(array="1-6", is_held=True)

    with pytest.raises(NotPermitted):
        world.change("release", f"{array}_3", caller=BOB)

    assert array not in world.cluster.tasks


def test_holding_a_whole_array_by_its_id_holds_the_running_tasks_too(world: World) -> None:
    array = world.submit(array="1-3%1")
    world.pass_()
    assert world.change("hold", array) == ()

    assert {job.hold for job in world.cluster.jobs_named(array)} == {Hold.USER}


def test_unknown_ids_are_told(world: World) -> None:
    with pytest.raises(RequestError) as refusal:
        world.change("hold", 99)

    assert refusal.value.code == "invalid_job"


def test_of_several_ids_the_refused_ones_are_told_and_the_others_done(world: World) -> None:
    own, foreign = world.submit(ANN), world.submit(BOB)

    lines = world.change("hold", own, foreign)

    assert len(lines) == 1
    assert str(foreign) in lines[0]
    assert world.job(own).hold is Hold.USER
    assert world.job(foreign).hold is Hold.NONE


def test_jobs_are_found_by_name(world: World) -> None:
    job_id = world.submit(name="mine")
    world.change("hold", names=("mine",))

    assert world.job(job_id).hold is Hold.USER


def test_top_puts_a_job_before_the_others_of_its_user(world: World) -> None:
    world.start(nodes=2, exclusive="node")
    first, second = world.submit(), world.submit()
    world.change("top", second, caller=ROOT)

    assert world.job(second).priority > world.job(first).priority


def test_a_held_job_is_not_put_on_top(world: World) -> None:
    job_id = world.submit(is_held=True)

    with pytest.raises(RequestError) as refusal:
        world.change("top", job_id, caller=ROOT)

    assert refusal.value.code == "held"


def test_suspended_time_does_not_count_for_the_limit(world: World) -> None:
    job_id = world.start(limit_s=600)
    world.pass_time(300)
    world.change("suspend", job_id, caller=ROOT)
    assert [signal.signal for signal in world.took(SignalJob)] == [19]
    world.pass_time(3600)
    assert world.job(job_id).state is JobState.SUSPENDED

    world.change("resume", job_id, caller=ROOT)
    assert [signal.signal for signal in world.took(SignalJob)] == [18]
    world.pass_time(299)
    assert world.job(job_id).state is JobState.RUNNING

    world.pass_time(1)
    assert world.job(job_id).state is JobState.TIMEOUT


def test_suspending_twice_is_no_error_resuming_twice_is(world: World) -> None:
    job_id = world.start()
    world.change("suspend", job_id, caller=ROOT)
    world.change("suspend", job_id, caller=ROOT)
    world.change("resume", job_id, caller=ROOT)

    with pytest.raises(RequestError, match="not suspended"):
        world.change("resume", job_id, caller=ROOT)


def test_users_do_not_suspend(world: World) -> None:
    job_id = world.start()

    with pytest.raises(NotPermitted):
        world.change("suspend", job_id)


def test_a_suspended_job_gives_its_cpus_away_keeps_its_memory_and_can_be_cancelled(world: World) -> None:
    job_id = world.start(cpus_per_task=4, memory_per_node_mib=1000)
    world.change("suspend", job_id, caller=ROOT)
    assert world.free_cpus("n1") == 4
    assert world.cluster.free["n1"].free_memory_mib == 3000

    world.cancel(job_id)
    world.clean(job_id)

    assert world.job(job_id).state is JobState.CANCELLED
    assert world.free_cpus("n1") == 4


def test_an_unknown_action_is_refused(world: World) -> None:
    with pytest.raises(RequestError, match="hold, uhold"):
        world.change("explode", world.submit())
