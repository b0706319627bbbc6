"""The step daemons of a node as processes: started, adopted after a restart, watched to their end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from sluice.clock import WallClock
from sluice.model.base import EXTERN_STEP
from sluice.model.reason import Reason
from sluice.wire.messages import StepResult
from sluiced import control_socket, process_id
from sluiced.cgroup import detect
from sluiced.killed import KilledProcesses, OnUnkillable
from sluiced.spool import Spool, StepKey
from sluiced.steps import descendants, notice, temp_dir
from sluiced.steps.launch import ControlOrder, EndOrder, StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.launcher import Launcher
from sluiced.steps.stepd import failed_result, unrecorded_result
from sluiced.steps.wiring import is_wired
from sluiced.unresponsive import UnresponsiveDaemons

logger = logging.getLogger(__name__)

DAEMON_DIED = "the step's daemon ended unexpectedly, and its tasks with it"
DAEMON_STUCK = "the step's daemon reads no orders, and cannot be killed"

#: Told once per step: its result, and whether the step daemon left it itself.
OnEnded = Callable[[StepKey, StepResult, bool], None]
#: Told that a step has a step daemon, which may not have claimed it yet.
OnRunning = Callable[[StepKey], None]


class StepProcesses:
    """Watches one pidfd a step: when it is readable, the result is there or never will be.

    A step daemon that serves again says so earlier.
    """

    def __init__(
        self,
        spool: Spool,
        launcher: Launcher,
        on_running: OnRunning,
        on_ended: OnEnded,
        on_unkillable: OnUnkillable,
    ) -> None:
        self._spool = spool
        self._launcher = launcher
        self._on_running = on_running
        self._on_ended = on_ended
        self._watched: dict[StepKey, int] = {}
        self._killed = KilledProcesses(on_unkillable)
        self._unresponsive = UnresponsiveDaemons(spool, self._killed, self._on_stuck)

    def start(self, key: StepKey, launch: StepLaunch, connection: socket.socket | None) -> None:
        """Write the launch record, then have a step daemon forked.  Raises OSError when the spool fails."""
        self._spool.write_launch(key, launch)
        self.fork(key, connection, is_wired=is_wired(launch))

    def fork(self, key: StepKey, connection: socket.socket | None = None, *, is_wired: bool = False) -> None:
        """Have a step daemon forked for a step whose launch record is there."""
        path = self._spool.step_path(key)
        control = control_socket.bind(path)
        self._launcher.fork(
            path,
            control,
            connection,
            lambda pid, pidfd: self._watch(key, pidfd),
            lambda: self._on_over(key),
            is_wired=is_wired,
            # As long as its job, it would only keep from the job's steps who can begin them at once.
            is_new=key.step_id == EXTERN_STEP,
        )

    def adopt(self, key: StepKey) -> bool:
        """Watch the step daemon that has claimed the step; False: it is gone."""
        claim = self._spool.read_claim(key)
        pidfd = process_id.open_process(*claim) if claim else None
        if pidfd is None:
            return False
        self._watch(key, pidfd)
        return True

    def is_running(self, key: StepKey) -> bool:
        return key in self._watched

    def send(self, key: StepKey, order: ControlOrder, *descriptors: int) -> None:
        """An order that reaches nobody is about a step whose end is on its way."""
        if not control_socket.send(self._spool.step_path(key), order, descriptors):
            logger.info("step %s.%s: order not delivered, it has ended or hears nothing", key.job_id, key.step_id)
        if isinstance(order, EndOrder):
            self._unresponsive.expect_end(key, order)

    def kill_strays(self, key: StepKey) -> None:
        launch = self._spool.read_launch(key)
        claim = self._spool.read_claim(key)
        pids = detect.kill_leftovers(launch) if launch is not None else set()
        pids |= descendants.kill_strays(notice.marker(self._spool.notice_path(key)))
        self._killed.expect_gone(key, pids, launch.config.unkillable_timeout_s if launch is not None else 0.0)
        if launch is not None and claim is not None:
            temp_dir.remove_left(launch.temp_parent, launch.name, claim.pid, launch.job.spec.uid)
        logger.warning("step %s.%s: step daemon lost, killed=%s", key.job_id, key.step_id, len(pids))

    def stop(self) -> None:
        """Watch nothing any more; the step daemons go on."""
        self._unresponsive.stop()
        self._killed.stop()
        for pidfd in self._watched.values():
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
        self._watched.clear()

    def tell_result(self, key: StepKey) -> None:
        """Tell the result that the step daemon has left."""
        result = self._spool.read_result(key)
        assert result is not None, f"{key}: the result was there"
        self._on_ended(key, result, True)

    def fail(self, key: StepKey, text: str, ended_at: float) -> None:
        """Tell that the step ended without a word."""
        launch = self._spool.read_launch(key)
        failure = LaunchFailure(Reason.JOB_LAUNCH_FAILURE, text)
        if launch is None:
            result = unrecorded_result(key, failure, ended_at)
        else:
            result = failed_result(launch, failure, launch.accepted_at, ended_at)
        self._on_ended(key, result, False)

    def _watch(self, key: StepKey, pidfd: int) -> None:
        self._watched[key] = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit, key)
        self._on_running(key)

    def _on_over(self, key: StepKey) -> int | None:
        """Tell the result, and give back what watched the step daemon that has left it."""
        pidfd = self._watched.pop(key, None)
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            self._tell_end(key)
        return pidfd

    def _on_exit(self, key: StepKey) -> None:
        pidfd = self._watched.pop(key, None)
        if pidfd is None:
            return
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        self._tell_end(key)

    def _on_stuck(self, key: StepKey) -> None:
        pidfd = self._watched.pop(key, None)
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
            self.fail(key, DAEMON_STUCK, WallClock().now())

    def _tell_end(self, key: StepKey) -> None:
        self._unresponsive.forget(key)
        result = self._spool.read_result(key)
        if result is not None:
            self._on_ended(key, result, True)
        elif not self.adopt(key):
            # Not a loser of the claim beside a living owner: the owner itself is gone.
            self.fail(key, DAEMON_DIED, WallClock().now())
