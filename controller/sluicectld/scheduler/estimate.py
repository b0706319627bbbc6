"""When and where a job would start (--test-only, --explain): a pass over the snapshot with the job in it.

The job is planned whatever the pass's bounds and window are.  What is not about resources is passed over: that somebody
holds it, what it depends on, and partitions that start nothing now.  Where the ends that are known give no start, jobs
without a time limit are taken to run for a year.

Source: Slurm 22.05, observed, for all of these.
"""

from msgspec.structs import replace

from sluice import hostlist
from sluice.errors import Infeasible
from sluice.model.explanation import Explanation
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason
from sluice.wire.messages import TestedJob

from .explain import held_blockers
from .inquiry import Question, answer
from .memory import Memory
from .plan import PlannedStart, StartJob
from .snapshot import Policy, RunningJob, Snapshot
from .stage import set_stage

#: How long a job without a time limit is taken to run where it has to be taken to end.
PRESUMED_RUN_S = 365 * 86400
#: What an estimate passes over.
_PASSED_OVER = frozenset(
    {
        Reason.JOB_HELD_ADMIN,
        Reason.JOB_HELD_USER,
        Reason.RESERVATION_DELETED,
        Reason.DEPENDENCY,
        Reason.DEPENDENCY_NEVER_SATISFIED,
        Reason.PARTITION_DOWN,
        Reason.PARTITION_INACTIVE,
    }
)


def estimate(snapshot: Snapshot, policy: Policy, job: Job, memory: Memory | None = None) -> TestedJob:
    """Return when and where *job* would start if it were submitted now.

    Raises Infeasible, with the blockers' words, when no end of any job lets it start.
    """
    tested, blockers = _find_start(snapshot, policy, job, memory)
    if tested is None and _has_endless(snapshot):
        tested, _ = _find_start(_presume_ends(snapshot), policy, job, memory)
        tested = tested and replace(tested, is_presumed=True)
    if tested is None:
        why = "; ".join(blocker.text for blocker in blockers or held_blockers(job, snapshot.now_at))
        raise Infeasible(f"it would be accepted and wait, no start is in sight{': ' + why if why else ''}")
    return tested


def _find_start(
    snapshot: Snapshot, policy: Policy, job: Job, memory: Memory | None
) -> tuple[TestedJob | None, tuple[Blocker, ...]]:
    """Return the start of the job in a pass of its own, None and what stands against it for none."""
    partitions = {name: _as_up(partition) for name, partition in snapshot.partitions.items()}
    asked = replace(snapshot, partitions=partitions, pending=(*snapshot.pending, job))
    bounds = replace(policy, is_backfilling=True, starts_max=policy.starts_max + 1)
    with set_stage(replace(snapshot, pending=asked.pending), policy, memory) as stage:
        plan = stage.decide(asked, bounds, focus_id=job.id)
    start = next((start for start in plan.starts if start.job_id == job.id), None)
    if start is not None:
        return _as_tested(start, job, snapshot.now_at), ()
    planned = plan.planned.get(job.id)
    if planned is not None:
        is_awaited = planned.at <= snapshot.now_at
        return replace(_as_tested(planned, job, planned.at), is_awaited=is_awaited), ()
    return None, plan.blockers.get(job.id, ())


def _as_tested(start: StartJob | PlannedStart, job: Job, at: float) -> TestedJob:
    of = start.allocation if isinstance(start, StartJob) else start
    return TestedJob(
        job_id=job.id,
        start_at=max(at, job.begin_at or 0.0),
        cpu_count=of.cpu_count,
        nodes=hostlist.fold(of.nodes),
        partition=start.partition,
    )


def _has_endless(snapshot: Snapshot) -> bool:
    return any(each.expected_end_at is None for each in snapshot.running) or any(
        job.limit_s is None for job in snapshot.pending
    )


def _presume_ends(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with an end for each job that has none: of those that run, and of those that wait before."""
    pending = [replace(job, limit_s=PRESUMED_RUN_S) if job.limit_s is None else job for job in snapshot.pending]
    running = [
        replace(each, expected_end_at=_presumed_end(each, snapshot.now_at)) if each.expected_end_at is None else each
        for each in snapshot.running
    ]
    return replace(snapshot, pending=tuple(pending), running=tuple(running))


def _presumed_end(running: RunningJob, now_at: float) -> float:
    started_at = running.job.started_at if running.job is not None else None
    return max((now_at if started_at is None else started_at) + PRESUMED_RUN_S, now_at)


def explain_estimate(question: Question, memory: Memory | None = None) -> TestedJob:
    """Return the estimate with everything that stands before the start; a job that only waits is no refusal."""
    explanation = explain_unsubmitted(question, memory)
    try:
        tested = estimate(question.snapshot, question.policy, question.job, memory)
    except Infeasible:
        tested = TestedJob(job_id=question.job.id)
    gates = [
        _gate_text(blocker)
        for blocker in explanation.blockers
        if blocker.reason in _PASSED_OVER and blocker.partition in ("", tested.partition)
    ]
    return replace(tested, explanation=explanation, gates=tuple(gates))


def _gate_text(blocker: Blocker) -> str:
    is_never = blocker.reason is Reason.DEPENDENCY_NEVER_SATISFIED
    return f"its dependency {blocker.text}" if is_never else blocker.text


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
