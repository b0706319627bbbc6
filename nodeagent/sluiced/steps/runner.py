"""The life of a step's processes: fork, feed, wait, end.  A poll loop in a single thread.

The step is over when nothing is left below this process (waiting fails with ECHILD) and srun has every byte.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import time
from typing import assert_never

from sluice.model.states import Ending
from sluice.wire.messages import (
    Message,
    StepDone,
    StepTalk,
    TaskInput,
    TaskSignal,
    TerminalSize,
)
from sluiced.cgroup.interface import StepGroup
from sluiced.stdio.relay import Relay
from sluiced.stdio.srun_link import SrunLink
from sluiced.steps import descendants, talk
from sluiced.steps.children import unwatch_children, watch_children
from sluiced.steps.control import pass_over_orders, receive_order
from sluiced.steps.ending import EndSchedule
from sluiced.steps.launch import (
    AdoptOrder,
    AttachOrder,
    EndOrder,
    PeerOrder,
    SignalOrder,
    StepLaunch,
    TalkOrder,
    X11Order,
)
from sluiced.steps.notice_board import NoticeBoard
from sluiced.steps.setup import Preparation
from sluiced.steps.signals import Signals
from sluiced.steps.tasks import Tasks
from sluiced.steps.time_limit import TimeLimit
from sluiced.steps.usage import UsageMeter
from sluiced.steps.user import User
from sluiced.steps.wireup import Wireup

#: How long srun may take to read the rest once the tasks have ended.
_DRAIN_S = 60.0
_SAMPLE_FIRST_S = 0.2
_SAMPLE_MAX_S = 5.0
#: How a step ends whose srun is gone.
_ALONE = Ending.CANCEL


class StepRunner:
    """Owns the processes of one step on one node."""

    def __init__(
        self,
        launch: StepLaunch,
        user: User,
        relay: Relay,
        link: SrunLink | None,
        group: StepGroup,
        control: int,
        talk_fd: int | None,
        wireup: Wireup,
    ) -> None:
        self.launch = launch
        self.user = user
        self.relay = relay
        self.link = link
        self.group = group
        self.control = control
        self.wireup = wireup
        #: Where lines for the user go when there is no srun.
        self.talk_fd = talk_fd
        self.schedule = EndSchedule()
        self.limit = TimeLimit(launch.limit_s, time.monotonic())
        self.notices = NoticeBoard(launch.notice_path, user, launch.job.attempt, launch.job.limit_at)
        self.meter = UsageMeter(launch.node)
        self.tasks = Tasks(launch, relay, group)
        self.signals = Signals(launch, self.tasks, group, self.notices, self.schedule)
        #: What does not die; the step ends without it.
        self.unkillable: descendants.Unkillable | None = None
        self._is_empty = False
        self._is_alone = False
        self._sample_s = _SAMPLE_FIRST_S
        self._sample_at = 0.0
        self._drain_until: float | None = None
        self._is_problem_told = False
        #: The tasks are to be told to end, at the latest then; None: they have been, or it is not time.
        self._term_until: float | None = None
        self._wakeup = watch_children()

    def start(self, preparation: Preparation) -> None:
        self.tasks.fork(preparation)
        preparation.close_task_ends()
        self.wireup.close_task_ends()
        self._notify(self.tasks.start_message())
        for line in preparation.notes:
            self.say(line)
        for message in self.link.receive_early() if self.link is not None else ():
            self._on_message(message)

    def run(self) -> None:
        """Return when nothing of the step is left."""
        self._sample_at = time.monotonic() + self._sample_s
        self._reap()
        while not self._is_over():
            self._poll()
            if self.link is not None and self.link.is_gone and not self._is_alone:
                self._on_link_gone()
            self._do_timers()
            if self.wireup.problem:
                self._on_wireup_problem()

    def finish(self) -> None:
        """Tell those who listen that the step is over; nothing can be said to them afterwards."""
        if self.link is not None and not self.link.is_gone:
            self._say_done()
        self.relay.attached.notify(StepDone(node=self.launch.node, ending=self.schedule.ending))
        self.relay.attached.close()

    def close(self) -> None:
        """Close what is left once all of it is over, and hear of no child any more."""
        unwatch_children(self._wakeup)
        self.relay.close()
        if self.link is not None:
            self.link.close()

    def say(self, line: str) -> None:
        """Tell the user a line."""
        if self.link is not None:
            self._notify(StepTalk(text=line))
        elif self.talk_fd is not None:
            with contextlib.suppress(OSError):
                os.write(self.talk_fd, os.fsencode(line + "\n"))

    # The loop.

    def _is_over(self) -> bool:
        if not self._is_empty and not self.unkillable:
            return False
        if self._drain_until is None:
            self._drain_until = time.monotonic() + _DRAIN_S
        is_late = time.monotonic() > self._drain_until
        if not self.wireup.is_drained and not is_late:
            return False
        if self.link is None or self.link.is_gone:
            return True
        return is_late or (self.relay.is_output_ended and self.link.is_drained)

    def _poll(self) -> None:
        poller = select.poll()
        poller.register(self._wakeup, select.POLLIN)
        poller.register(self.control, select.POLLIN)
        if self.link is not None and not self.link.is_gone:
            self.link.flush()
            poller.register(self.link, self.link.wanted_events(self.relay.wants_input))
        attached = self.relay.attached.poll_events(self.relay.wants_input)
        for fd, events in (self.relay.poll_events() | attached).items():
            poller.register(fd, events)
        for fd, events in (self.wireup.poll_events() | self.notices.poll_events()).items():
            poller.register(fd, events)
        for fd, events in poller.poll(self._timeout_ms()):
            self._on_event(fd, events)

    def _on_event(self, fd: int, events: int) -> None:
        if fd == self._wakeup:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 512)
            self._reap()
        elif fd == self.control:
            self._on_order()
        elif self.link is not None and fd == self.link.fileno():
            self._on_link(self.link, events)
        elif fd in self.relay.attached:
            for message in self.relay.attached.on_event(fd, events):
                self._on_message(message)
        elif not self.wireup.on_event(fd) and not self.notices.on_event(fd):
            self.relay.on_event(fd, events)

    def _timeout_ms(self) -> int | None:
        """Return how long to sleep at most; None where only events matter."""
        now = time.monotonic()
        waits = [self.schedule.wait_s(time.time()), self.wireup.wait_s(now)]
        if self.schedule.ending is None:
            waits.append(self.limit.wait_s(now))
        if self.tasks.ranks:
            waits.append(max(0.0, self._sample_at - now))
        if self._term_until is not None:
            waits.append(max(0.0, self._term_until - now))
        if self._drain_until is not None:
            waits.append(max(0.0, self._drain_until - now))
        known = [wait for wait in waits if wait is not None]
        return int(min(known) * 1000) + 1 if known else None

    def _do_timers(self) -> None:
        self.wireup.do_timers(time.monotonic())
        self._term_in_turn()
        self._keep_limit()
        if not self._is_empty and self.schedule.take_kill(time.time()):
            self.signals.kill_all()
            if self.schedule.is_hopeless(time.time(), self.launch.config.unkillable_timeout_s):
                self._give_up()
        if self.tasks.ranks and time.monotonic() >= self._sample_at:
            for pid, rank in self.tasks.ranks.items():
                self.meter.sample(pid, rank)
            # No short step: its garbage is worth collecting.
            gc.enable()
            self._sample_s = min(_SAMPLE_MAX_S, self._sample_s * 2)
            self._sample_at = time.monotonic() + self._sample_s

    def _reap(self) -> None:
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._is_empty = True
                return
            if pid == 0:
                return
            rank = self.tasks.on_end(pid, status)
            if pid not in self.wireup.helpers:
                self.meter.add(used, rank)
            if rank is not None:
                self._on_task_end(rank)
            if self.tasks.are_over and not self._waits_for_children:
                # What the tasks left behind has no business here any more.
                self.schedule.kill_now(time.time())

    @property
    def _waits_for_children(self) -> bool:
        """An end that is under way kills in its own time."""
        return self.launch.tasks is not None and self.launch.tasks.waits_for_children

    def _on_task_end(self, rank: int) -> None:
        # It may have called abort with its last words.
        self.wireup.on_task_end(rank)
        self._note_abort()
        for message in self.tasks.end_messages(rank):
            self._notify(message)
        self.tasks.start_epilogs(rank)

    # Orders.

    def _on_order(self) -> None:
        order, connections = receive_order(self.control)
        match order:
            case EndOrder():
                self.end(order)
            case SignalOrder():
                self.signals.send(order)
                if order.is_suspension:
                    stop_or_go = self.limit.suspend if order.signal == signal.SIGSTOP else self.limit.resume
                    stop_or_go(time.monotonic())
            case TalkOrder():
                self.say(talk.message_line(self.launch.node, order.text, self.launch.is_batch))
            case AttachOrder():
                for connection in connections:
                    self.relay.attached.add(connection, self.tasks.greeting())
            case PeerOrder():
                for connection in connections:
                    self.wireup.on_peer(order.node, connection)
            case AdoptOrder() | X11Order():
                raise AssertionError(f"{order}: for an extern step")
            case _:
                assert_never(order)

    def end(self, order: EndOrder) -> None:
        """Begin to end the step; a repeat changes nothing, or shortens the wait."""
        now_at = time.time()
        if not self.schedule.begin(order, now_at):
            return
        what = f"STEP {self.launch.name}" if order.names_step else f"JOB {self.launch.job.id}"
        if order.ending is not Ending.FINISHED:
            self.say(talk.end_line(self.launch.node, what, order.ending, order.ended_at or now_at))
        self.notices.tell(order.ending.value, signal.SIGTERM, now_at, now_at + order.kill_wait_s, order.text)
        self._term_until = time.monotonic() + order.kill_wait_s / 2
        self._term_in_turn()

    def _keep_limit(self) -> None:
        """End the step when its own time is over; the job's is the controller's."""
        if not self._is_empty and self.schedule.ending is None and self.limit.is_over(time.monotonic()):
            kill_wait_s = self.launch.config.kill_wait_s
            self.end(EndOrder(ending=Ending.TIME_LIMIT, kill_wait_s=kill_wait_s, names_step=True))

    def _term_in_turn(self) -> None:
        """Ask the tasks to end, once those nodes are done that go first, or half the time is gone."""
        if self._term_until is None or (self.wireup.has_followers and time.monotonic() < self._term_until):
            return
        self._term_until = None
        # A task that has called abort may be on its way out.
        abort = self.wireup.abort
        leaver = abort.leaver if abort is not None and abort.ends_itself else -1
        leaving = {pid for pid, rank in self.tasks.ranks.items() if rank == leaver}
        self.signals.send_all(signal.SIGCONT, signal.SIGTERM, spared=leaving)
        self.group.thaw()

    def _on_wireup_problem(self) -> None:
        """The tasks can't go on together: one gave up, or is gone while others wait for it."""
        if self.schedule.ending is not None or self._is_problem_told:
            return
        self._is_problem_told = True
        self._note_abort()
        if self.wireup.is_own:
            self.say(talk.error_line(self.launch.node, self.wireup.problem))
        if not self._is_empty:
            self.end(EndOrder(ending=Ending.CANCEL, kill_wait_s=self.launch.config.kill_wait_s, names_step=True))

    def _note_abort(self) -> None:
        if self.wireup.abort is not None:
            self.tasks.abort(self.wireup.abort.leaver, self.wireup.abort.exit_code)

    def _give_up(self) -> None:
        """The kernel does not let them go: say what is left, and end without it."""
        self.unkillable = descendants.find_unkillable(descendants.descendants(os.getpid()))
        self.tasks.give_up()
        self.relay.abandon_output()

    # srun.

    def _on_link(self, link: SrunLink, events: int) -> None:
        if events & select.POLLOUT:
            link.flush()
        if events & (select.POLLIN | select.POLLRDHUP | select.POLLHUP | select.POLLERR):
            for message in link.receive():
                self._on_message(message)

    def _on_link_gone(self) -> None:
        """Nobody waits for this step any more."""
        self._is_alone = True
        self.relay.end_input()
        self.end(EndOrder(ending=_ALONE, kill_wait_s=self.launch.config.kill_wait_s))

    def _on_message(self, message: Message) -> None:
        if isinstance(message, TaskInput):
            self.relay.on_input(message)
        elif isinstance(message, TerminalSize):
            self.relay.on_terminal_size(message)
        elif isinstance(message, TaskSignal):
            self.signals.send(SignalOrder(signal=message.signal, full=message.signal == signal.SIGKILL))

    def _notify(self, message: Message) -> None:
        if self.link is not None:
            self.link.notify(message)
        self.relay.attached.notify(message)

    def _say_done(self) -> None:
        assert self.link is not None
        self.link.notify(StepDone(node=self.launch.node, ending=self.schedule.ending))
        ends_at = time.monotonic() + _DRAIN_S
        while not self.link.is_drained and time.monotonic() < ends_at:
            self.link.flush()
            if not self.link.is_drained:
                pass_over_orders(self.control, 1.0, self.link)
        self.link.close()
