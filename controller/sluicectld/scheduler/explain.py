"""Reasons as sentences: what a job waits for that is not on nodes, and the end of another that it waits for next.

How many nodes are left after each demand is funnel.py's.  Clock times are written with the policy's offset from UTC, so
that the same state gives the same text.

Source of the words: CONTRACT section 14.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from msgspec.structs import replace

from sluice import hostlist
from sluice.model.job import Job
from sluice.model.reason import Blocker, Reason
from sluice.model.request import DependencyTerm
from sluice.model.states import Hold

from .shapes import Shape
from .snapshot import RunningJob

#: Terms of a dependency that a text names; the rest is counted.
_TERMS_SHOWN_MAX = 8
_DAY_S = 86400


def held_blockers(
    job: Job, now_at: float, utc_offset_s: int = 0, is_never_satisfied: bool = False
) -> tuple[Blocker, ...]:
    """Return why a pending job is not eligible; empty when nothing of this kind holds it.

    is_never_satisfied: its dependency can not be fulfilled any more.
    """
    found = []
    if job.hold is Hold.ADMIN:
        found.append(Blocker(reason=Reason.JOB_HELD_ADMIN, text=job.reason_text or "held by an administrator"))
    elif job.hold is Hold.USER and job.reason is Reason.RESERVATION_DELETED:
        found.append(Blocker(reason=Reason.RESERVATION_DELETED, text=job.reason_text))
    elif job.hold is Hold.USER:
        found.append(Blocker(reason=Reason.JOB_HELD_USER, text=job.reason_text or "held by its user"))
    if job.awaits_command:
        found.append(Blocker(reason=Reason.JOB_HELD_USER, text=_describe_absence(job)))
    if job.dependency.terms:
        found.append(_dependency_blocker(job, is_never_satisfied))
    begin_at = job.begin_at
    if begin_at is not None and begin_at > now_at:
        found.append(Blocker(reason=Reason.BEGIN_TIME, text=f"begins {format_at(begin_at, now_at, utc_offset_s)}"))
    return tuple(found)


def _describe_absence(job: Job) -> str:
    command, host = job.spec.origin, job.spec.submit_host
    return f"its {command} on {host} has not come back since the controller started; if it is stopped, let it go on"


def format_at(at: float, now_at: float, utc_offset_s: int) -> str:
    """Return the clock time, with its date unless it is the day of *now_at*: 14:05, 2026-11-23T14:05."""
    zone = timezone(timedelta(seconds=utc_offset_s)) if utc_offset_s else UTC
    point = datetime.fromtimestamp(at, zone)
    is_today = point.date() == datetime.fromtimestamp(now_at, zone).date()
    return point.strftime("%H:%M" if is_today else "%Y-%m-%dT%H:%M")


def format_second(at: float, now_at: float, utc_offset_s: int) -> str:
    """Return the clock time to the second: for ends that are near."""
    day, _, clock = (
        datetime.fromtimestamp(int(at), timezone(timedelta(seconds=utc_offset_s))).isoformat()[:19].partition("T")
    )
    return clock if "T" not in format_at(at, now_at, utc_offset_s) else f"{day}T{clock}"


def describe_deadline(job: Job, start_at: float | None, now_at: float, utc_offset_s: int) -> str:
    """Return until when the job has to start for its deadline, and whether it is expected to; "" without a deadline."""
    deadline_at = job.spec.deadline_at
    if deadline_at is None:
        return ""
    due_at = deadline_at - (job.spec.min_limit_s or job.limit_s or 0)
    due, deadline = (format_at(at, now_at, utc_offset_s) for at in (due_at, deadline_at))
    late = "; its planned start is too late" if start_at is not None and start_at > due_at else ""
    return f"it has to start by {due} to end by its deadline {deadline}{late}"


def next_end_text(shape: Shape, running: Sequence[RunningJob], now_at: float, utc_offset_s: int) -> str:
    """Return the end that is waited for next, of the jobs on nodes of the partition; "" when none is known.

    running: sorted by expected end, those without one left out.
    """
    names = set(shape.partition.nodes)
    for job in running:
        nodes = [grant.node for grant in job.allocation.grants]
        if not names.isdisjoint(nodes):
            assert job.expected_end_at is not None
            end = format_at(max(job.expected_end_at, now_at), now_at, utc_offset_s)
            return f"; job {job.name or job.job_id} on {hostlist.fold(nodes)} ends by {end}"
    return ""


def of_partition(blockers: Sequence[Blocker], name: str) -> tuple[Blocker, ...]:
    """Return the blockers as those of one of several partitions."""
    return tuple([replace(blocker, partition=name) for blocker in blockers])


def count_of(count: int, noun: str) -> str:
    """Return "1 node", "2 nodes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _dependency_blocker(job: Job, is_never_satisfied: bool) -> Blocker:
    terms = job.dependency.terms
    words = [_describe_term(term) for term in terms[:_TERMS_SHOWN_MAX]]
    if len(terms) > len(words):
        words.append(f"{len(terms) - len(words)} more")
    text = (" or " if job.dependency.is_any else ", ").join(words)
    if is_never_satisfied or job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
        return Blocker(reason=Reason.DEPENDENCY_NEVER_SATISFIED, text=f"can not be fulfilled any more: {text}")
    return Blocker(reason=Reason.DEPENDENCY, text=f"waits for {text}")


def _describe_term(term: DependencyTerm) -> str:
    if not term.job_id:
        return term.type
    task = "" if term.task_id is None else f"_{term.task_id}"
    delay = f"+{term.delay_s // 60}" if term.delay_s else ""
    return f"{term.type}:{term.job_id}{task}{delay}"
