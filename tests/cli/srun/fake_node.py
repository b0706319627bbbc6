"""A node of a step as srun sees it, which says what the test says; and the job that the step is in."""

import socket

import msgspec

from sluice.errors import Unreachable
from sluice.wire import messages
from sluice.wire.envelope import append_frame, decode_body, decode_envelope
from sluice.wire.framing import ERROR, NOTICE, FrameSplitter
from sluice.wire.light import LightConnection
from sluice.wire.messages import FinishAllocation, StepDone, TaskExit, TaskStarted
from sluice_cli import srun_launch

GRANTS = [{"node": "n1", "cpus": "0-1", "cpu_count": 2}, {"node": "n2", "cpus": "0", "cpu_count": 1}]
JOB = {"id": 43, "spec": {"name": "job", "uid": 0, "gid": 0, "user": "alice"}, "allocation": {"grants": GRANTS}}


class FakeNode:
    """The agent's and step daemon's end of one node's connection; what it says lies ready before srun reads."""

    def __init__(self, name, ranks):
        self.name = name
        self.ranks = ranks
        self.is_up = True
        self._problems = []
        self._next_end = None
        self.socket, self._srun_end = socket.socketpair()
        self._start()

    def _start(self):
        self.say(TaskStarted(node=self.name, pids=tuple((rank, 100 + rank) for rank in self.ranks)))

    def restart_agent(self, problems, *, has_got_launch, is_refused=False):
        """Have the agent die before anything starts, and another one be there once srun has met these problems."""
        self.close()
        self._old, self._srun_end = socket.socketpair()
        if has_got_launch:
            self._old.shutdown(socket.SHUT_WR)
        else:
            self._old.close()
        self.socket, self._next_end = socket.socketpair()
        self._problems = list(problems)
        if is_refused:
            self.refuse("launched", "step 43.0 was launched, or given up, on node n2 already")
        else:
            self._start()

    def link(self):
        return srun_launch.NodeLink(LightConnection(self._srun_end, self.name), self.name, self.ranks, self._reach)

    def _reach(self):
        if not self.is_up:
            raise Unreachable(f"{self.name}: Connection refused")
        if self._problems:
            raise self._problems.pop(0)
        if self._next_end is not None:
            return LightConnection(self._next_end, self.name)
        return LightConnection(socket.socket(), self.name)

    def close(self):
        for each in (self.socket, self._srun_end, self._next_end, getattr(self, "_old", None)):
            if each is not None:
                each.close()

    def say(self, message):
        self._send(NOTICE, 0, type(message).__name__, message)

    def refuse(self, code, message):
        self._send(ERROR, 1, "TaskLaunch", {"code": code, "message": message})

    def _send(self, kind, id, name, body):
        out = bytearray()
        append_frame(out, kind, id, name, body)
        self.socket.sendall(out)

    def end(self, codes=None, signals=None):
        for rank in self.ranks:
            self.say(
                TaskExit(task=rank, exit_code=(codes or {}).get(rank, 0), exit_signal=(signals or {}).get(rank, 0))
            )
        self.say(StepDone(node=self.name))

    def heard(self):
        """Return what srun sent, as the wire's own types."""
        self.socket.setblocking(False)
        splitter = FrameSplitter()
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                break
            if not data:
                break
            splitter.feed(data)
        found = []
        while (payload := splitter.next()) is not None:
            envelope = decode_envelope(payload)
            found.append(decode_body(envelope.body.copy(), getattr(messages, envelope.name)))
        return found


def finished(controller):
    (body,) = controller.bodies("FinishAllocation")
    request = msgspec.convert(body, FinishAllocation)
    return request.job_id, request.exit_code, request.exit_signal
