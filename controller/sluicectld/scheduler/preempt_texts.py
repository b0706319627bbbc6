"""Preemption as sentences: whom a job preempts, whom it waits for, and what a victim is told.

Source of the words: CONTRACT section 14; the numbers are those that decided.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from sluice import hostlist
from sluice.model.job import Job
from sluice.model.preemption import PreemptMode
from sluice.model.reason import Blocker, Reason
from sluice.model.states import JobState

from .departures import lead_id_of
from .explain import format_second
from .plan import Exempt, PreemptJob
from .preempt_victims import Victim
from .snapshot import RunningJob

#: Victims that a text names; the rest is counted.
_SHOWN_MAX = 8
_DONE = {PreemptMode.CANCEL: "cancels", PreemptMode.REQUEUE: "requeues", PreemptMode.SUSPEND: "suspends"}


def chosen_blocker(victims: Sequence[Victim], nodes: Sequence[str], now_at: float, utc_offset_s: int) -> Blocker:
    """Return that the job preempts others and starts when they are gone."""
    words = [f"{_DONE[victim.mode]} job {victim.job_id}" for victim in victims[:_SHOWN_MAX]]
    if len(victims) > len(words):
        words.append(f"{len(victims) - len(words)} more")
    if not victims:
        text = f"starts on {hostlist.fold(nodes)} when those are gone that it preempts"
        return Blocker(reason=Reason.RESOURCES, text=text)
    grace_s = max(victim.grace_s for victim in victims)
    until = f", by {format_second(now_at + grace_s, now_at, utc_offset_s)} (GraceTime)" if grace_s else ""
    text = f"{', '.join(words)}; starts on {hostlist.fold(nodes)} when they are gone{until}"
    return Blocker(reason=Reason.RESOURCES, text=text)


def describe_victims(preemptions: Sequence[PreemptJob], job_id: int) -> str:
    """Return whom the job would preempt; "" when nobody."""
    chosen = [each for each in preemptions if each.for_job_id == job_id]
    words = [f"{_DONE[each.mode]} job {each.job_id}" for each in chosen[:_SHOWN_MAX]]
    if len(chosen) > len(words):
        words.append(f"{len(chosen) - len(words)} more")
    return f"it preempts others: {', '.join(words)}" if words else ""


def held_blocker(leaving: Sequence[RunningJob], nodes: Sequence[str], now_at: float, utc_offset_s: int) -> Blocker:
    """Return that the job's place is kept while those that it preempts go."""
    leaving_ids = dict.fromkeys(each.job_id if each.job is None else lead_id_of(each.job) for each in leaving)
    ends = [each.job.preemption.ends_at for each in leaving if each.job is not None and each.job.preemption is not None]
    until = f", by {format_second(max(ends), now_at, utc_offset_s)} (GraceTime)" if ends and max(ends) > now_at else ""
    text = f"waits for {_name_jobs(tuple(leaving_ids))} to make room on {hostlist.fold(nodes)}{until}"
    return Blocker(reason=Reason.RESOURCES, text=text)


def exempt_blocker(blocker: Blocker, later: Exempt, now_at: float, utc_offset_s: int) -> Blocker:
    """Return the blocker with when the job may preempt others that are exempt as yet."""
    return replace(blocker, text=f"{blocker.text}; {describe_exempt(later, now_at, utc_offset_s)}")


def describe_exempt(later: Exempt, now_at: float, utc_offset_s: int) -> str:
    """Return whom a job may preempt from when on: "may preempt job 4 from 14:05:10 on (PreemptExemptTime)"."""
    when = format_second(later.at, now_at, utc_offset_s)
    return f"may preempt {_name_jobs(later.job_ids)} from {when} on (PreemptExemptTime)"


def describe_protection(job_id: int, exempt: Mapping[int, Exempt], now_at: float, utc_offset_s: int) -> str:
    """Return who may preempt a running job from when on; "" for nobody known."""
    found = [(later.at, for_job_id) for for_job_id, later in exempt.items() if job_id in later.job_ids]
    if not found:
        return ""
    at, for_job_id = min(found)
    when = format_second(at, now_at, utc_offset_s)
    return f"job {job_id} may be preempted by job {for_job_id} from {when} on (PreemptExemptTime)"


def describe_departures(leaving: Sequence[RunningJob], job_id: int, now_at: float, utc_offset_s: int) -> str:
    """Return who makes room for the job, and until when; "" for nobody."""
    records = [each.job for each in leaving if each.job is not None and each.job.preemption is not None]
    going = [(each, each.preemption) for each in records if each.preemption and each.preemption.for_job_id == job_id]
    if not going:
        return ""
    names = _name_jobs(tuple(dict.fromkeys(lead_id_of(job) for job, _ in going)))
    ends_at = max(preemption.ends_at for _, preemption in going)
    until = f", by {format_second(ends_at, now_at, utc_offset_s)} (GraceTime)" if ends_at > now_at else ""
    is_one = len(going) == 1
    return f"it preempts {names}, which {'makes' if is_one else 'make'} room{until}"


def describe_preemption(job: Job, now_at: float, utc_offset_s: int = 0) -> str:
    """Return what preemption does to a running or suspended job; "" when it does nothing."""
    preemption = job.preemption
    if preemption is None or job.is_ended:
        return ""
    who = f"job {preemption.for_job_id}"
    if job.state is JobState.SUSPENDED:
        cause = f"was suspended for {who}" if preemption.for_job_id else "is to be resumed"
        return f"job {job.id} {cause}: goes on when its CPUs are free"
    ends = format_second(preemption.ends_at, now_at, utc_offset_s)
    then = ", then it is requeued" if preemption.mode is PreemptMode.REQUEUE else ""
    return f"job {job.id} is to be preempted by {who}: ends by {ends} (GraceTime){then}"


def _name_jobs(job_ids: Sequence[int]) -> str:
    words = [f"job {job_id}" for job_id in job_ids[:_SHOWN_MAX]]
    if len(job_ids) > len(words):
        words.append(f"{len(job_ids) - len(words)} more")
    return ", ".join(words)
