"""What is due when its time comes: limits, warnings, deadlines, begin times, and forgetting the ended."""

from collections.abc import Callable

from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import Ending, JobState
from sluice.wire.messages import Done, SignalJob
from sluicectld.state.commands import Tick
from sluicectld.state.timers import Due

from .endings import end_job, judge_dependency
from .turn import Turn


def handle_tick(turn: Turn, command: Tick) -> Done:
    """Do what is due; entries that a change has overtaken find nothing to do."""
    for due, key in turn.timers.pop_due(turn.now_at):
        _RULES[due](turn, key)
    return Done()


def expected_end_at(turn: Turn, job: Job) -> float | None:
    """Return when the job reaches its limit, with what the partition allows beyond it."""
    if job.limit_s is None or job.started_at is None:
        return None
    partition = turn.cluster.partitions.get(job.partition)
    over_s = turn.settings.over_limit_s
    if partition is not None and partition.over_limit_s is not None:
        over_s = partition.over_limit_s
    if over_s is None:
        return None
    return job.started_at + job.suspended_s + job.limit_s + over_s


def _time_limit(turn: Turn, job_id: int) -> None:
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state is not JobState.RUNNING:
        return
    end_at = expected_end_at(turn, job)
    if end_at is None:
        return
    if end_at > turn.now_at:
        turn.timers.add(end_at, Due.TIME_LIMIT, job_id)
        return
    end_job(turn, job, JobState.TIMEOUT, Ending.TIME_LIMIT, reason=Reason.TIME_LIMIT)


def _warn_signal(turn: Turn, job_id: int) -> None:
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state is not JobState.RUNNING or job.spec.warn_signal is None:
        return
    warn = job.spec.warn_signal
    end_at = expected_end_at(turn, job)
    if end_at is None:
        return
    if end_at - warn.before_s > turn.now_at:
        turn.timers.add(end_at - warn.before_s, Due.WARN_SIGNAL, job_id)
        return
    for node in job.nodes:
        is_first = node == job.nodes[0]
        if warn.to_batch_only and not is_first:
            continue
        turn.effects.append(
            SignalJob(
                node=node,
                epoch=turn.cluster.epoch,
                job_id=job.id,
                attempt=job.attempt,
                signal=warn.number,
                to_batch=warn.to_batch_only,
                to_steps=not warn.to_batch_only,
            )
        )


def _deadline(turn: Turn, job_id: int) -> None:
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state is not JobState.PENDING:
        return
    end_job(turn, job, JobState.DEADLINE, Ending.CANCEL, reason=Reason.DEADLINE)


def _forget(turn: Turn, job_id: int) -> None:
    """Drop an ended job from memory, unless somebody waits for it."""
    job = turn.cluster.jobs.get(job_id)
    if job is None or not job.is_ended or job.is_requeued or job.completing_nodes:
        return
    age_s = turn.settings.min_job_age_s
    if job.ended_at is not None and job.ended_at + age_s > turn.now_at:
        turn.timers.add(job.ended_at + age_s, Due.FORGET, job_id)
    elif _is_awaited(turn, job):
        turn.timers.add(turn.now_at + max(age_s, 60), Due.FORGET, job_id)
    else:
        turn.cluster.forget_job(job_id)


def _is_awaited(turn: Turn, job: Job) -> bool:
    dependents = turn.cluster.dependents
    if dependents.get(job.id):
        return True
    if not job.array_job_id:
        return False
    base = turn.cluster.jobs.get(job.array_job_id)
    has_rest = base is not None and base.pending_array is not None and not base.is_ended
    return has_rest or bool(dependents.get(job.array_job_id))


def _pass(turn: Turn, key: int) -> None:
    turn.is_pass_due = True


_RULES: dict[Due, Callable[[Turn, int], None]] = {
    Due.TIME_LIMIT: _time_limit,
    Due.WARN_SIGNAL: _warn_signal,
    Due.DEADLINE: _deadline,
    Due.FORGET: _forget,
    Due.PASS: _pass,
    Due.DEPENDENCY: judge_dependency,
}
