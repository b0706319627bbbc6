"""Planned starts beside reservations: the earliest moment at which a job fits between what is closed to it.

Looked for at the moments at which more may become free: the end of something that runs or is planned, the end of a
closure, the begin of the job's own reservation.  How many are looked at is bounded by a count.
"""

from .search import Part, find_at
from .shapes import Shape
from .timeline import Timeline

_MOMENTS_MAX = 200


def find_restricted_slot(shape: Shape, timeline: Timeline, latest_at: float) -> tuple[float, list[Part]] | None:
    """Return (when, what of which nodes) for a job of the shape, or None when there is nothing up to *latest_at*."""
    first_at = max(timeline.now_at, shape.planned_at)
    if shape.window is not None:
        first_at = max(first_at, shape.window.from_at)
        if shape.view.overrun_s is not None:
            latest_at = min(latest_at, shape.window.until_at + shape.view.overrun_s - shape.duration_s)
    moments = {first_at}
    for position in shape.candidates:
        moments.update(timeline.steps(position)[0])
    moments.update(closure.until_at for closure in shape.view.closures)
    wanted = sorted(at for at in moments if first_at <= at <= latest_at)
    for at in wanted[:_MOMENTS_MAX]:
        timeline.looks += len(shape.candidates)
        parts = find_at(shape, shape.working, timeline, at)
        if parts is not None:
            return at, parts
    return None
