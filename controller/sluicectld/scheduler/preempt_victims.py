"""Victims: a running job, or all running components of a heterogeneous one, which are preempted together.

Invariant: no component is anybody's victim without the others that run.
"""

from collections.abc import Iterable, Iterator

import msgspec

from sluice.model.job import Job
from sluice.model.preemption import PreemptMode
from sluice.model.states import JobState

from .snapshot import RunningJob
from .tracks import NEVER

#: A job, or the running components of one in their order: its leader is the first.
Parts = tuple[RunningJob, ...]
Rank = tuple[float, ...]


class Victim(msgspec.Struct, frozen=True, eq=False):
    """Who may be preempted, and how.  job_id: of the first part."""

    job_id: int
    parts: Parts
    mode: PreemptMode
    grace_s: float
    rank: Rank
    #: From when on it may be.
    eligible_at: float

    @property
    def cpu_count(self) -> int:
        return sum(part.allocation.cpu_count for part in self.parts)

    @property
    def licenses(self) -> tuple[tuple[str, int], ...]:
        return tuple(each for part in self.parts for each in part.allocation.licenses)


def gather_victims(running: Iterable[RunningJob]) -> Iterator[Parts]:
    """Yield the jobs of which nothing is being preempted yet, nor suspended; those without a record are not asked."""
    components: dict[int, list[RunningJob]] = {}
    for each in running:
        job = each.job
        if job is None:
            continue
        if job.is_component:
            components.setdefault(job.het_job_id, []).append(each)
        elif _is_free(job):
            yield (each,)
    for leader_id, parts in components.items():
        if all(_is_free(record_of(part)) for part in parts):
            parts.sort(key=_id_of)
            assert parts[0].job_id == leader_id, f"components of job {leader_id} run without it"
            yield tuple(parts)


def record_of(running: RunningJob) -> Job:
    assert running.job is not None, f"job {running.job_id} has no record and is nobody's victim"
    return running.job


def began_at(job: Job) -> float:
    """Return when it would have started had it run without pause."""
    return (job.started_at or 0.0) + job.suspended_s


def end_of(running: RunningJob) -> float:
    """Return when it is expected to end by itself."""
    return NEVER if running.expected_end_at is None else running.expected_end_at


def _is_free(job: Job) -> bool:
    return job.state is JobState.RUNNING and job.preemption is None


def _id_of(running: RunningJob) -> int:
    return running.job_id
