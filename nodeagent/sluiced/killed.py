"""What the agent itself has killed of a step: told as unkillable if it is still there when KILL has had its time.

A step daemon does that for its own tasks (steps/runner.py); this is for the daemons, and for what those left that died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sluiced import process_id
from sluiced.spool import StepKey
from sluiced.steps.descendants import Unkillable, find_unkillable

#: Told what is left of a step, and of the node's health.
OnUnkillable = Callable[[StepKey, Unkillable], None]


class KilledProcesses:
    """Waits for their end without a descriptor each."""

    def __init__(self, on_unkillable: OnUnkillable) -> None:
        self._on_unkillable = on_unkillable
        self._timers: set[asyncio.TimerHandle] = set()

    def expect_gone(
        self, key: StepKey, pids: Iterable[int], timeout_s: float, on_left: Callable[[], None] = lambda: None
    ) -> None:
        """Look after *timeout_s* what of *pids* is left, never where that is 0; on_left: called after it is told."""
        left = {(pid, process_id.start_ticks(pid)) for pid in pids if _is_there(pid)}
        if not left or not timeout_s:
            return

        def look() -> None:
            self._timers.discard(timer)
            still = {pid for pid, ticks in left if _is_there(pid) and process_id.start_ticks(pid) == ticks}
            if still:
                self._on_unkillable(key, find_unkillable(still))
                on_left()

        timer = asyncio.get_running_loop().call_later(timeout_s, look)
        self._timers.add(timer)

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def _is_there(pid: int) -> bool:
    """A zombie has ended, whoever is to be told of it."""
    return process_id.stat_fields(pid)[:1] not in ([], [b"Z"])
