"""Patience: until when a job lets shorter ones pass, and in which order jobs that are not planned are tried.

A job is due when it has waited some times its own limit, and after some days at the latest.  The planned start of
the head job is the first moment, not before it is due, at which it fits by the limits of all that runs; until then
lower jobs may use its resources.  Past its due time it is planned as early as possible, and tried before
all jobs that are not due.

Invariant: the planned start of a head job never moves later because of a job below it, whatever is predicted.
Source: docs/decisions/prediction.md.
"""

from collections.abc import Mapping, Sequence

import msgspec

from sluice.model.job import Job
from sluice.model.partition import Partition


class Patience(msgspec.Struct, frozen=True):
    """A job is due when it has waited *limits* times its own limit, but at most *max_s*."""

    limits: float = 6.0
    max_s: float = 3 * 86400.0


def compute_due_at(job: Job, patience: Patience) -> float:
    """Return from when on no job may pass this one if that delays it; a job without a limit is due after max_s."""
    since_at = job.submitted_at if job.eligible_at is None else job.eligible_at
    if job.limit_s is None:
        return since_at + patience.max_s
    return since_at + min(patience.limits * job.limit_s, patience.max_s)


def rank_candidates(
    entries: Sequence[tuple[Job, Partition]], now_at: float, predicted_s: Mapping[int, float], patience: Patience
) -> list[tuple[Job, Partition]]:
    """Return the entries as candidates for backfill: those past their due time in the order given, then the shortest.

    predicted_s: by job id; a job without a prediction counts with its limit.  Equal jobs keep the order given.
    """

    def key_of(entry: tuple[Job, Partition]) -> tuple[bool, float]:
        job = entry[0]
        if now_at > compute_due_at(job, patience):
            return (False, 0.0)
        limit_s = float("inf") if job.limit_s is None else job.limit_s
        return (True, predicted_s.get(job.id, limit_s))

    return sorted(entries, key=key_of)
