"""Signals to a step: which of its processes hears which, and what stops, thaws or kills all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection

from sluice.model.states import Notice
from sluiced.cgroup.interface import StepGroup
from sluiced.steps import descendants
from sluiced.steps.ending import EndSchedule
from sluiced.steps.launch import SignalOrder, StepLaunch
from sluiced.steps.notice_board import NoticeBoard
from sluiced.steps.tasks import Tasks


class Signals:
    """schedule: once the step is being ended, nobody is warned any more."""

    def __init__(
        self, launch: StepLaunch, tasks: Tasks, group: StepGroup, notices: NoticeBoard, schedule: EndSchedule
    ) -> None:
        self._launch = launch
        self._tasks = tasks
        self._group = group
        self._notices = notices
        self._schedule = schedule
        self._has_killed = False
        self._is_suspended = False
        #: Suspended by signal, where it cannot be frozen.
        self._is_stopped = False
        #: Warnings that were given: reason, signal, deadline.
        self._warnings: set[tuple[str, int, float | None]] = set()

    def send(self, order: SignalOrder) -> None:
        if order.signal == 0:
            self._tell(order)
            return
        number = order.signal
        if number not in signal.valid_signals():
            return
        if order.is_suspension:
            self._stand_still(order) if number == signal.SIGSTOP else self._go_on(order)
            return
        if order.reason and not order.is_exact:
            self._warn(order, number)
            return
        self._notices.tell(order.reason or "signal", number, time.time(), order.deadline_at, order.text)
        if number == signal.SIGKILL and order.full:
            self.kill_all()
        elif order.full or self._launch.config.cgroup.signal_children_processes:
            self.send_all(number)
        elif self._launch.is_batch:
            for pid in self._tasks.ranks:
                os.kill(pid, number)
        else:
            for pid in self._tasks.ranks:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)

    def _tell(self, order: SignalOrder) -> None:
        """Tell the reason alone; a limit that is known already, from a controller that makes sure, is no news."""
        if order.reason == Notice.NEW_LIMIT:
            if order.limit_at == self._notices.limit_at and not order.text:
                return
            self._notices.limit_at = order.limit_at
        self._notices.tell(order.reason, 0, time.time(), order.deadline_at, order.text)

    def _warn(self, order: SignalOrder, number: int) -> None:
        """The program is to end by a deadline: a stopped one goes on, and all but a batch script's own shell hears."""
        key = order.reason, order.signal, order.deadline_at
        if key in self._warnings or self._schedule.ending is not None:
            return
        self._warnings.add(key)
        self._notices.tell(order.reason, number, time.time(), order.deadline_at, order.text)
        if self._launch.is_batch and not order.full:
            # The shell would die of it and take the job's time to end away; what it runs is what is warned.
            below = set().union(*(descendants.descendants(pid) for pid in self._tasks.ranks))
            spared = set(self._tasks.ranks) if below else set()
            self.send_all(signal.SIGCONT, number, spared=spared)
        else:
            self.send_all(signal.SIGCONT, number)
        self._group.thaw()

    def kill_all(self) -> None:
        """Kill everything; from the second time on also what forks faster than a walk over the tree.

        A step that is in no group yet would wait for the kernel when it enters one, mostly in vain.
        """
        if self._has_killed or self._group.holds_all:
            with contextlib.suppress(OSError):
                self._group.kill(descendants.descendants(os.getpid()))
        self._has_killed = True
        self.send_all(signal.SIGKILL)

    def send_all(self, *numbers: int, spared: Collection[int] = ()) -> None:
        descendants.signal_descendants(os.getpid(), *numbers, spared=spared)

    def _stand_still(self, order: SignalOrder) -> None:
        """Suspend the step; whoever reads its notices afterwards knows what has happened meanwhile."""
        if order.reason and not self._is_suspended:
            self._notices.tell(order.reason, 0, time.time(), None, order.text)
        self._is_suspended = True
        self._suspend()

    def _go_on(self, order: SignalOrder) -> None:
        is_moved = order.limit_at != self._notices.limit_at
        if order.reason and (self._is_suspended or is_moved):
            # Where only the order to stand still was lost, the limit has moved all the same.
            self._notices.limit_at = order.limit_at
            self._notices.tell(order.reason, 0, time.time(), None, order.text)
        self._is_suspended = False
        self._resume()

    def _suspend(self) -> None:
        """Let everything stand still: frozen where that can be done, for parents see a stop and anybody may undo it."""
        with contextlib.suppress(OSError):
            if self._group.freeze(lambda: descendants.descendants(os.getpid())):
                return
        self._is_stopped = True
        self.send_all(signal.SIGSTOP)

    def _resume(self) -> None:
        self._group.thaw()
        if self._is_stopped:
            self._is_stopped = False
            self.send_all(signal.SIGCONT)
