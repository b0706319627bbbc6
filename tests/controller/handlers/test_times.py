"""Rules for least limits, deadlines and begin times, from submission to the end of the job."""

import pytest

from sluice.errors import RequestError
from sluice.model.priority import PriorityContext, PrioritySetup
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluice_plugins.priority.waiting import AgeFactor
from sluicectld.rpc.views import job_view
from tests.engine_builder import ANN, OPERATOR, World

PENDING, RUNNING = JobState.PENDING, JobState.RUNNING
HOUR = 3600


@pytest.fixture
def world() -> World:
    return World(nodes=2, cpus=1)


def plan_for_both(world: World, in_s: int = 1800) -> int:
    """Have a job hold a planned start on both nodes; until then one is free."""
    world.start(limit_s=in_s)
    return world.submit(nodes=2, limit_s=HOUR)


# --- least limits


def test_a_shortened_limit_is_the_one_that_is_shown_and_enforced(world):
    plan_for_both(world)
    job_id = world.submit(limit_s=HOUR, min_limit_s=600)
    world.pass_()

    assert (world.job(job_id).state, world.job(job_id).limit_s) == (RUNNING, 1800)
    world.pass_time(1801)
    assert world.job(job_id).state is JobState.TIMEOUT


def test_the_planned_start_that_it_was_shortened_for_is_met(world):
    wide = plan_for_both(world)
    job_id = world.submit(limit_s=HOUR, min_limit_s=600)
    world.pass_()
    running = [job.id for job in world.cluster.jobs.values() if job.state is RUNNING]
    world.pass_time(1801)
    for each in running:
        world.clean(each)
    world.pass_()

    assert world.job(wide).state is RUNNING
    assert world.job(job_id).ended_at == world.job(wide).submitted_at + 1800


def test_the_next_run_begins_with_the_limit_that_was_asked_for(world):
    plan_for_both(world)
    job_id = world.submit(limit_s=HOUR, min_limit_s=600)
    world.pass_()
    world.change("requeue", job_id, caller=OPERATOR)
    world.clean(job_id)

    assert world.job(job_id).limit_s == HOUR


def test_a_least_limit_is_kept_in_whole_minutes(world):
    assert world.job(world.submit(limit_s=HOUR, min_limit_s=61)).spec.min_limit_s == 120


def test_a_least_limit_above_the_limit_is_refused(world):
    with pytest.raises(RequestError, match="at least 7200 s requested") as refusal:
        world.submit(limit_s=HOUR, min_limit_s=7200)
    assert refusal.value.code == "time_limit"


# --- deadlines


def test_no_job_ends_because_its_start_is_expected_after_its_deadline(world):
    """The running job has a limit of two hours and ends after ten minutes: there was time enough."""
    blockers = [world.start(limit_s=2 * HOUR), world.start(limit_s=2 * HOUR)]
    late = world.submit(limit_s=600, deadline_at=world.now + HOUR)
    plan = world.pass_()

    assert plan.planned[late].at > world.job(late).spec.deadline_at
    assert world.job(late).state is PENDING
    world.pass_time(600)
    world.end_script(blockers[0])
    world.pass_()
    assert world.job(late).state is RUNNING


@pytest.mark.parametrize(("least_s", "until_s"), [(None, 3000), (120, 3480)], ids=["its limit", "its least limit"])
def test_a_job_ends_in_the_moment_in_which_it_can_no_longer_end_in_time(world, least_s, until_s):
    world.start(limit_s=2 * HOUR)
    world.start(limit_s=2 * HOUR)
    late = world.submit(limit_s=600, min_limit_s=least_s, deadline_at=world.now + HOUR)
    world.pass_time(until_s - 1)
    assert world.job(late).state is PENDING

    world.pass_time(1)
    assert world.job(late).state is JobState.DEADLINE
    assert world.job(late).reason is Reason.DEADLINE


def test_a_job_that_may_be_shortened_runs_until_its_deadline(world):
    blockers = [world.start(limit_s=2 * HOUR), world.start(limit_s=2 * HOUR)]
    late = world.submit(limit_s=HOUR, min_limit_s=600, deadline_at=world.now + HOUR)
    world.pass_time(1500)
    world.end_script(blockers[0])
    world.pass_()

    assert world.job(late).limit_s == 2100
    world.pass_time(2101)
    assert world.job(late).state is JobState.TIMEOUT
    assert world.job(late).ended_at == world.job(late).spec.deadline_at


def test_a_running_job_outlives_its_deadline(world):
    job_id = world.start(limit_s=600, deadline_at=world.now + 700)
    world.update(job_id, OPERATOR, TimeLimit="60")
    world.pass_time(1000)

    assert world.job(job_id).state is RUNNING


# --- begin times


def test_a_job_is_neither_started_nor_planned_before_its_begin_and_shows_it_as_its_start(world):
    job_id = world.submit(begin_at=world.now + HOUR)
    plan = world.pass_()

    assert plan.planned == {}
    view = job_view(world.job(job_id), plan, world.now, {})
    assert view.planned_start_at == world.now + HOUR
    assert [blocker.reason for blocker in view.blockers] == [Reason.BEGIN_TIME]


def test_a_job_that_begins_later_keeps_nobody_waiting(world):
    world.submit(nodes=2, begin_at=world.now + 600)
    other = world.submit(nodes=2, limit_s=HOUR)
    world.pass_()

    assert world.job(other).state is RUNNING


def test_a_pass_is_due_when_the_begin_comes(world):
    job_id = world.submit(begin_at=world.now + HOUR)
    world.pass_()
    assert not world.engine.is_pass_due

    world.pass_time(HOUR)
    assert world.engine.is_pass_due
    world.pass_()
    assert world.job(job_id).started_at == world.now


# --- age


def age_s(world: World, job_id: int, *flags: str) -> float:
    """Return for how long the job has gained priority by waiting."""
    setup = PrioritySetup(max_age_s=1_000_000, flags=frozenset(flags))
    (factor,) = AgeFactor().compute_of_jobs([world.job(job_id)], PriorityContext(now_at=world.now, setup=setup))
    return round(factor * 1_000_000)


def full(world: World) -> int:
    world.start()
    return world.start()


def test_a_waiting_job_ages_from_its_submission(world):
    full(world)
    job_id = world.submit()
    world.pass_time(100)

    assert age_s(world, job_id) == 100


def test_a_hold_stops_ageing_and_a_release_begins_it_anew(world):
    full(world)
    job_id = world.submit()
    world.pass_time(100)
    world.change("hold", job_id)
    world.pass_time(100)
    assert age_s(world, job_id) == 0

    world.change("release", job_id)
    world.pass_time(50)
    assert age_s(world, job_id) == 50


def test_a_job_ages_from_its_begin(world):
    full(world)
    job_id = world.submit(begin_at=world.now + 100)
    world.pass_time(130)

    assert age_s(world, job_id) == 30


def test_a_job_ages_from_the_end_of_what_it_depends_on(world):
    first = full(world)
    job_id = world.submit(after=f"afterany:{first}", nodes=2)
    world.pass_time(100)
    assert age_s(world, job_id) == 0

    world.end_script(first)
    world.pass_time(40)
    assert age_s(world, job_id) == 40


@pytest.mark.parametrize("waits", [{"is_held": True}, {"begin_at": 2_000_000.0}, {"after": "afterok:1"}])
def test_with_accrue_always_a_job_ages_whatever_it_waits_for(world, waits):
    full(world)
    job_id = world.submit(ANN, **waits)
    world.pass_time(100)

    assert age_s(world, job_id) == 0
    assert age_s(world, job_id, "ACCRUE_ALWAYS") == 100


def test_components_of_a_heterogeneous_job_age_one_by_one(world):
    full(world)
    leader_id = world.submit_het({}, {"is_held": True})
    world.pass_time(100)

    assert [age_s(world, leader_id + place) for place in (0, 1)] == [100, 0]
