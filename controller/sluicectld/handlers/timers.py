"""What is due when its time comes: limits, warnings, deadlines, begin times, new priorities, forgetting the ended."""

from collections.abc import Callable

from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import Ending, JobState
from sluice.wire.messages import Done
from sluicectld.scheduler.priority import is_lasting
from sluicectld.state.commands import Tick
from sluicectld.state.timers import Due, deadline_due_at

from .dependents import judge_dependency
from .endings import end_job
from .mail import tell_time
from .preempt import preemption_due
from .reservation_times import judge_reservation
from .steps import give_up_unlaunched
from .turn import Turn
from .warning import warn_before_limit


def handle_tick(turn: Turn, command: Tick) -> Done:
    """Do what is due; entries that a change has overtaken find nothing to do."""
    for due, key in turn.timers.pop_due(turn.now_at):
        _RULES[due](turn, key)
    return Done()


def keep_numbering(turn: Turn) -> None:
    """See to it that jobs that wait are numbered anew every PriorityCalcPeriod, whatever else happens.

    Age grows and usage decays while nothing happens, so that jobs may change places, and planned starts with them.
    """
    period_s = turn.policy.priority.calculation_period_s
    if turn.timers.is_numbering or not turn.cluster.ready or period_s <= 0 or is_lasting(turn.policy):
        return
    turn.timers.is_numbering = True
    due_at = turn.timers.numbered_at + period_s
    turn.timers.add(due_at if due_at > turn.now_at else turn.now_at + period_s, Due.NUMBERING)


def expected_end_at(turn: Turn, job: Job) -> float | None:
    """Return when the job is ended for its limit: with what the partition allows beyond it."""
    end_at = job.limit_at
    partition = turn.cluster.partitions.get(job.partition)
    over_s = turn.settings.over_limit_s
    if partition is not None and partition.over_limit_s is not None:
        over_s = partition.over_limit_s
    return None if over_s is None or end_at is None else end_at + over_s


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
    end_at = job.limit_at
    if end_at is None or job.warned_at is not None:
        return
    if end_at - warn.before_s > turn.now_at:
        turn.timers.add(end_at - warn.before_s, Due.WARN_SIGNAL, job_id)
        return
    warn_before_limit(turn, job, expected_end_at(turn, job) or end_at)


def _deadline(turn: Turn, job_id: int) -> None:
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state is not JobState.PENDING:
        return
    due_at = deadline_due_at(job)
    if due_at is None:
        return
    if due_at > turn.now_at:
        turn.timers.add(due_at, Due.DEADLINE, job_id)
        return
    end_job(turn, job, JobState.DEADLINE, Ending.CANCEL, reason=Reason.DEADLINE)


def _immediate(turn: Turn, job_id: int) -> None:
    """--immediate: take back what has not started in time.  That no user did it tells the command that waits."""
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state is not JobState.PENDING or job.spec.immediate_s is None:
        return
    text = f"not started within {job.spec.immediate_s} s (--immediate)"
    end_job(turn, job, JobState.CANCELLED, Ending.CANCEL, reason_text=text)


def _forget(turn: Turn, job_id: int) -> None:
    """Drop an ended job from memory, unless somebody waits for it; an array goes as a whole, after its last task.

    A dependency on an array asks for all of its tasks: none may be missing while one is here.
    """
    job = turn.cluster.jobs.get(job_id)
    if job is None or not _is_over(job):
        return
    age_s = turn.settings.min_job_age_s
    if job.array_job_id and not turn.cluster.tallies[job.array_job_id].ended_before(turn.now_at - age_s):
        # The one that ends last has a timer of its own.
        return
    if not all(_is_old(turn, other) for other in turn.cluster.components_of(job)):
        return
    family = list(turn.cluster.jobs_named(job.array_job_id or job.het_job_id or job.id))
    free_at = (job.ended_at or 0.0) + age_s
    if free_at > turn.now_at:
        turn.timers.add(free_at, Due.FORGET, job_id)
    elif any(other_id in turn.cluster.dependents for other_id in _names(family)):
        turn.timers.add(turn.now_at + max(age_s, 60), Due.FORGET, job_id)
    elif all(map(_is_over, family)):
        for member in family:
            turn.cluster.forget_job(member.id)


def _is_old(turn: Turn, job: Job) -> bool:
    return job.ended_at is not None and job.ended_at + turn.settings.min_job_age_s <= turn.now_at


def _names(family: list[Job]) -> set[int]:
    """Return the ids by which dependencies may mean any of the jobs; 0 would mean singletons."""
    return {other_id for job in family for other_id in (job.id, job.array_job_id) if other_id}


def _is_over(job: Job) -> bool:
    return job.is_over and not job.is_requeued


def _numbering(turn: Turn, key: int) -> None:
    """Have a pass, unless there was one in the meantime; keep_numbering() sets the next time."""
    turn.timers.is_numbering = False
    is_numbered = turn.timers.numbered_at + turn.policy.priority.calculation_period_s > turn.now_at
    turn.is_pass_due = turn.is_pass_due or (bool(turn.cluster.ready) and not is_numbered)


def _pass(turn: Turn, key: int) -> None:
    turn.is_pass_due = True


_RULES: dict[Due, Callable[[Turn, int], None]] = {
    Due.TIME_LIMIT: _time_limit,
    Due.WARN_SIGNAL: _warn_signal,
    Due.DEADLINE: _deadline,
    Due.FORGET: _forget,
    Due.PASS: _pass,
    Due.DEPENDENCY: judge_dependency,
    Due.RESERVATION: judge_reservation,
    Due.IMMEDIATE: _immediate,
    Due.STEP_LAUNCH: give_up_unlaunched,
    Due.PREEMPTION: preemption_due,
    Due.MAIL: tell_time,
    Due.NUMBERING: _numbering,
}
