"""Time as an argument: the wall clock of the daemons and the virtual clock of replay and tests.

Time points are seconds since the epoch as floats.  Nothing outside this module asks the
operating system what time it is, except where a deadline on a socket is kept.
"""

from __future__ import annotations

import time


class WallClock:
    """The time of day of this machine."""

    def now(self) -> float:
        return time.time()


class VirtualClock:
    """A clock that moves only when told; never backwards."""

    def __init__(self, start_at: float = 0.0) -> None:
        self._now_at = start_at

    def now(self) -> float:
        return self._now_at

    def advance_to(self, at: float) -> None:
        assert at >= self._now_at, f"clock moved back from {self._now_at} to {at}"
        self._now_at = at
