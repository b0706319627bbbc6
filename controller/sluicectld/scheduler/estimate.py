"""When and where a job would start (--test-only): a pass over the snapshot with the job in it.

The job is planned whatever the pass's bounds and window are.  Partitions that start nothing now are taken as up, since
the question is about resources.
"""

from msgspec.structs import replace

from sluice import hostlist
from sluice.errors import Infeasible
from sluice.model.explanation import Explanation
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.wire.messages import TestedJob

from .explain import held_blockers
from .inquiry import Question, answer
from .memory import Memory
from .snapshot import Policy, Snapshot
from .stage import set_stage


def estimate(snapshot: Snapshot, policy: Policy, job: Job, memory: Memory | None = None) -> TestedJob:
    """Return when and where *job* would start if it were submitted now.

    Raises Infeasible, with the blockers' words, when the timeline never holds it.
    """
    partitions = {name: _as_up(partition) for name, partition in snapshot.partitions.items()}
    asked = replace(snapshot, partitions=partitions, pending=(*snapshot.pending, job))
    bounds = replace(policy, is_backfilling=True, starts_max=policy.starts_max + 1)
    with set_stage(replace(snapshot, pending=asked.pending), policy, memory) as stage:
        plan = stage.decide(asked, bounds, focus_id=job.id)
    begin_at = job.begin_at or snapshot.now_at
    start = next((start for start in plan.starts if start.job_id == job.id), None)
    if start is not None:
        return TestedJob(
            job_id=job.id,
            start_at=max(snapshot.now_at, begin_at),
            cpu_count=start.allocation.cpu_count,
            nodes=hostlist.fold(start.allocation.nodes),
            partition=start.partition,
        )
    planned = plan.planned.get(job.id)
    if planned is None:
        blockers = plan.blockers.get(job.id) or held_blockers(job, snapshot.now_at)
        raise Infeasible("; ".join(blocker.text for blocker in blockers) or "no start is in sight")
    return TestedJob(
        job_id=job.id,
        start_at=max(planned.at, begin_at),
        cpu_count=planned.cpu_count,
        nodes=hostlist.fold(planned.nodes),
        partition=planned.partition,
    )


def explain_estimate(question: Question, memory: Memory | None = None) -> TestedJob:
    """Return the estimate with everything that stands before the start; a job that only waits is no refusal."""
    explanation = explain_unsubmitted(question, memory)
    try:
        tested = estimate(question.snapshot, question.policy, question.job, memory)
    except Infeasible:
        tested = TestedJob(job_id=question.job.id)
    return replace(tested, explanation=explanation)


def explain_unsubmitted(question: Question, memory: Memory | None = None) -> Explanation:
    """Return everything about a job that is not submitted, as if it stood in the queue already."""
    snapshot, job = question.snapshot, question.job
    waits = held_blockers(job, snapshot.now_at)
    if not waits:
        snapshot = replace(snapshot, pending=(*snapshot.pending, job))
    found = answer(replace(question, snapshot=snapshot), memory)
    # What is to be changed is the command line at hand.
    return replace(found, suggestions=tuple([replace(each, command="") for each in found.suggestions]))


def _as_up(partition: Partition) -> Partition:
    return partition if partition.state == "UP" else replace(partition, state="UP")
