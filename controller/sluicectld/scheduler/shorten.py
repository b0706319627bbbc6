"""Shorter limits: a job with --time-min starts now with the longest limit, down to that, that delays no planned start.

Planned starts and what reservations keep are all that takes something away later on, so only before one of these
moments can a shorter job fit where a longer one does not; the longest limit ends there or at the job's own.  The
shorter a job the more it fits, so that a few questions to the timeline find it.  A deadline bounds the limit, too.

Invariant: the limit is in whole minutes, not below the least and not above the asked one.
Source: sbatch(1), --time-min.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sluice.model.job import Job

from .search import Part, find_now
from .shapes import Shape
from .tracks import NEVER

if TYPE_CHECKING:
    from .decide import Pass

_MINUTE_S = 60
Place = tuple[Shape, list[Part]]


def find_place(one_pass: "Pass", job: Job, shape: Shape) -> Place | None:
    """Return where the job starts now, and with which limit: its own, or a shorter one if it allows that."""
    parts = find_now(shape, one_pass.working, one_pass.timeline) if shape.blockers is None else None
    whole = None if parts is None else (shape, parts)
    if not may_shorten(one_pass, job) or (whole is not None and _is_free(one_pass, job, *whole)):
        return whole
    return _find_shorter(one_pass, job, shape) or whole


def may_shorten(one_pass: "Pass", job: Job) -> bool:
    """May the job get a shorter limit than it asks for?"""
    return one_pass.policy.is_backfilling and bool(job.spec.min_limit_s) and not job.is_component


def within_deadline(job: Job, now_at: float) -> Job:
    """Return the job with no longer a limit than its deadline leaves, if it allows that; as it is if not.

    One that can't end in time any more is ended when that moment comes, not here.
    """
    deadline_at, least_s = job.spec.deadline_at, job.spec.min_limit_s
    if deadline_at is None or least_s is None:
        return job
    most_s = max(_whole_minutes(deadline_at - now_at), least_s)
    return job if job.limit_s is not None and job.limit_s <= most_s else replace(job, limit_s=most_s)


def _find_shorter(one_pass: "Pass", job: Job, shape: Shape) -> Place | None:
    least_s = job.spec.min_limit_s or 0
    now_at = one_pass.snapshot.now_at
    ends = {_whole_minutes(at - now_at) for at in _falls(one_pass, job, shape) if at < NEVER}
    limits = sorted(limit_s for limit_s in {*ends, least_s} if least_s <= limit_s < shape.duration_s)
    best = _try(one_pass, job, shape, limits[0]) if limits else None
    low, high = 0, len(limits) - 1
    while best is not None and low < high:
        middle = (low + high + 1) // 2
        found = _try(one_pass, job, shape, limits[middle])
        if found is None:
            high = middle - 1
        else:
            low, best = middle, found
    return best


def _try(one_pass: "Pass", job: Job, shape: Shape, limit_s: int) -> Place | None:
    """Return where the job fits now with this limit."""
    short = one_pass.shaper.find(replace(job, limit_s=limit_s), shape.partition, shape.view)
    if short.blockers is not None:
        return None
    parts = find_now(short, one_pass.working, one_pass.timeline)
    return (short, parts) if parts is not None and _is_free(one_pass, job, short, parts) else None


def _is_free(one_pass: "Pass", job: Job, shape: Shape, parts: list[Part]) -> bool:
    """Is what the job takes beside nodes free for its whole limit?"""
    return not one_pass.ledger.find_placed_blockers(job, shape, parts, is_lasting=False)


def _falls(one_pass: "Pass", job: Job, shape: Shape) -> Iterator[float]:
    """Yield the moments after which less may be free for the shape than before."""
    plans = one_pass.timeline.plans
    for position in plans.keys() & set(shape.candidates):
        for _, from_at, _ in plans[position].values():
            yield from_at
    for closure in shape.view.closures:
        yield closure.from_at
    claimant = one_pass.ledger.claimant_of(job, shape)
    if claimant is not None:
        yield from claimant.falls_after(one_pass.snapshot.now_at)
    if shape.access is not None and shape.access.window is not None:
        yield shape.access.window.until_at


def _whole_minutes(seconds: float) -> int:
    return int(seconds // _MINUTE_S) * _MINUTE_S
