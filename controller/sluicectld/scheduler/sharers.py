"""Words for the other jobs that a waiting job has to do with: those it waits for, and those that have what it lacks.

Every list is bounded and ordered by the expected end.
"""

from collections.abc import Iterable, Mapping, Sequence

from sluice.model.explanation import Holder
from sluice.model.job import Job
from sluice.model.states import JobState

from .explain import format_at
from .holders import Holders
from .plan import PlannedStart
from .snapshot import RunningJob

_SHOWN_MAX = 5
_RUNNING = (JobState.RUNNING, JobState.SUSPENDED)


def describe_holders(holders: Holders, now_at: float, utc_offset_s: int) -> str:
    """Return "job 118 on n[3-4], ends by 14:05; job 120 on n5, has no limit; 3 more"."""
    words = [describe_holder(holder, now_at, utc_offset_s) for holder in holders.named[:_SHOWN_MAX]]
    left_off = len(holders.named) - len(words) + holders.left_off
    if left_off:
        words.append(f"{left_off} more")
    return "; ".join(words)


def describe_holder(holder: Holder, now_at: float, utc_offset_s: int) -> str:
    """Return "job 118 on n[3-4], ends by 14:05"."""
    where = f" on {holder.nodes}" if holder.nodes else ""
    if holder.is_completing:
        return f"job {holder.job_id}{where}, has ended and is not clean there yet"
    cause = " (preempted)" if holder.is_preempted else ""
    return f"job {holder.job_id}{where}, {_describe_end(holder.end_at, now_at, utc_offset_s)}{cause}"


def describe_awaited(job: Job, others: Mapping[int, Job], now_at: float, utc_offset_s: int) -> str:
    """Return how the jobs of its dependency stand: " (job 7 runs, ends by 14:05)"."""
    ids = dict.fromkeys(term.job_id for term in job.dependency.terms if term.job_id in others)
    return _in_brackets([_describe_state(others[each], now_at, utc_offset_s) for each in ids])


def describe_license_holders(
    names: Sequence[str], running: Iterable[RunningJob], now_at: float, utc_offset_s: int
) -> str:
    """Return who has these licenses: " (job 12 has 2, ends by 14:05)"."""
    holders = [job for job in running if any(name in names for name, _ in job.allocation.licenses)]
    holders.sort(key=lambda job: (job.expected_end_at is None, job.expected_end_at or 0.0, job.job_id))
    found = []
    for job in holders:
        count = sum(each for name, each in job.allocation.licenses if name in names)
        end = _describe_end(job.expected_end_at, now_at, utc_offset_s)
        found.append(f"job {job.job_id} has {count}, {end}")
    return _in_brackets(found)


def describe_tasks(array_id: int, others: Mapping[int, Job], now_at: float, utc_offset_s: int) -> str:
    """Return which tasks of an array run: " (12_1, ends by 14:05)"."""
    tasks = [job for job in _by_end(others.values()) if job.array_job_id == array_id]
    return _in_brackets(
        [f"{array_id}_{job.array_task_id}, {_describe_end(end_of(job), now_at, utc_offset_s)}" for job in tasks]
    )


def describe_planned(planned: Mapping[int, PlannedStart], now_at: float, utc_offset_s: int) -> str:
    """Return "job 12 at 14:05, job 13 at 14:20"."""
    found = [f"job {job_id} at {format_at(start.at, now_at, utc_offset_s)}" for job_id, start in planned.items()]
    return ", ".join(_bounded(found))


def end_of(job: Job) -> float | None:
    """Return when the limit of a running job ends it; None for never."""
    if job.started_at is None or job.limit_s is None:
        return None
    return job.started_at + job.suspended_s + job.limit_s


def _by_end(jobs: Iterable[Job]) -> list[Job]:
    running = [job for job in jobs if job.state in _RUNNING]
    return sorted(running, key=lambda job: (end_of(job) is None, end_of(job) or 0.0, job.id))


def _describe_state(job: Job, now_at: float, utc_offset_s: int) -> str:
    if job.state in _RUNNING:
        return f"job {job.id} runs, {_describe_end(end_of(job), now_at, utc_offset_s)}"
    if job.state is JobState.PENDING:
        return f"job {job.id} waits itself"
    return f"job {job.id} has ended: {job.state.value}"


def _describe_end(end_at: float | None, now_at: float, utc_offset_s: int) -> str:
    if end_at is None:
        return "has no time limit"
    return f"ends by {format_at(max(end_at, now_at), now_at, utc_offset_s)}"


def _in_brackets(words: list[str]) -> str:
    return f" ({'; '.join(_bounded(words))})" if words else ""


def _bounded(words: list[str]) -> list[str]:
    if len(words) <= _SHOWN_MAX:
        return words
    return [*words[:_SHOWN_MAX], f"{len(words) - _SHOWN_MAX} more"]
