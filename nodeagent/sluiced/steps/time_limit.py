"""A step's own time limit (srun -t): counted while it runs, not while it is suspended.  Pure: told the time."""

from __future__ import annotations


class TimeLimit:
    """limit_s: None for no limit.  Times are of any clock that goes on evenly."""

    def __init__(self, limit_s: float | None, now: float) -> None:
        self._left_s = limit_s
        #: Since when the time runs; None: it stands still.
        self._since: float | None = now

    def suspend(self, now: float) -> None:
        self._left_s, self._since = self.left_s(now), None

    def resume(self, now: float) -> None:
        if self._since is None:
            self._since = now

    def left_s(self, now: float) -> float | None:
        """Return how much is left, 0 or less when it is over; None: it has no limit."""
        if self._left_s is None or self._since is None:
            return self._left_s
        return self._left_s - (now - self._since)

    def is_over(self, now: float) -> bool:
        left_s = self.left_s(now)
        return left_s is not None and left_s <= 0.0

    def wait_s(self, now: float) -> float | None:
        """Return when to look again; None: it stands still or has no limit."""
        left_s = self.left_s(now)
        return None if left_s is None or self._since is None else max(0.0, left_s)
