"""Laws of planned starts with licenses and limits, on small random clusters."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.reservation import Reservation
from sluice.model.usage import Holder, HolderKind, Usage
from sluicectld.scheduler.decide import Pass, decide
from sluicectld.scheduler.memory import Memory, make_scene
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.queue import rank_jobs
from sluicectld.scheduler.snapshot import Policy, RunningJob, Snapshot
from sluicectld.scheduler.tracks import NEVER
from sluicectld.state import resources
from tests.builders import Cluster
from tests.controller.scheduler.test_fixed_point import without
from tests.limits_builder import Site

_ALL = {"backfill_window_s": 1e9, "accounting_enforced": frozenset({"associations", "limits", "qos"})}
HYBRID = Policy(**_ALL)
POLICIES = st.sampled_from(
    [
        HYBRID,
        Policy(**_ALL, planned_max=1),
        Policy(**_ALL, planned_max=1, is_shortest_first=True),
        Policy(**_ALL, planned_max=1, is_predicting=True),
        Policy(**_ALL, planned_max=10**9, planned_per_shape_max=10**9, keeps_promises=True),
        Policy(**_ALL, is_backfilling=False),
    ]
)
NAMES = ("a", "b")
LICENSES = st.sampled_from(["", "", "a", "a:2", "b", "a,b:2", "a|b", "b:2|a:3"])
USERS = st.sampled_from(["ann", "bob"])
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "group_jobs": st.integers(1, 3),
        "group_tres": st.sampled_from([{"cpu": 4}, {"node": 2}, {"cpu": 6, "license/a": 2}]),
    },
)
few = settings(max_examples=100)

requests = st.fixed_dictionaries(
    {
        "nodes": st.integers(1, 2),
        "ntasks": st.integers(2, 4),
        "limit_s": st.sampled_from([60, 300, 600, 1800]),
        "licenses": LICENSES,
        "user": USERS,
        "exclusive": st.sampled_from(["", "", "node"]),
        "tasks": st.sampled_from([(), (), (), ((1, 3, 1),)]),
        "partitions": st.sampled_from([("batch",), ("batch",), ("half", "batch")]),
    }
)


@st.composite
def snapshots(draw: st.DrawFn, has_arrays: bool = True, reserves: bool = True) -> Snapshot:
    """A few nodes; licenses and limits that some running jobs use; and a queue of those who want some, too."""
    cluster = Cluster(nodes=draw(st.integers(2, 4)))
    cluster.partition("half", tuple(cluster.free_by_name)[:2])
    cluster.licenses(a=draw(st.integers(1, 4)), b=draw(st.integers(1, 4)))
    for name in tuple(cluster.free_by_name)[: draw(st.integers(0, 3))]:
        ends_in_s = draw(st.sampled_from([-5.0, 60.0, 300.0, 1000.0, None]))
        license_name = draw(st.sampled_from(NAMES))
        held = ((license_name, 1),) if cluster.licenses_free[license_name] and draw(st.booleans()) else ()
        cpus, user = draw(st.integers(1, 4)), draw(USERS)
        cluster.running((name,), cpus=cpus, ends_in_s=ends_in_s, licenses=held, user=user)
    for fields in draw(st.lists(requests, max_size=7)):
        if not has_arrays:
            fields |= {"tasks": ()}
        cluster.pending(**fields)
    snapshot = cluster.snapshot()
    if draw(st.booleans()):
        site = draw(sites())
        tables = {"associations": site.associations, "qos": site.qos_table}
        snapshot = replace(snapshot, **tables, usage=count_usage(snapshot.running))
    if reserves and draw(st.integers(0, 3)) == 0:
        snapshot = replace(snapshot, reservations=(draw(license_reservations(cluster.now_at)),))
    return snapshot


@st.composite
def sites(draw: st.DrawFn) -> Site:
    site = Site().account("physics", **draw(LIMITS))
    most = draw(st.sampled_from([None, 1, 2]))
    return site.user("ann", "physics", max_jobs=most).user("bob", "physics")


@st.composite
def license_reservations(draw: st.DrawFn, now_at: float) -> Reservation:
    from_at = now_at + draw(st.sampled_from([-60.0, 120.0, 600.0]))
    return Reservation(
        id=1,
        name="r1",
        users=("root",),
        flags=("ANY_NODES",),
        licenses=((draw(st.sampled_from(NAMES)), draw(st.integers(1, 3))),),
        start_at=from_at,
        end_at=from_at + 900.0,
        anchor_at=from_at,
    )


def count_usage(running: tuple[RunningJob, ...]) -> dict[Holder, Usage]:
    """Return what the running jobs use, as accounting counts it."""
    used: dict[Holder, Usage] = {}
    for each in running:
        assert each.job is not None
        tres: dict[str, int] = {}
        for name, count in amounts_of(each).items():
            tres[name] = count
        for key in (("physics", each.job.spec.user), ("physics", ""), ("root", "")):
            holder = Holder(HolderKind.ASSOCIATION, *key)
            old = used.get(holder, Usage())
            total = {name: old.tres.get(name, 0) + tres.get(name, 0) for name in {*old.tres, *tres}}
            used[holder] = Usage(jobs=old.jobs + 1, tres=total)
    return used


def amounts_of(running: RunningJob) -> dict[str, int]:
    allocation = running.allocation
    cpus = sum(grant.cpu_count for grant in allocation.grants)
    licenses = {f"license/{name}": count for name, count in allocation.licenses}
    return {"cpu": cpus, "node": len(allocation.grants), **licenses}


def applied(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """Return the snapshot after the plan's starts, at the same moment."""
    jobs = {job.id: job for job in snapshot.pending}
    free = {each.node.name: each for each in snapshot.nodes}
    running, licenses = list(snapshot.running), dict(snapshot.licenses_free)
    for number, start in enumerate(plan.starts):
        job = replace(jobs.pop(start.job_id), allocation=start.allocation)
        for grant in start.allocation.grants:
            free[grant.node] = resources.take(free[grant.node], grant, job)
        for name, count in start.allocation.licenses:
            licenses[name] -= count
        end_at = None if start.limit_s is None else snapshot.now_at + start.limit_s
        record = replace(job, id=900_000 + 1000 * snapshot.version + number, limit_s=start.limit_s)
        running.append(
            RunningJob(record.id, "job", start.allocation, end_at, job.spec.uid, start.partition, job=record)
        )
        rest = without(replace(job, allocation=None), start.task_id)
        if rest is not None:
            jobs[start.job_id] = rest
    return replace(
        snapshot,
        version=snapshot.version + 1,
        nodes=tuple(free.values()),
        pending=tuple(jobs.values()),
        running=tuple(running),
        licenses_free=licenses,
        usage=count_usage(tuple(running)) if snapshot.associations else {},
        promised=plan.planned,
        is_freed=False,
    )


class Taken(msgspec.Struct, frozen=True):
    """What one job has, from when until when."""

    user: str
    from_at: float
    until_at: float
    amounts: dict[str, int]


def list_taken(snapshot: Snapshot, one_pass: Pass, plan: Plan) -> list[Taken]:
    """Return what running, started and planned jobs have, at the ends that are expected of them."""
    found = []
    after = applied(snapshot, plan)
    for each in after.running:
        assert each.job is not None
        until_at = NEVER if each.expected_end_at is None else each.expected_end_at
        found.append(Taken(each.job.spec.user, snapshot.now_at, until_at, amounts_of(each)))
    jobs = {job.id: job for job in snapshot.pending}
    for job_id, (slot, shape) in one_pass.places.slots.items():
        licenses = plan.planned[job_id].licenses
        cpus = sum(part.take.cpus for part in slot.parts)
        amounts = {f"license/{name}": count for name, count in licenses} | {"cpu": cpus, "node": len(slot.parts)}
        found.append(Taken(jobs[job_id].spec.user, slot.at, slot.at + shape.duration_s, amounts))
    return found


def sum_at(taken: list[Taken], at: float, name: str, user: str = "") -> int:
    here = [each for each in taken if each.from_at <= at < each.until_at and user in ("", each.user)]
    return len(here) if name == "jobs" else sum(each.amounts.get(name, 0) for each in here)


def does_begin(taken: list[Taken], at: float, name: str, user: str = "") -> bool:
    """Does somebody take some of it from this moment on?"""
    begins = [each for each in taken if each.from_at == at and user in ("", each.user)]
    return any(name == "jobs" or each.amounts.get(name) for each in begins)


@given(snapshots(), POLICIES)
@few
def test_licenses_are_never_over_committed_at_any_moment_of_the_plan(snapshot: Snapshot, policy: Policy) -> None:
    """All that there are is what running, started and planned jobs have, and what a reservation keeps."""
    one_pass = Pass(snapshot, policy, 0, make_scene(snapshot, policy))
    taken = list_taken(snapshot, one_pass, one_pass.run())
    new = taken[len(snapshot.running) :]
    for name in NAMES:
        held = sum(dict(each.allocation.licenses).get(name, 0) for each in snapshot.running)
        for at in {each.from_at for each in new} | {each.start_at for each in snapshot.reservations}:
            closed = [each for each in snapshot.reservations if each.start_at <= at < each.end_at]
            kept = sum(dict(each.licenses).get(name, 0) for each in closed)
            # Those who ran before may stand in the way of a reservation; nobody who comes does.
            if sum_at(new, at, f"license/{name}"):
                assert sum_at(taken, at, f"license/{name}") + kept <= snapshot.licenses_free[name] + held


@given(snapshots(), POLICIES)
@few
def test_limits_are_never_exceeded_at_any_moment_of_the_plan(snapshot: Snapshot, policy: Policy) -> None:
    """Whoever begins leaves the account, and the user, within the limits; what was there before may be more."""
    one_pass = Pass(snapshot, policy, 0, make_scene(snapshot, policy))
    taken = list_taken(snapshot, one_pass, one_pass.run())
    new = taken[len(snapshot.running) :]
    for association in snapshot.associations.values():
        limits, user = association.limits, association.user
        most_by_name = {"jobs": limits.max_jobs if user else limits.group_jobs, **limits.group_tres}
        for name, most in most_by_name.items():
            for at in {each.from_at for each in new} if most is not None else ():
                if does_begin(new, at, name, user):
                    assert sum_at(taken, at, name, user) <= most


@given(snapshots(has_arrays=False))
@few
def test_no_planned_start_is_delayed_by_jobs_below(snapshot: Snapshot) -> None:
    """Without the jobs below it, a planned job would be planned no earlier."""
    pending = tuple(
        [replace(job, spec=replace(job.spec, partitions=("batch",)), partition="batch") for job in snapshot.pending]
    )
    snapshot = replace(snapshot, pending=pending)
    whole = decide(snapshot, HYBRID)
    ranked = list(rank_jobs(snapshot, HYBRID))
    for place, job in enumerate(ranked):
        if job.id in whole.planned:
            alone = decide(replace(snapshot, pending=tuple(ranked[: place + 1])), HYBRID)
            assert alone.planned[job.id] == whole.planned[job.id]


@given(snapshots(), POLICIES)
@few
def test_a_second_pass_at_the_same_moment_starts_nothing(snapshot: Snapshot, policy: Policy) -> None:
    """What could start has started, and the others are planned for the same moments.

    Where few are planned in each queue one more may be: a job that waited for nodes alone, and now for licenses too
    because a lower one has taken some meanwhile, leaves its place among those to the next.
    """
    plan = decide(snapshot, policy)
    if plan.has_more:
        return

    again = decide(applied(snapshot, plan), policy)

    assert again.starts == ()
    moments = {job_id: each.at for job_id, each in plan.planned.items()}
    moments_again = {job_id: each.at for job_id, each in again.planned.items()}
    assert moments.items() <= moments_again.items()
    assert policy.planned_max == 1 or moments == moments_again


@given(snapshots(), POLICIES, st.lists(st.sampled_from([1.0, 60.0, 300.0, 1000.0]), min_size=1, max_size=4))
@few
def test_a_pass_with_a_memory_decides_as_one_without(snapshot: Snapshot, policy: Policy, waits: list[float]) -> None:
    """Over a story of starts, of jobs that end when they are expected to, and of nothing at all."""
    # What is promised on a node behind an overdue job is another law's.
    overdue = 0 if policy.keeps_promises else 1
    snapshot = wait(snapshot, 0.0, overdue)
    memory = Memory()
    for wait_s in waits:
        plan = decide(snapshot, policy, memory=memory)
        assert decisions_of(plan) == decisions_of(decide(snapshot, policy))
        if plan.look_again_at is not None:
            wait_s = min(wait_s, plan.look_again_at - snapshot.now_at)
        snapshot = wait(applied(snapshot, plan), wait_s, overdue)


def decisions_of(plan: Plan) -> tuple[object, ...]:
    """Return all of the plan but the words and the statistics."""
    reasons = {job_id: [blocker.reason for blocker in found] for job_id, found in plan.blockers.items()}
    return plan.starts, plan.planned, reasons, plan.has_more, plan.look_again_at


def wait(snapshot: Snapshot, seconds: float, overdue: int = 1) -> Snapshot:
    """Return the snapshot so much later; those whose end is expected by then are gone, but for some overdue ones."""
    now_at = snapshot.now_at + seconds
    over = [each for each in snapshot.running if (each.expected_end_at or NEVER) <= now_at][overdue:]
    licenses, free = dict(snapshot.licenses_free), {each.node.name: each for each in snapshot.nodes}
    for each in over:
        assert each.job is not None
        for name, count in each.allocation.licenses:
            licenses[name] += count
        held = replace(each.job, allocation=each.allocation)
        for grant in each.allocation.grants:
            free[grant.node] = resources.give_back(free[grant.node], grant, held)
    left = tuple([each for each in snapshot.running if each not in over])
    return replace(
        snapshot,
        version=snapshot.version + 1,
        now_at=now_at,
        nodes=tuple(free.values()),
        running=left,
        licenses_free=licenses,
        usage=count_usage(left) if snapshot.associations else {},
        is_freed=bool(over),
    )


@given(snapshots(), POLICIES)
@few
def test_the_order_of_tables_changes_no_decision(snapshot: Snapshot, policy: Policy) -> None:
    other = replace(snapshot, pending=snapshot.pending[::-1], running=snapshot.running[::-1])

    first, second = decide(snapshot, policy), decide(other, policy)

    assert (first.starts, first.planned) == (second.starts, second.planned)


class Stream:
    """A cluster on virtual time: one narrow job ends each minute and another one comes, and one wide job waits."""

    def __init__(self, policy: Policy, licenses: str, site: Site | None = None) -> None:
        self.policy = policy
        self.cluster = Cluster(nodes=20).licenses(matlab=10)
        self.narrow = {"licenses": licenses, "limit_s": 600, "user": "bob"}
        held = (("matlab", 1),) if licenses else ()
        for minutes in range(1, 11):
            self.cluster.running(cpus=1, ends_in_s=60.0 * minutes, licenses=held, user="bob")
        self.snapshot = self.cluster.snapshot()
        if site is not None:
            tables = {"associations": site.associations, "qos": site.qos_table}
            self.snapshot = replace(self.snapshot, **tables, usage=count_usage(self.snapshot.running))

    def submit(self, **fields: Any) -> Job:
        job = self.cluster.pending(**fields)
        self.snapshot = replace(self.snapshot, pending=(*self.snapshot.pending, job))
        return job

    def step(self) -> set[int]:
        """Let a minute pass, with a pass in it; return which jobs started."""
        plan = decide(self.snapshot, self.policy)
        self.snapshot = wait(applied(self.snapshot, plan), 60.0, overdue=0)
        return {start.job_id for start in plan.starts}


def test_a_job_that_wants_all_licenses_is_not_starved_by_a_stream_of_those_that_want_one() -> None:
    """Without a plan all ten would never be free together."""
    for policy in (HYBRID, replace(HYBRID, planned_max=1), replace(HYBRID, planned_max=10**9, keeps_promises=True)):
        stream = Stream(policy, "matlab")
        wide = stream.submit(licenses="matlab:10", user="ann", limit_s=600)

        assert minutes_until_started(stream, wide) <= 12, policy


def test_a_job_that_wants_all_of_a_limit_is_not_starved_either() -> None:
    site = Site().account("physics", group_tres={"cpu": 10}).user("ann", "physics").user("bob", "physics")
    stream = Stream(HYBRID, "", site)
    wide = stream.submit(nodes=5, ntasks=10, user="ann", limit_s=600)

    assert minutes_until_started(stream, wide) <= 12


def minutes_until_started(stream: Stream, job: Job) -> int:
    """Return how long the job waits in the stream; at most forty minutes."""
    for minutes in range(40):
        stream.submit(**stream.narrow)
        if job.id in stream.step():
            return minutes
    return 40
