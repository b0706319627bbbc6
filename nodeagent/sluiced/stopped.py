"""Step daemons that somebody has stopped (SIGSTOP) while their steps are to end: nothing in them goes on by itself.

Some seconds after KILL was due and has had its time, one that stands still is killed, and its step is cleaned up as
that of any daemon that died.  One that runs is left alone, however long it takes: it may wait for room for its result,
or for an srun that reads slowly, and it gives up by itself what does not die.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable

from sluiced import process_id
from sluiced.spool import Spool, StepKey

logger = logging.getLogger(__name__)

#: How long after its time a step may still be there before its daemon is looked at, and between two looks.
_PAUSE_S = 5.0


class StoppedDaemons:
    """is_running: has the step not ended yet?"""

    def __init__(self, spool: Spool, is_running: Callable[[StepKey], bool]) -> None:
        self._spool = spool
        self._is_running = is_running
        self._timers: dict[StepKey, asyncio.TimerHandle] = {}

    def expect_end(self, key: StepKey, kill_wait_s: float) -> None:
        """The step was told to end; KILL is due after kill_wait_s."""
        launch = self._spool.read_launch(key)
        timeout_s = launch.config.unkillable_timeout_s if launch is not None else 0.0
        self._look_in(key, kill_wait_s + timeout_s + _PAUSE_S)

    def forget(self, key: StepKey) -> None:
        """It has ended."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def stop(self) -> None:
        for key in list(self._timers):
            self.forget(key)

    def _look_in(self, key: StepKey, pause_s: float) -> None:
        """Look at the step's daemon then, or when it was to be looked at already if that is earlier."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + pause_s:
            return
        self.forget(key)
        self._timers[key] = loop.call_later(pause_s, self._look, key)

    def _look(self, key: StepKey) -> None:
        del self._timers[key]
        if not self._is_running(key):
            return
        claim = self._spool.read_claim(key)
        pidfd = process_id.open_process(*claim) if claim is not None else None
        if claim is not None and pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                # "t" is a debugger's, who is at work.
                if process_id.stat_fields(claim.pid)[:1] == [b"T"]:
                    logger.warning("step %s.%s: step daemon stopped, killed", key.job_id, key.step_id)
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        self._look_in(key, _PAUSE_S)
