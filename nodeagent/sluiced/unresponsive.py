"""Step daemons that hear nothing while their steps are to end: stopped ones, and those that hang in a system call.

Such a call may be one that sets up a step whose files lie on a server that is gone.

When KILL is due the order to end is given once more, so that it can be seen whether it is read.  A step daemon reads
its orders whatever it waits for: room for its result, an srun that reads slowly, a process that does not die.  One that
has not read it by the time KILL has had (UnkillableStepTimeout) is killed with all below it, and its step is cleaned up
as that of any daemon that died.  What does not die of that is reported, and the step ends without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable

from sluiced import control_socket, process_id
from sluiced.control_socket import AskedOrder
from sluiced.killed import KilledProcesses
from sluiced.spool import Spool, StepKey
from sluiced.steps import descendants
from sluiced.steps.launch import EndOrder

logger = logging.getLogger(__name__)

#: At least that long a step daemon has for reading an order.
_READ_MIN_S = 5.0
#: What it has where nothing is given up (UnkillableStepTimeout=0).
_READ_UNLIMITED_S = 60.0


class _Ending:
    """A step that is to end; at its timer the asked order should have been read."""

    __slots__ = ("asked", "order", "timer")

    def __init__(self, order: EndOrder, timer: asyncio.TimerHandle) -> None:
        self.order = order
        self.timer = timer
        self.asked: AskedOrder | None = None

    def close(self) -> None:
        self.timer.cancel()
        self.close_asked()

    def close_asked(self) -> None:
        if self.asked is not None:
            self.asked.close()
            self.asked = None


class UnresponsiveDaemons:
    """on_stuck: the step's daemon was killed and is there all the same."""

    def __init__(self, spool: Spool, killed: KilledProcesses, on_stuck: Callable[[StepKey], None]) -> None:
        self._spool = spool
        self._killed = killed
        self._on_stuck = on_stuck
        self._endings: dict[StepKey, _Ending] = {}

    def expect_end(self, key: StepKey, order: EndOrder) -> None:
        """The step was told to end.  A second order may bring the look at its daemon forward."""
        loop = asyncio.get_running_loop()
        known = self._endings.get(key)
        if known is not None and (known.asked or known.timer.when() <= loop.time() + order.kill_wait_s):
            return
        self.forget(key)
        self._endings[key] = _Ending(order, loop.call_later(order.kill_wait_s, self._ask, key))

    def forget(self, key: StepKey) -> None:
        """It has ended."""
        ending = self._endings.pop(key, None)
        if ending is not None:
            ending.close()

    def stop(self) -> None:
        for key in list(self._endings):
            self.forget(key)

    def _ask(self, key: StepKey) -> None:
        ending = self._endings[key]
        ending.close_asked()
        ending.asked = control_socket.ask(self._spool.step_path(key), ending.order)
        if ending.asked is None:
            # It has ended, and that is seen elsewhere.
            self.forget(key)
            return
        pause_s = max(_READ_MIN_S, self._timeout_s(key) or _READ_UNLIMITED_S)
        ending.timer = asyncio.get_running_loop().call_later(pause_s, self._look, key)

    def _look(self, key: StepKey) -> None:
        ending = self._endings[key]
        assert ending.asked is not None, f"{key}: looked at before it was asked"
        if ending.asked.is_read():
            self._ask(key)
        elif not self._kill(key):
            ending.timer = asyncio.get_running_loop().call_later(_READ_MIN_S, self._look, key)

    def _kill(self, key: StepKey) -> bool:
        """Return whether it was for us to kill; what a debugger holds is let be."""
        claim = self._spool.read_claim(key)
        pidfd = process_id.open_process(*claim) if claim is not None else None
        if claim is None or pidfd is None:
            return False
        try:
            state = process_id.stat_fields(claim.pid)[:1]
            if state == [b"t"]:
                return False
            logger.warning(
                "step %s.%s: step daemon reads no orders, killed: %s",
                key.job_id,
                key.step_id,
                descendants.describe({claim.pid}),
            )
            pids = {claim.pid, *descendants.descendants(claim.pid)}
            # The tasks first: below their step daemon they can all be found.
            descendants.signal_descendants(claim.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
        self.forget(key)
        self._killed.expect_gone(key, pids, self._timeout_s(key), lambda: self._on_stuck(key))
        return True

    def _timeout_s(self, key: StepKey) -> float:
        launch = self._spool.read_launch(key)
        return launch.config.unkillable_timeout_s if launch is not None else 0.0
