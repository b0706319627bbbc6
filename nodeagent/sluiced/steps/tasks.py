"""The tasks of a step on one node: forked, counted as they end, and followed by their epilogs."""

from __future__ import annotations

import contextlib
import os
import signal

from sluice.wire.messages import Message, TaskExit, TaskStarted
from sluiced.cgroup.devices import task_fence
from sluiced.cgroup.interface import Entry, StepGroup
from sluiced.stdio.relay import STDERR, Relay
from sluiced.steps.fork import fork_into
from sluiced.steps.launch import StepLaunch
from sluiced.steps.setup import Preparation
from sluiced.steps.spawn import spawn
from sluiced.steps.task import ENDING, TaskPlan, run_task, run_task_epilogs


class Tasks:
    """Whose child processes these are reaps them, and tells on_end()."""

    def __init__(self, launch: StepLaunch, relay: Relay, group: StepGroup) -> None:
        self._launch = launch
        self._relay = relay
        self._group = group
        self._entry = group.entry()
        #: rank by pid, of the tasks that run.
        self.ranks: dict[int, int] = {}
        self._plans: dict[int, TaskPlan] = {}
        #: Descriptors that stay open until the step ends.
        self._files: set[int] = set()
        #: The pids of running task epilogs.
        self._epilogs: set[int] = set()
        #: (exit code, signal) of the tasks that ended.
        self._exits: dict[int, tuple[int, int]] = {}
        #: (rank, exit code) of the task that has ended the whole step, here or on another node.
        self._abort: tuple[int, int] | None = None

    @property
    def are_over(self) -> bool:
        """Neither a task nor an epilog runs."""
        return not self.ranks and not self._epilogs

    @property
    def outcome(self) -> tuple[int, int]:
        """Return (exit code, signal) of the task that ended worst, as srun's status counts them.

        After an abort, that the others were ended by signals says nothing.
        """
        if self._abort is not None:
            return max((code for code, number in self._exits.values() if not number), default=0), 0
        return max(self._exits.values(), key=lambda pair: 128 + pair[1] if pair[1] else pair[0], default=(0, 0))

    def abort(self, rank: int, code: int) -> None:
        """A task has ended the step with *code*, which is its own exit code, though it waits to be killed."""
        # No success: what exit() makes of 0 and 256 would be one.
        self._abort = rank, code & 0xFF or 1

    def fork(self, preparation: Preparation) -> None:
        self._files = {file.fd for file in preparation.files.values()}
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        # One that could not be started so, for want of an answer of its file system say, speaks for those after it.
        is_quick = True
        for plan in preparation.plans:
            fence = task_fence(self._launch, plan.fence)
            entry = self._group.task_entry(plan.rank, fence) if fence is not None else self._entry
            spawned = spawn(plan, entry) if is_quick else None
            is_quick = spawned is not None
            pid = spawned or _fork_task(plan, entry)
            # Also done by the child: whoever comes first, the group is there before a signal is sent.
            with contextlib.suppress(OSError):
                if not plan.has_terminal:
                    os.setpgid(pid, pid)
            self.ranks[pid] = plan.rank
            self._plans[plan.rank] = plan
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def start_message(self) -> TaskStarted:
        return TaskStarted(node=self._launch.node, pids=tuple((rank, pid) for pid, rank in self.ranks.items()))

    def greeting(self) -> list[Message]:
        """Return what a listener has missed, but for the output."""
        ends = [
            TaskExit(task=each, exit_code=code, exit_signal=number)
            for rank, (code, number) in self._exits.items()
            for each in self._plans[rank].stands_for or (rank,)
        ]
        return [self.start_message(), *ends]

    def on_end(self, pid: int, status: int) -> int | None:
        """Count the end of a child process; return the rank if it was a task."""
        self._epilogs.discard(pid)
        rank = self.ranks.pop(pid, None)
        if rank is not None:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
            if number and self._abort is not None and self._abort[0] == rank:
                code, number = self._abort[1], 0
            self._exits[rank] = (code, number)
        return rank

    def end_messages(self, rank: int) -> list[TaskExit]:
        """Return what is to be told of a task that has just ended."""
        code, number = self._exits[rank]
        # The kernel kills for want of memory by KILL alone; what srun has ended with TERM after that was in its way.
        is_oom = number == signal.SIGKILL and self._group.oom_kills() > 0
        has_aborted = self._abort is not None and self._abort[0] == rank
        return [
            TaskExit(task=each, exit_code=code, exit_signal=number, is_out_of_memory=is_oom, has_aborted=has_aborted)
            for each in self._plans[rank].stands_for or (rank,)
        ]

    def start_epilogs(self, rank: int) -> None:
        """stderr: the task's own file; its pipe is closed by now, so another one to srun."""
        plan = self._plans[rank]
        if not plan.hooks.epilogs:
            return
        stderr, is_file = plan.descriptors[2], plan.descriptors[2] in self._files
        if not is_file:
            reader, stderr = os.pipe()
            self._relay.add_output(reader, plan.rank, STDERR)
        pid, is_inside = fork_into(self._entry.into)
        if pid == 0:
            run_task_epilogs(plan, None if is_inside else self._entry.enter, stderr)
        self._epilogs.add(pid)
        if not is_file:
            os.close(stderr)

    def give_up(self) -> None:
        """Count those that run as killed; nobody waits for them any more."""
        for rank in self.ranks.values():
            self._exits[rank] = (0, int(signal.SIGKILL))
        self.ranks.clear()


def _fork_task(plan: TaskPlan, entry: Entry) -> int:
    pid, is_inside = fork_into(entry.into)
    if pid == 0:
        run_task(plan, None if is_inside else entry.enter)
    return pid
