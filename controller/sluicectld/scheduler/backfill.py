"""Planned starts: when and where a job that does not fit now is expected to start.

Jobs are planned in queue order, each at the earliest moment at which it fits beside everything that runs or is planned
already; a lower job starts early only in the gaps (search.find_now looks at the timeline too).  How many jobs
are planned is bounded by counts in decide.py.

Invariant: a planned start never moves later because of a job below it.
Source: Mu'alem & Feitelson 2001, section 2 (conservative variant).
"""

import heapq
import math
from collections.abc import Iterable, Iterator

import msgspec

from .claimant import Claimant
from .pools import Use
from .recurrence import Window
from .search import Part, find_at
from .shapes import Shape
from .timeline import Timeline
from .tracks import NEVER
from .working import WorkingCopy

#: Rounds of the search for a slot that suits both nodes and pools at most; each looks at a later moment.
_ROUNDS_MAX = 1000


class Slot(msgspec.Struct, frozen=True):
    """A place in time: from when, and what is taken from which nodes for the job's whole limit."""

    at: float
    parts: list[Part]
    #: What is taken beside nodes: licenses, room below limits.
    use: Use | None = None


def find_slot(
    shape: Shape,
    working: WorkingCopy,
    timeline: Timeline,
    latest_at: float,
    looks_max: float = float("inf"),
    due_at: float = 0.0,
    claimant: Claimant | None = None,
) -> Slot | None:
    """Return the earliest slot for a job of the shape that begins by *latest_at*, and not before *due_at*, or None.

    looks_max: gives up when the pass has looked at more nodes than that.  claimant: of a job that takes something that
    is on no node.
    """
    if claimant is None:
        return _find_on_nodes(shape, working, timeline, latest_at, looks_max, due_at)
    # No start that suits both comes before the first that suits one: the search goes from one to the other.
    at = max(timeline.now_at, due_at)
    for _ in range(_ROUNDS_MAX):
        at = claimant.earliest(at)
        slot = None if at == NEVER else _find_on_nodes(shape, working, timeline, latest_at, looks_max, at)
        if slot is None:
            return None
        takes = [(working.kinds[part.position], part.take) for part in slot.parts]
        use, at = claimant.settle(takes, slot.at)
        if use is not None:
            return Slot(slot.at, slot.parts, use)
    return None


def _find_on_nodes(
    shape: Shape, working: WorkingCopy, timeline: Timeline, latest_at: float, looks_max: float, due_at: float
) -> Slot | None:
    from_at = max(timeline.now_at, shape.planned_at, due_at)
    if shape.access is not None and shape.access.window is not None:
        from_at, latest_at = _within(shape, shape.access.window, from_at, latest_at)
    resolution_s = working.policy.backfill_resolution_s
    if shape.is_plain and shape.access is None and not resolution_s:
        return _find_on_one_node(shape, working, timeline, from_at, latest_at)
    for at in _rounded(_moments(shape, timeline, from_at), resolution_s, timeline.now_at):
        if at > latest_at or timeline.tracks.looks > looks_max:
            return None
        parts = find_at(shape, working, timeline, at)
        if parts is not None:
            return Slot(at, parts)
    return None


def first_moment_after(shape: Shape, timeline: Timeline, at: float, claimant: Claimant | None = None) -> float:
    """Return the first moment after *at* at which a job of the shape may fit that did not before; NEVER if none."""
    on_nodes = next((moment for moment in _moments(shape, timeline, at) if moment > at), NEVER)
    return on_nodes if claimant is None else min(on_nodes, claimant.next_change(at))


def _moments(shape: Shape, timeline: Timeline, from_at: float) -> Iterable[float]:
    """Return the moments, ascending, at which a job of the shape may fit: never one too few."""
    needs, positions = shape.needs, timeline.make_positions(shape.candidates)
    moments = timeline.tracks.sweep(shape.task_rows, positions, needs.tasks, needs.nodes_min, shape.duration_s, from_at)
    # Where something is closed, its end frees nodes as the end of a job does.
    ends = sorted({closure.until_at for closure in shape.view.closures if from_at <= closure.until_at < NEVER})
    return heapq.merge(moments, ends) if ends else moments


def _rounded(moments: Iterable[float], resolution_s: float, now_at: float) -> Iterator[float]:
    """Yield the moments, those to come rounded up to whole resolutions, each once; 0: as they are."""
    last_at = -NEVER
    for moment in moments:
        at = math.ceil(moment / resolution_s) * resolution_s if resolution_s and moment > now_at else moment
        if at > last_at:
            last_at = at
            yield at


def _within(shape: Shape, window: Window, from_at: float, latest_at: float) -> tuple[float, float]:
    """Return the earliest and the latest start inside the job's reservation."""
    from_at = max(from_at, window.from_at)
    overrun_s = shape.view.overrun_s
    if overrun_s is not None:
        latest_at = min(latest_at, window.until_at + overrun_s - shape.duration_s)
    return from_at, latest_at


def _find_on_one_node(
    shape: Shape, working: WorkingCopy, timeline: Timeline, from_at: float, latest_at: float
) -> Slot | None:
    tasks = shape.needs.tasks
    positions = timeline.make_positions(shape.candidates)
    found = timeline.tracks.earliest(shape.task_rows, positions, tasks, shape.duration_s, from_at)
    if found is None or found[0] > latest_at:
        return None
    at, position = found
    return Slot(at, [Part(position, tasks, shape.take(working.idle_level(position), tasks))])


def reserve(job_id: int, slot: Slot, shape: Shape, timeline: Timeline) -> None:
    """Take the slot's resources out of the timeline for the job."""
    takes = [(part.position, part.take) for part in slot.parts]
    timeline.reserve(job_id, takes, slot.at, slot.at + shape.duration_s)


def release(job_id: int, slot: Slot, shape: Shape, timeline: Timeline) -> None:
    """Undo reserve()."""
    takes = [(part.position, part.take) for part in slot.parts]
    timeline.release(job_id, takes, slot.at, slot.at + shape.duration_s)
