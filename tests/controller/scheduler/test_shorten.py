"""Rules for --time-min: the longest limit with which a job starts now, and no planned start moves for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.builders import Cluster

from .test_plan_properties import snapshots

HOUR = 3600


def limits(plan):
    return {start.job_id: start.limit_s for start in plan.starts}


def before_a_planned_start(in_s: float = 1800.0) -> Cluster:
    """One CPU is free until a job for both gets its planned start."""
    cluster = Cluster(nodes=2, cpus=1).running(nodes=("n1",), ends_in_s=in_s)
    cluster.pending(nodes=2)
    return cluster


def test_a_job_ends_just_before_the_planned_start_that_it_would_delay():
    cluster = before_a_planned_start(1800)
    job = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=600)

    assert limits(decide(cluster.snapshot())) == {job.id: 1800}


def test_the_limit_is_in_whole_minutes():
    cluster = before_a_planned_start(1799.5)
    job = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=600)

    assert limits(decide(cluster.snapshot())) == {job.id: 1740}


def test_a_job_is_not_shortened_below_its_least_limit():
    cluster = before_a_planned_start(1800)
    job = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=1860)

    plan = decide(cluster.snapshot())

    assert limits(plan) == {}
    assert job.id in plan.planned
    assert plan.blockers[job.id]


def test_a_least_limit_that_just_fits_is_granted_to_the_second():
    """The planned start is 61 s away: a whole minute is less than the least, which fits all the same."""
    cluster = before_a_planned_start(61)
    job = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=61)

    assert limits(decide(cluster.snapshot())) == {job.id: 61}


def test_a_job_that_fits_keeps_its_limit():
    cluster = before_a_planned_start(1800)
    job = cluster.pending(nodes=1, limit_s=1800, min_limit_s=60)

    assert limits(decide(cluster.snapshot())) == {job.id: 1800}


def test_a_job_without_a_limit_may_be_given_one():
    cluster = before_a_planned_start(1800)
    job = cluster.pending(nodes=1, limit_s=None, min_limit_s=60)

    assert limits(decide(cluster.snapshot())) == {job.id: 1800}


def test_room_that_is_missing_now_is_not_made_by_a_shorter_limit():
    cluster = Cluster(nodes=1, cpus=1).running(nodes=1, ends_in_s=600)
    job = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=60)

    plan = decide(cluster.snapshot())

    assert limits(plan) == {}
    assert plan.planned[job.id].at == cluster.now_at + 600


def test_without_backfill_no_limit_is_shortened():
    cluster = before_a_planned_start(1800)
    cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=600)

    assert limits(decide(cluster.snapshot(), Policy(is_backfilling=False))) == {}


def test_a_twin_that_may_be_shortened_starts_where_one_that_may_not_waits():
    """They ask for the same; what does not fit for one with the full limit may fit for the other with a shorter one."""
    cluster = before_a_planned_start(1800)
    rigid = cluster.pending(nodes=1, limit_s=HOUR)
    supple = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=600)

    plan = decide(cluster.snapshot())

    assert limits(plan) == {supple.id: 1800}
    assert rigid.id in plan.planned


def test_a_twin_with_a_full_limit_is_looked_at_after_a_shortened_one():
    cluster = Cluster(nodes=3, cpus=1).running(nodes=("n1",), ends_in_s=600)
    cluster.pending(nodes=2, required_nodes=("n1", "n2"))
    supple = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=600, required_nodes=("n2",))
    rigid = cluster.pending(nodes=1, limit_s=HOUR)

    assert limits(decide(cluster.snapshot())) == {supple.id: 600, rigid.id: HOUR}


def test_tasks_of_an_array_are_shortened_too():
    cluster = before_a_planned_start(1800)
    array = cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=600, tasks=((0, 3, 1),))

    plan = decide(cluster.snapshot())

    assert [(start.job_id, start.task_id, start.limit_s) for start in plan.starts] == [(array.id, 0, 1800)]


# --- deadlines


def test_a_deadline_shortens_a_limit_that_may_be_shortened():
    cluster = Cluster(nodes=1)
    job = cluster.pending(limit_s=HOUR, min_limit_s=600, deadline_at=cluster.now_at + 1830)

    assert limits(decide(cluster.snapshot())) == {job.id: 1800}


def test_a_deadline_changes_no_limit_that_may_not_be_shortened():
    """It is ended when it can no longer end in time; until then, and in the very second, it may start."""
    cluster = Cluster(nodes=1)
    job = cluster.pending(limit_s=HOUR, deadline_at=cluster.now_at + HOUR)

    assert limits(decide(cluster.snapshot())) == {job.id: HOUR}


def test_a_job_that_its_deadline_shortens_is_planned_as_long_as_that():
    cluster = Cluster(nodes=1, cpus=1).running(nodes=1, ends_in_s=600)
    job = cluster.pending(limit_s=HOUR, min_limit_s=600, deadline_at=cluster.now_at + 1800)
    twin = cluster.pending(limit_s=HOUR)

    plan = decide(cluster.snapshot())

    assert plan.planned[job.id].at == cluster.now_at + 600
    assert plan.planned[twin.id].at == cluster.now_at + 600 + 1800


# --- laws


@st.composite
def supple_snapshots(draw: st.DrawFn) -> Snapshot:
    """Random clusters where some jobs have a least limit."""
    snapshot = draw(snapshots())
    pending = []
    for job in snapshot.pending:
        least_s = draw(st.sampled_from([None, None, 60, 120, 600]))
        fits = least_s is not None and not job.is_component and (job.limit_s is None or least_s <= job.limit_s)
        pending.append(replace(job, spec=replace(job.spec, min_limit_s=least_s)) if fits else job)
    return replace(snapshot, pending=tuple(pending))


def full_limits(snapshot: Snapshot, ids: set[int]) -> Snapshot:
    """The same where these jobs may not be shortened."""
    return replace(
        snapshot,
        pending=tuple(
            replace(job, spec=replace(job.spec, min_limit_s=None)) if job.id in ids else job for job in snapshot.pending
        ),
    )


@given(supple_snapshots())
@settings(max_examples=150)
def test_a_granted_limit_lies_between_the_least_and_the_asked_one(snapshot):
    jobs = {job.id: job for job in snapshot.pending}
    for start in decide(snapshot, Policy(backfill_window_s=1e9)).starts:
        asked, least = jobs[start.job_id].limit_s, jobs[start.job_id].spec.min_limit_s
        if start.limit_s != asked:
            assert least is not None
            assert least <= start.limit_s < (asked or 1e18)
            assert start.limit_s % 60 == 0


@given(snapshots(), st.sampled_from([60, 120, 600]), st.sampled_from([1800, 7200, None]))
@settings(max_examples=150)
def test_the_last_job_gets_the_longest_limit_that_delays_nobody(snapshot, least_s, limit_s):
    """Behind all others: everybody's planned start stays, and one minute more would not have fitted."""
    policy = Policy(backfill_window_s=1e9, backfill_jobs_max=10_000)
    cluster = Cluster()
    cluster.next_job_id = 1000
    last = cluster.pending(nodes=1, limit_s=limit_s, priority=0, min_limit_s=least_s)
    alone = decide(snapshot, policy)
    plan = decide(replace(snapshot, pending=(*snapshot.pending, last)), policy)
    assert {job_id: plan.planned[job_id] for job_id in alone.planned} == alone.planned
    granted = limits(plan)
    if last.id in granted and granted[last.id] == limit_s:
        return
    probe = granted[last.id] + 60 if last.id in granted else least_s
    if limit_s is None or probe <= limit_s:
        longer = replace(last, limit_s=probe, spec=replace(last.spec, min_limit_s=None))
        assert last.id not in limits(decide(replace(snapshot, pending=(*snapshot.pending, longer)), policy))


@given(supple_snapshots(), st.booleans())
@settings(max_examples=100)
def test_a_memory_changes_no_limit(snapshot, is_explaining):
    policy = Policy(backfill_window_s=1e9, is_explaining=is_explaining)
    memory = Memory()
    decide(full_limits(snapshot, {job.id for job in snapshot.pending}), policy, memory=memory)

    again, fresh = decide(snapshot, policy, memory=memory), decide(snapshot, policy)
    assert again.starts == fresh.starts
    assert again.planned == fresh.planned


@pytest.mark.parametrize("planned_max", [1, 500], ids=["EASY", "conservative"])
def test_a_shortened_job_takes_no_ones_place_among_the_planned(planned_max):
    """The third of the queue is the first that waits, though the second did not fit with its full limit."""
    cluster = before_a_planned_start(1800)
    cluster.pending(nodes=1, limit_s=HOUR, min_limit_s=600)

    plan = decide(cluster.snapshot(), Policy(planned_max=planned_max))

    assert len(plan.starts) == 1
    assert len(plan.planned) == 1
