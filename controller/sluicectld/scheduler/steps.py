"""A count over time: how much of something is taken from which moment on.

What tracks.py is for nodes this is for what is on no node (pools.py): one number instead of a row, and few of them.

Invariant: times ascend from now; what was added and taken out again leaves no answer changed.
"""

import bisect
from collections.abc import Iterable

from .tracks import NEVER


class Steps:
    """base: taken for ever.  ends: what else is taken now, each count until its moment."""

    __slots__ = ("counts", "now_at", "times")

    def __init__(self, now_at: float, base: int, ends: Iterable[tuple[float, int]] = ()) -> None:
        self.now_at = now_at
        #: From each of the times on so much is taken.
        self.times = [now_at]
        self.counts = [base]
        falls: dict[float, int] = {}
        for until_at, count in ends:
            if until_at > now_at:
                falls[until_at] = falls.get(until_at, 0) + count
        self.counts[0] += sum(falls.values())
        falls.pop(NEVER, None)
        for at in sorted(falls):
            self.times.append(at)
            self.counts.append(self.counts[-1] - falls[at])

    def add(self, from_at: float, until_at: float, count: int) -> None:
        """Take so many more during [from_at, until_at); -count: undo it."""
        from_at = max(from_at, self.now_at)
        if until_at <= from_at:
            return
        first = self._split(from_at)
        last = self._split(until_at) if until_at < NEVER else len(self.times)
        for step in range(first, last):
            self.counts[step] += count

    def peak(self, from_at: float, until_at: float) -> int:
        """Return the most that is taken at any moment of [from_at, until_at)."""
        first = bisect.bisect_right(self.times, from_at) - 1
        last = bisect.bisect_left(self.times, until_at)
        return max(self.counts[first : max(last, first + 1)])

    def earliest(self, most: int, duration_s: float, from_at: float) -> float:
        """Return the first moment, *from_at* or later, from which on no more is taken for so long; NEVER if none."""
        begin_at: float | None = None
        for step in range(bisect.bisect_right(self.times, from_at) - 1, len(self.times)):
            at = self.times[step]
            if begin_at is not None and at >= begin_at + duration_s:
                return begin_at
            if self.counts[step] > most:
                begin_at = None
            elif begin_at is None:
                begin_at = max(at, from_at)
        return NEVER if begin_at is None else begin_at

    def next_change(self, at: float) -> float:
        """Return the first step after the moment; NEVER if there is none."""
        step = bisect.bisect_right(self.times, at)
        return self.times[step] if step < len(self.times) else NEVER

    def intervals(self, from_at: float, until_at: float) -> Iterable[tuple[float, float, int]]:
        """Yield (from, until, count) for each step that reaches into the interval."""
        for step, at in enumerate(self.times):
            end_at = self.times[step + 1] if step + 1 < len(self.times) else NEVER
            if at < until_at and from_at < end_at:
                yield max(at, from_at), min(end_at, until_at), self.counts[step]

    def copy(self) -> "Steps":
        other = Steps(self.now_at, 0)
        other.times, other.counts = list(self.times), list(self.counts)
        return other

    def _split(self, at: float) -> int:
        """Return the step that begins at the moment, made if need be."""
        step = bisect.bisect_left(self.times, at)
        if step == len(self.times) or self.times[step] != at:
            self.times.insert(step, at)
            self.counts.insert(step, self.counts[step - 1])
        return step
