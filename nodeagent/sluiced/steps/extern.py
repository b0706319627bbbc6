"""The extern step: holds what comes to a job on its node by other ways than srun (PrologFlags=Contain).

Its group is the job's from its start to its end.  Who is brought into it, such as a login that PAM lets in for the
job's sake, is nobody's child here: the group alone tells who they are and what they used, and all of it ends with the
job.  A process of its own stays in the group, as Slurm's does, so that there is one to look at; its end is the step's.

It also forwards the job's X11, to each srun and salloc that asks for it (--x11).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from sluice.model.states import OUT_OF_MEMORY_SIGNAL, Ending
from sluice.wire.messages import StepResult
from sluiced import process_id, spool
from sluiced.cgroup.detect import step_group
from sluiced.cgroup.interface import StepGroup, pids_in, take_in
from sluiced.steps import descendants, notice
from sluiced.steps.children import watch_children
from sluiced.steps.control import receive_order
from sluiced.steps.ending import EndSchedule
from sluiced.steps.fork import fork_into
from sluiced.steps.launch import AdoptOrder, EndOrder, SignalOrder, StepLaunch, X11Order
from sluiced.steps.usage import UsageMeter
from sluiced.x11.displays import Displays

#: What Slurm has in this place.
_KEEPER = ("/bin/sleep", "sleep", "100000000")
#: How often it is looked whether the group is empty, once all are to go: their end is not told.
_LOOK_PAUSE_S = 0.05


def run_extern(launch: StepLaunch, step_path: str, control: int, started_at: float) -> StepResult:
    """Hold the group until the job ends; return what was used in it."""
    group = step_group(launch)
    try:
        step = ExternStep(launch, group, control, step_path)
        try:
            step.run()
        finally:
            step.displays.close()
        if step.unkillable:
            spool.write_problem(step_path, step.unkillable)
        return _result(launch, group, started_at)
    finally:
        group.remove()


class ExternStep:
    """The group, who is in it, and the orders that come for it."""

    def __init__(self, launch: StepLaunch, group: StepGroup, control: int, step_path: str) -> None:
        self.displays = Displays(launch, step_path)
        self.unkillable: descendants.Unkillable | None = None
        self._launch = launch
        self._group = group
        self._control = control
        self._schedule = EndSchedule()
        self._wakeup = watch_children()
        self._keeper = self._start_keeper()

    def run(self) -> None:
        """Return when the job has ended and nothing is left in the group."""
        while not self._is_over():
            self._poll()
            self._reap()
            if self._schedule.take_kill(time.time()):
                self._kill()

    def _poll(self) -> None:
        poller = select.poll()
        wanted = {self._control: select.POLLIN, self._wakeup: select.POLLIN} | self.displays.poll_events()
        for descriptor, events in wanted.items():
            poller.register(descriptor, events)
        for descriptor, events in poller.poll(None if self._schedule.ending is None else int(_LOOK_PAUSE_S * 1000)):
            if descriptor == self._control:
                self._on_order()
            elif descriptor == self._wakeup:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 512)
            else:
                self.displays.on_event(descriptor, events)

    def _start_keeper(self) -> int:
        entry = self._group.entry()
        pid, is_inside = fork_into(entry.into)
        if pid:
            return pid
        try:
            if not is_inside:
                entry.enter()
            os.chdir("/")
            # The mark by which it is found if this process dies where there are no groups.
            os.execve(_KEEPER[0], _KEEPER[1:], notice.variables(self._launch.notice_path))
        finally:
            os._exit(127)

    # Orders.

    def _on_order(self) -> None:
        order, sockets = receive_order(self._control)
        try:
            match order:
                case EndOrder():
                    self._end(order)
                case SignalOrder():
                    self._signal(order)
                case AdoptOrder():
                    for each in sockets:
                        # Never empty: that is how a socket ends.
                        each.send(b"=" + self._adopt(order).encode())
                case X11Order():
                    while sockets:
                        self.displays.add(order, sockets.pop())
                case _:
                    # Nothing here has streams or peers.
                    pass
        finally:
            for each in sockets:
                each.close()

    def _adopt(self, order: AdoptOrder) -> str:
        """Return why the process is not in the group, "" when it is."""
        if self._schedule.ending is not None:
            return f"job {self._launch.job.id} is being ended"
        # The pid may mean another process since it was named.
        pidfd = process_id.open_process(order.pid, order.start_ticks)
        if pidfd is None:
            return f"process {order.pid} has ended"
        try:
            take_in(self._group, order.pid)
        except OSError as error:
            return str(error)
        finally:
            os.close(pidfd)
        return ""

    def _end(self, order: EndOrder) -> None:
        if self._schedule.begin(order, time.time()):
            self._send_each(signal.SIGCONT, signal.SIGTERM)
            self._group.thaw()

    def _signal(self, order: SignalOrder) -> None:
        if order.signal not in signal.valid_signals():
            return
        if not order.is_suspension:
            self._send_each(order.signal)
        elif order.signal == signal.SIGSTOP:
            with contextlib.suppress(OSError):
                self._group.freeze(self._guests)
        else:
            self._group.thaw()

    # Who is in it.

    def _guests(self) -> set[int]:
        return pids_in(self._group) - {self._keeper}

    def _send_each(self, *numbers: int) -> None:
        for pid in self._guests():
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            self._group.kill(self._guests())
        if self._schedule.is_hopeless(time.time(), self._launch.config.unkillable_timeout_s):
            self.unkillable = descendants.find_unkillable(self._guests())

    def _is_over(self) -> bool:
        """The last to leave is the keeper."""
        if self._schedule.ending is None or (self._guests() and not self.unkillable):
            return False
        if self._keeper:
            os.kill(self._keeper, signal.SIGKILL)
            os.waitpid(self._keeper, 0)
            self._keeper = 0
        return True

    def _reap(self) -> None:
        """Only the keeper is a child; who ends it, ends the step."""
        if self._keeper and os.waitpid(self._keeper, os.WNOHANG)[0]:
            self._keeper = 0
            self._end(EndOrder(ending=Ending.CANCEL, kill_wait_s=self._launch.config.kill_wait_s))


def _result(launch: StepLaunch, group: StepGroup, started_at: float) -> StepResult:
    return StepResult(
        node=launch.node,
        job_id=launch.job.id,
        attempt=launch.job.attempt,
        step_id=launch.step_id,
        started_at=started_at,
        ended_at=time.time(),
        exit_signal=OUT_OF_MEMORY_SIGNAL if group.oom_kills() else 0,
        reason_text=group.problem,
        usage=UsageMeter(launch.node).usage(group.usage(), is_peak_of_group=True),
    )
