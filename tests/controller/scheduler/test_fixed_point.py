"""Deciding again changes nothing, and nothing that has no meaning changes a decision."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job, PendingArray
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, RunningJob, Snapshot
from sluicectld.state import resources
from tests.controller.scheduler.test_plan_properties import snapshots

POLICIES = st.sampled_from(
    [
        Policy(backfill_window_s=1e9),
        Policy(backfill_window_s=1e9, planned_max=1),
        Policy(backfill_window_s=1e9, planned_max=1, is_shortest_first=True),
        Policy(backfill_window_s=1e9, planned_max=1, is_predicting=True),
        Policy(backfill_window_s=1e9, planned_max=10**9, planned_per_shape_max=10**9, keeps_promises=True),
        Policy(is_backfilling=False),
    ]
)


def applied(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """Return the snapshot after the plan's starts, at the same moment."""
    jobs = {job.id: job for job in snapshot.pending}
    free = {each.node.name: each for each in snapshot.nodes}
    running = list(snapshot.running)
    counts = dict(snapshot.running_tasks)
    for number, start in enumerate(plan.starts):
        job = jobs[start.job_id]
        for grant in start.allocation.grants:
            free[grant.node] = resources.take(free[grant.node], grant, replace(job, allocation=start.allocation))
        end_at = None if start.limit_s is None else snapshot.now_at + start.limit_s
        running.append(
            RunningJob(900_000 + number, job.spec.name, start.allocation, end_at, job.spec.uid, start.partition)
        )
        if start.task_id is not None:
            counts[job.array_job_id] = counts.get(job.array_job_id, 0) + 1
        rest = without(jobs.pop(start.job_id), start.task_id)
        if rest is not None:
            jobs[start.job_id] = rest
    return replace(
        snapshot,
        version=snapshot.version + 1,
        nodes=tuple(free.values()),
        pending=tuple(jobs.values()),
        running=tuple(running),
        running_tasks=counts,
        promised=plan.planned,
        is_freed=False,
    )


def without(job: Job, task_id: int | None) -> Job | None:
    """Return the array without one of its first tasks; None when nothing is left."""
    if task_id is None or job.pending_array is None:
        return None
    ((_, last, step),) = job.pending_array.ranges
    if task_id == last:
        return None
    return replace(
        job, pending_array=PendingArray(ranges=((task_id + 1, last, step),), throttle=job.pending_array.throttle)
    )


@given(snapshots(), POLICIES)
@settings(max_examples=150)
def test_a_second_pass_at_the_same_moment_starts_nothing(snapshot: Snapshot, policy: Policy) -> None:
    """What could start has started, and the others are planned for the same moments."""
    plan = decide(snapshot, policy)
    if plan.has_more:
        return

    again = decide(applied(snapshot, plan), policy)

    assert again.starts == ()
    assert {job_id: each.at for job_id, each in again.planned.items()} == {
        job_id: each.at for job_id, each in plan.planned.items()
    }


@given(snapshots(), POLICIES, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_tables_changes_no_decision(snapshot: Snapshot, policy: Policy, dice: object) -> None:
    """Pending jobs, running jobs and partitions come in any order."""

    def shuffled(items: list) -> list:
        dice.shuffle(items)  # type: ignore[attr-defined]
        return items

    other = replace(
        snapshot,
        pending=tuple(shuffled(list(snapshot.pending))),
        running=tuple(shuffled(list(snapshot.running))),
        partitions=dict(shuffled(list(snapshot.partitions.items()))),
    )

    first, second = decide(snapshot, policy), decide(other, policy)

    assert first.starts == second.starts
    assert first.planned == second.planned
