"""When which signal is due while a step ends: TERM at once, KILL after the wait, then again until all is gone."""

from __future__ import annotations

from sluice.model.states import Ending
from sluiced.steps.launch import EndOrder

_KILL_AGAIN_S = 1.0


class EndSchedule:
    """Pure: told the time, it says what is due."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.kill_at: float | None = None
        self._first_kill_at: float | None = None

    def begin(self, order: EndOrder, now_at: float) -> bool:
        """Return whether TERM is due: at the first order.  A later one can only bring KILL forward."""
        kill_at = now_at + order.kill_wait_s
        is_first = self.ending is None
        if is_first:
            self.ending = order.ending
        if self.kill_at is None or kill_at < self.kill_at:
            self.kill_at = kill_at
        return is_first

    def kill_now(self, now_at: float) -> None:
        """The tasks are gone; what is left gets no more time."""
        if self.kill_at is None or self.kill_at > now_at:
            self.kill_at = now_at

    def take_kill(self, now_at: float) -> bool:
        """Return whether KILL is due; it is again after a while."""
        if self.kill_at is None or now_at < self.kill_at:
            return False
        self.kill_at = now_at + _KILL_AGAIN_S
        if self._first_kill_at is None:
            self._first_kill_at = now_at
        return True

    def is_hopeless(self, now_at: float, timeout_s: float) -> bool:
        """Return whether KILL has had *timeout_s* to work; never when that is 0."""
        return bool(timeout_s) and self._first_kill_at is not None and now_at >= self._first_kill_at + timeout_s

    def wait_s(self, now_at: float) -> float | None:
        """Return how long nothing is due; None: for ever."""
        return None if self.kill_at is None else max(0.0, self.kill_at - now_at)
