"""Scheduling passes: one at a time, in a worker thread, over an immutable snapshot.

The event loop never waits for a pass, and nothing that comes in waits for one either.  What a pass says of the jobs
that wait is kept until the next one; it is derived, so it is not stored.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sluicectld.engine import Engine
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.forecast import Forecasts
from sluicectld.scheduler.handover import hand_on, is_formative
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Snapshot
from sluicectld.state.commands import ApplyPlan

logger = logging.getLogger(__name__)

#: A pass may take this share of the time at most; the rest belongs to the event loop.
_SHARE = 0.5


class PassStatistics:
    """Counts and seconds since the start."""

    def __init__(self) -> None:
        self.passes = 0
        self.starts = 0
        self.stale = 0
        self.total_s = 0.0
        self.last_s = 0.0
        self.max_s = 0.0
        self.last_depth = 0
        self.last_ended_at = 0.0

    def note(self, plan: Plan, took_s: float, now_at: float) -> None:
        self.passes += 1
        self.starts += len(plan.starts)
        self.total_s += took_s
        self.last_s = took_s
        self.max_s = max(self.max_s, took_s)
        self.last_depth = plan.tested_jobs
        self.last_ended_at = now_at


class Passes:
    """Runs decide() whenever the engine says that one is due.  apply: hands a plan to the engine."""

    def __init__(self, engine: Engine, now: Callable[[], float], apply: Callable[[ApplyPlan], int]) -> None:
        self.engine = engine
        self.plan = Plan(version=0)
        self.statistics = PassStatistics()
        self.forecasts = Forecasts()
        self._now = now
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "sluice-pass")
        #: What one pass leaves to the next, in the worker thread.
        self._memory = Memory()
        self._is_running = False
        self._is_scheduled = False
        self._is_closed = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None

    def kick(self) -> None:
        """Run a pass soon if one is due: after this turn of the loop, so that what came together is seen together."""
        if self.engine.is_pass_due and not self._is_running and not self._is_scheduled and not self._is_closed:
            self._is_scheduled = True
            self._loop.call_soon(self._start)

    def close(self) -> None:
        self._is_closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        self._is_scheduled = False
        if self._is_closed or not self.engine.is_pass_due:
            return
        self._is_running = True
        snapshot = self._with_last(self.engine.snapshot(self._now()))
        future = self._executor.submit(self._run, snapshot)
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._done, done, snapshot))

    def view(self, now_at: float) -> Snapshot:
        """Return what a pass would see now, for a question."""
        return self._with_last(self.engine.view(now_at))

    def _with_last(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with what the last pass hands on to the next one."""
        # What came back since the snapshot of the last plan, in the very change that it saw or later, it could not use.
        is_freed = self.engine.cluster.freed_version >= self.plan.version
        return hand_on(snapshot, self.plan, self.engine.policy, is_freed)

    def _run(self, snapshot: Snapshot) -> tuple[Plan, float]:
        began_s = time.perf_counter()
        plan = decide(snapshot, self.engine.policy, memory=self._memory)
        return plan, time.perf_counter() - began_s

    def _done(self, done: "Future[tuple[Plan, float]]", snapshot: Snapshot) -> None:
        if self._is_closed:
            return
        try:
            self.plan, took_s = done.result()
        except Exception:
            logger.exception("scheduling pass failed version=%d pending=%d", snapshot.version, len(snapshot.pending))
            self._loop.call_later(1.0, self._rest_over)
            return
        self.statistics.note(self.plan, took_s, self._now())
        self._set_alarm(self.plan.look_again_at)
        self.forecasts.note(self.plan, self._now())
        is_freed = snapshot.is_freed if is_formative(self.plan, snapshot, self.engine.policy) else None
        if self._is_to_be_applied(is_freed):
            try:
                self.statistics.stale += self._apply(ApplyPlan(self.plan, snapshot.now_at, is_freed))
            except Exception:
                logger.exception("plan failed version=%d starts=%d", snapshot.version, len(self.plan.starts))
                took_s = 1.0
        self._loop.call_later(took_s * (1 / _SHARE - 1), self._rest_over)

    def _is_to_be_applied(self, is_freed: bool | None) -> bool:
        plan = self.plan
        if plan.starts or plan.preemptions or plan.resumes or is_freed is not None:
            return True
        # Who still waits may call nodes back (handlers/loans.py).
        return any(each.max_start_delay_s for each in self.engine.cluster.reservations.values())

    def _set_alarm(self, at: float | None) -> None:
        """Have a pass at the time even if nothing happens until then."""
        if at == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = None, at
        if at is not None:
            self._alarm = self._loop.call_later(max(0.0, at - self._now()), self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = self._alarm_at = None
        self.engine.is_pass_due = True
        self.kick()

    def _rest_over(self) -> None:
        self._is_running = False
        self.kick()
