"""What of reservations keeps a job waiting, as blockers: which reservation, from when, and what would fit now.

Source of the words: CONTRACT section 14; scontrol's manual.
"""

import math

from msgspec.structs import replace

from sluice import duration, hostlist
from sluice.model.reason import Blocker, Reason

from .explain import format_at
from .recurrence import Window
from .reservations import Closure, View
from .search import find_now
from .shapes import Access, Shape
from .timeline import Timeline
from .working import WorkingCopy

#: Limits that are tried for the one that fits now.
_TRIES_MAX = 16
_MINUTE_S = 60
#: Reservations that a text names.
_SHOWN_MAX = 5


def begin_blocker(view: View, window: Window | None, now_at: float, utc_offset_s: int) -> Blocker:
    """Return that the job's reservation has not begun, or that too little is left of it."""
    if window is None:
        text = f"reservation {view.reservation!r} is all but over"
    else:
        text = f"reservation {view.reservation!r} begins {format_at(window.from_at, now_at, utc_offset_s)}"
    return Blocker(reason=Reason.RESERVATION, text=text)


def outgrown_blocker(shape: Shape, working: WorkingCopy) -> Blocker:
    """Return that all of the job's reservation could not hold it."""
    names = hostlist.fold(working.names[position] for position in shape.candidates)
    text = f"reservation {shape.view.reservation!r} has {names or 'no nodes'} for it, which could not hold it if idle"
    return Blocker(reason=Reason.RESOURCES, text=text)


def find_closed_blocker(shape: Shape, working: WorkingCopy, timeline: Timeline, utc_offset_s: int) -> Blocker | None:
    """Return that a job of the shape would start now but for reservations of others, None if it would not."""
    if not shape.view.closures:
        return None
    now_at = timeline.now_at
    parts = find_now(_twin(shape, working, timeline, shape.limit_s, is_open=True), working, timeline)
    if parts is None:
        return None
    until_at = now_at + shape.duration_s
    standing = [closure for closure in shape.view.closures if closure.meets(now_at, until_at)]
    if not standing:
        return None
    # What matters is on the nodes that it would get.
    wanted = {part.position for part in parts}
    relevant = [each for each in standing if not each.positions.isdisjoint(wanted)] or standing
    first = min(relevant, key=lambda each: (not each.is_maintenance, each.from_at, each.reservation))
    # Of all that stand in the way: with a shorter limit it may fit on other nodes, whose reservation begins later.
    longest_s = _longest_limit(shape, working, timeline, standing)
    word = "Reserved for maintenance" if first.is_maintenance else "May be reserved for other job"
    return Blocker(
        reason=Reason.REQ_NODE_NOT_AVAIL,
        text=f"{word}: {_describe(first, now_at, utc_offset_s)}; {_advice(longest_s)}",
    )


def describe_closures(view: View, from_at: float, until_at: float, utc_offset_s: int) -> str:
    """Return the reservations of others that are met in the interval, earliest first: "reservation 'r1' from 14:00"."""
    met = {each.reservation: each for each in reversed(view.closures) if each.meets(from_at, until_at)}
    standing = sorted(met.values(), key=lambda each: (each.from_at, each.reservation))
    words = [_describe(each, from_at, utc_offset_s) for each in standing[:_SHOWN_MAX]]
    if len(standing) > _SHOWN_MAX:
        words.append(f"{len(standing) - _SHOWN_MAX} more")
    return ", ".join(words)


def _describe(closure: Closure, now_at: float, utc_offset_s: int) -> str:
    end = "" if math.isinf(closure.until_at) else f" to {format_at(closure.until_at, now_at, utc_offset_s)}"
    begin = format_at(max(closure.from_at, now_at), now_at, utc_offset_s)
    return f"reservation {closure.reservation!r} from {begin}{end}"


def _advice(longest_s: int) -> str:
    if not longest_s:
        return "no time limit fits now"
    return f"a time limit of at most {duration.format_long(longest_s)} fits now"


def _longest_limit(shape: Shape, working: WorkingCopy, timeline: Timeline, standing: list[Closure]) -> int:
    """Return the longest limit, in whole minutes, with which it would start now; 0 if there is none."""
    ends = {int(closure.from_at - timeline.now_at) // _MINUTE_S * _MINUTE_S for closure in standing}
    for limit_s in sorted((each for each in ends if each > 0), reverse=True)[:_TRIES_MAX]:
        if find_now(_twin(shape, working, timeline, limit_s), working, timeline) is not None:
            return limit_s
    return 0


def _twin(
    shape: Shape, working: WorkingCopy, timeline: Timeline, limit_s: int | None, *, is_open: bool = False
) -> Shape:
    """Return the same shape with another limit, or without what is closed to it."""
    access = shape.access
    if access is not None:
        view = replace(access.view, closures=(), touched=frozenset()) if is_open else access.view
        access = Access(view, access.book, access.window)
    return Shape(shape.needs, shape.partition, limit_s, working, timeline, shape.uid, access=access)
