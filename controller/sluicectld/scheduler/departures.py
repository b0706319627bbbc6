"""Jobs on their way out, preempted or not clean yet: the timeline has them ended, though they hold something still.

So a planned start may count on it now, and no job can start on it before it is free in fact.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.preemption import PreemptMode
from sluice.model.states import JobState

from .snapshot import RunningJob, Snapshot


def expect_ends(snapshot: Snapshot) -> Sequence[RunningJob]:
    """Return the running jobs as the timeline is to see them, those that are being ended, and those that have."""
    # The present time would make a new record of it in every pass.
    ended = {each.job_id: replace(each, expected_end_at=0.0) for each in snapshot.leaving if is_going(each)}
    if not ended and not snapshot.completing:
        return snapshot.running
    running = [ended.pop(running.job_id, running) for running in snapshot.running]
    return [*running, *ended.values(), *snapshot.completing]


def is_going(running: RunningJob) -> bool:
    """Is it being ended, so that all it has comes back?"""
    job = running.job
    assert job is not None, f"job {running.job_id} is being preempted and has no record"
    assert job.preemption is not None, f"job {running.job_id} is not being preempted"
    return (job.state is not JobState.SUSPENDED and job.preemption.mode is not PreemptMode.SUSPEND) or job.is_ended


def departures_by_job(snapshot: Snapshot) -> dict[int, list[RunningJob]]:
    """Return the jobs that make room or have made it, by the pending job for which they do."""
    pending = {job.id for job in snapshot.pending} if snapshot.leaving else frozenset()
    found: dict[int, list[RunningJob]] = {}
    for running in snapshot.leaving:
        preemption = running.job.preemption if running.job is not None else None
        if preemption is not None and preemption.for_job_id in pending:
            found.setdefault(preemption.for_job_id, []).append(running)
    return found


def lead_id_of(job: Job) -> int:
    """Return what a job is named by where all components of a heterogeneous one are meant."""
    return job.het_job_id or job.id
