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
from collections.abc import Collection
from typing import assert_never

from sluice.model.states import Ending
from sluice.wire.messages import (
    Message,
    StepDone,
    StepTalk,
    TaskExit,
    TaskInput,
    TaskSignal,
    TaskStarted,
    TerminalSize,
)
from sluiced.cgroup.devices import task_fence
from sluiced.cgroup.interface import StepGroup
from sluiced.stdio.relay import STDERR, Relay
from sluiced.stdio.srun_link import SrunLink
from sluiced.steps import descendants, talk
from sluiced.steps.children import watch_children
from sluiced.steps.control import receive_order
from sluiced.steps.ending import EndSchedule
from sluiced.steps.fork import fork_into
from sluiced.steps.launch import EndOrder, PeerOrder, SignalOrder, StepLaunch, TalkOrder
from sluiced.steps.notice_board import NoticeBoard
from sluiced.steps.setup import Preparation
from sluiced.steps.task import ENDING, TaskPlan, run_task, run_task_epilogs
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
        self._entry = group.entry()
        self.control = control
        self.wireup = wireup
        #: Where lines for the user go when there is no srun.
        self.talk_fd = talk_fd
        self.schedule = EndSchedule()
        self.notices = NoticeBoard(launch.notice_path, user, launch.job.attempt)
        self.meter = UsageMeter(launch.node)
        #: rank by pid, of the tasks that run.
        self.ranks: dict[int, int] = {}
        self._plans: dict[int, TaskPlan] = {}
        #: Descriptors that stay open until the step ends.
        self._files: set[int] = set()
        #: The pids of running task epilogs.
        self._epilogs: set[int] = set()
        #: What does not die; the step ends without it.
        self.unkillable: descendants.Unkillable | None = None
        #: (exit code, signal) of the tasks that ended.
        self.exits: dict[int, tuple[int, int]] = {}
        self._is_empty = False
        self._is_alone = False
        self._has_killed = False
        #: Suspended by signal, where it cannot be frozen.
        self._is_stopped = False
        #: Warnings that were given: reason, signal, deadline.
        self._warnings: set[tuple[str, int, float | None]] = set()
        self._sample_s = _SAMPLE_FIRST_S
        self._sample_at = 0.0
        self._drain_until: float | None = None
        self._is_problem_told = False
        #: The tasks are to be told to end, at the latest then; None: they have been, or it is not time.
        self._term_until: float | None = None
        self._wakeup = watch_children()

    def start(self, preparation: Preparation) -> None:
        self._files = {file.fd for file in preparation.files.values()}
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        for plan in preparation.plans:
            fence = task_fence(self.launch, plan.fence)
            entry = self.group.task_entry(plan.rank, fence) if fence is not None else self._entry
            pid, is_inside = fork_into(entry.into)
            if pid == 0:
                run_task(plan, None if is_inside else entry.enter)
            # Also done by the child: whoever comes first, the group is there before a signal is sent.
            with contextlib.suppress(OSError):
                if not plan.has_terminal:
                    os.setpgid(pid, pid)
            self.ranks[pid] = plan.rank
            self._plans[plan.rank] = plan
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        preparation.close_task_ends()
        self.wireup.close_task_ends()
        self._notify(TaskStarted(node=self.launch.node, pids=tuple((rank, pid) for pid, rank in self.ranks.items())))
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
        if self.link is not None and not self.link.is_gone:
            self._say_done()

    @property
    def outcome(self) -> tuple[int, int]:
        """Return (exit code, signal) of the task that ended worst, as srun's status counts them."""
        return max(self.exits.values(), key=lambda pair: 128 + pair[1] if pair[1] else pair[0], default=(0, 0))

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
        for fd, events in self.relay.poll_events().items():
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
        elif not self.wireup.on_event(fd) and not self.notices.on_event(fd):
            self.relay.on_event(fd, events)

    def _timeout_ms(self) -> int | None:
        """Return how long to sleep at most; None where only events matter."""
        now = time.monotonic()
        waits = [self.schedule.wait_s(time.time()), self.wireup.wait_s(now)]
        if self.ranks:
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
        if not self._is_empty and self.schedule.take_kill(time.time()):
            self._kill_all()
            if self.schedule.is_hopeless(time.time(), self.launch.config.unkillable_timeout_s):
                self._give_up()
        if self.ranks and time.monotonic() >= self._sample_at:
            for pid, rank in self.ranks.items():
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
            rank = self.ranks.pop(pid, None)
            self._epilogs.discard(pid)
            if pid not in self.wireup.helpers:
                self.meter.add(used, rank)
            if rank is not None:
                self._on_task_end(rank, status)
            if not self.ranks and not self._epilogs:
                # What the tasks left behind has no business here any more.
                self.schedule.kill_now(time.time())

    def _on_task_end(self, rank: int, status: int) -> None:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        self.exits[rank] = (code, number)
        is_oom = bool(number) and self.group.oom_kills() > 0
        plan = self._plans[rank]
        for each in plan.stands_for or (rank,):
            self._notify(TaskExit(task=each, exit_code=code, exit_signal=number, is_out_of_memory=is_oom))
        self.wireup.on_task_end(rank)
        if plan.hooks.epilogs:
            self._start_epilogs(plan)

    def _start_epilogs(self, plan: TaskPlan) -> None:
        """stderr: the task's own file; its pipe is closed by now, so another one to srun."""
        stderr, is_file = plan.descriptors[2], plan.descriptors[2] in self._files
        if not is_file:
            reader, stderr = os.pipe()
            self.relay.add_output(reader, plan.rank, STDERR)
        pid, is_inside = fork_into(self._entry.into)
        if pid == 0:
            run_task_epilogs(plan, None if is_inside else self._entry.enter, stderr)
        self._epilogs.add(pid)
        if not is_file:
            os.close(stderr)

    # Orders.

    def _on_order(self) -> None:
        order, connections = receive_order(self.control)
        match order:
            case EndOrder():
                self.end(order)
            case SignalOrder():
                self._signal(order)
            case TalkOrder():
                self.say(talk.message_line(self.launch.node, order.text, self.launch.is_batch))
            case PeerOrder():
                for connection in connections:
                    self.wireup.on_peer(order.node, connection)
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

    def _term_in_turn(self) -> None:
        """Ask the tasks to end, once those nodes are done that go first, or half the time is gone."""
        if self._term_until is None or (self.wireup.has_followers and time.monotonic() < self._term_until):
            return
        self._term_until = None
        # A task that has called abort is on its way out, with an exit code that the user should see.
        leaving = {pid for pid, rank in self.ranks.items() if rank == self.wireup.leaver}
        self._signal_all(signal.SIGCONT, signal.SIGTERM, spared=leaving)
        self.group.thaw()

    def _on_wireup_problem(self) -> None:
        """The tasks can't go on together: one gave up, or is gone while others wait for it."""
        if self.schedule.ending is not None or self._is_problem_told:
            return
        self._is_problem_told = True
        if self.wireup.is_own:
            self.say(talk.error_line(self.launch.node, self.wireup.problem))
        if not self._is_empty:
            self.end(EndOrder(ending=Ending.CANCEL, kill_wait_s=self.launch.config.kill_wait_s, names_step=True))

    def _signal_all(self, *numbers: int, spared: Collection[int] = ()) -> None:
        descendants.signal_descendants(os.getpid(), *numbers, spared=spared)

    def _suspend(self) -> None:
        """Let everything stand still: frozen where that can be done, for parents see a stop and anybody may undo it."""
        with contextlib.suppress(OSError):
            if self.group.freeze(lambda: descendants.descendants(os.getpid())):
                return
        self._is_stopped = True
        self._signal_all(signal.SIGSTOP)

    def _resume(self) -> None:
        self.group.thaw()
        if self._is_stopped:
            self._is_stopped = False
            self._signal_all(signal.SIGCONT)

    def _signal(self, order: SignalOrder) -> None:
        if order.signal == 0:
            self.notices.tell(order.reason, 0, time.time(), order.deadline_at, order.text)
            return
        number = order.signal
        if number not in signal.valid_signals():
            return
        if order.is_suspension:
            self._suspend() if number == signal.SIGSTOP else self._resume()
            return
        if order.reason and not order.is_exact:
            self._warn(order, number)
            return
        self.notices.tell(order.reason or "signal", number, time.time(), order.deadline_at, order.text)
        if number == signal.SIGKILL and order.full:
            self._kill_all()
        elif order.full or self.launch.config.cgroup.signal_children_processes:
            self._signal_all(number)
        elif self.launch.is_batch:
            for pid in self.ranks:
                os.kill(pid, number)
        else:
            for pid in self.ranks:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)

    def _warn(self, order: SignalOrder, number: int) -> None:
        """The program is to end by a deadline: a stopped one goes on, and all but a batch script's own shell hears."""
        key = order.reason, order.signal, order.deadline_at
        if key in self._warnings or self.schedule.ending is not None:
            return
        self._warnings.add(key)
        self.notices.tell(order.reason, number, time.time(), order.deadline_at, order.text)
        if self.launch.is_batch and not order.full:
            # The shell would die of it and take the job's time to end away; what it runs is what is warned.
            below = set().union(*(descendants.descendants(pid) for pid in self.ranks))
            spared = set(self.ranks) if below else set()
            self._signal_all(signal.SIGCONT, number, spared=spared)
        else:
            self._signal_all(signal.SIGCONT, number)
        self.group.thaw()

    def _kill_all(self) -> None:
        """Kill everything; from the second time on also what forks faster than a walk over the tree.

        A step that is in no group yet would wait for the kernel when it enters one, mostly in vain.
        """
        if self._has_killed or self.group.holds_all:
            with contextlib.suppress(OSError):
                self.group.kill(descendants.descendants(os.getpid()))
        self._has_killed = True
        self._signal_all(signal.SIGKILL)

    def _give_up(self) -> None:
        """The kernel does not let them go: say what is left, and end without it."""
        self.unkillable = descendants.find_unkillable(descendants.descendants(os.getpid()))
        for rank in self.ranks.values():
            self.exits[rank] = (0, int(signal.SIGKILL))
        self.ranks.clear()
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
            self._signal(SignalOrder(signal=message.signal, full=message.signal == signal.SIGKILL))

    def _notify(self, message: Message) -> None:
        if self.link is not None:
            self.link.notify(message)

    def _say_done(self) -> None:
        assert self.link is not None
        self.link.notify(StepDone(node=self.launch.node, ending=self.schedule.ending))
        ends_at = time.monotonic() + _DRAIN_S
        while not self.link.is_drained and time.monotonic() < ends_at:
            self.link.flush()
            if not self.link.is_drained:
                select.select([], [self.link], [], 1.0)
        self.link.close()
