"""An srun made of a socket: launches a step on the agent and collects what comes back."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.step import Step, StepNode
from sluice.wire.envelope import ErrorBody, Hello, append_frame, decode_body, decode_envelope
from sluice.wire.framing import CONNECTION_ID, ERROR, HELLO, NOTICE, REQUEST, FrameSplitter
from sluice.wire.messages import (
    Message,
    StepDone,
    StepTalk,
    TaskExit,
    TaskInput,
    TaskLaunch,
    TaskOutput,
    TaskSignal,
    TaskStarted,
    TerminalSize,
)
from sluice.wire.step_credential import grant_launch, mint_step_credential
from tests.nodeagent.conftest import NODE, Cluster, make_job
from tests.waiting import PATIENCE

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (TaskStarted, TaskOutput, TaskExit, StepTalk, StepDone)
}


class Srun:
    """One step of job 1 on the one node.

    early: what is sent in one go with the launch.  forge: makes what is sent of (job, step) of what was granted.
    """

    def __init__(
        self,
        cluster: Cluster,
        argv: list[str],
        *,
        ntasks: int = 1,
        step_id: int = 0,
        early: tuple[Message, ...] = (),
        forge: Callable[[Job, Step], tuple[Job, Step]] = lambda job, step: (job, step),
        **fields: Any,
    ) -> None:
        self.cluster = cluster
        self.outputs: dict[tuple[int, int], bytearray] = {}
        self.started: TaskStarted | None = None
        self.exits: dict[int, TaskExit] = {}
        self.talk: list[str] = []
        self.done: StepDone | None = None
        self.error: ErrorBody | None = None
        self._splitter = FrameSplitter()
        is_over_tcp = fields.pop("is_over_tcp", False)
        self._socket = socket.socket(socket.AF_INET if is_over_tcp else socket.AF_UNIX, socket.SOCK_STREAM)
        cluster.closers.append(self._socket.close)
        self._socket.connect(("127.0.0.1", cluster.port) if is_over_tcp else cluster.agent_socket)
        job = fields.pop("job", None) or make_job(1, cluster.work, is_batch=False)
        part = StepNode(node=NODE, ntasks=ntasks, ranks=f"0-{ntasks - 1}" if ntasks > 1 else "0", cpu_count=ntasks)
        spec = StepSpec(name=argv[0] if argv else "none", limit_s=fields.pop("limit_s", None))
        step = Step(job_id=job.id, step_id=step_id, spec=spec, nodes=(part,))
        grant = grant_launch(job, step)
        made_at = fields.pop("made_at", time.time())
        own = mint_step_credential(cluster.key, grant, os.uname().nodename, made_at)
        credential = fields.pop("credential", None) or own
        self.credential = credential
        job, step = forge(job, step)
        environment = (f"PATH={os.environ['PATH']}".encode(),)
        if is_over_tcp:
            self._greet(fields.pop("hello", credential))
        launch = TaskLaunch(
            credential=credential, job=job, step=step, node=NODE, argv=tuple(argv), environment=environment, **fields
        )
        out = bytearray()
        append_frame(out, REQUEST, 1, type(launch).__name__, launch)
        for message in early:
            append_frame(out, NOTICE, CONNECTION_ID, type(message).__name__, message)
        self._socket.sendall(out)

    def _greet(self, credential: str) -> None:
        out = bytearray()
        append_frame(out, NOTICE, CONNECTION_ID, HELLO, Hello(credential=credential))
        self._socket.sendall(out)

    def _send(self, kind: int, number: int, message: Message) -> None:
        if self.done is not None:
            # As srun does: a step that is done is told nothing more.
            return
        out = bytearray()
        append_frame(out, kind, number, type(message).__name__, message)
        self._socket.sendall(out)

    def give(self, data: bytes = b"", *, is_end: bool = False, task: int = -1) -> None:
        self._send(NOTICE, 0, TaskInput(task=task, data=data, is_end=is_end))

    def signal(self, number: int) -> None:
        self._send(NOTICE, 0, TaskSignal(signal=number))

    def resize(self, rows: int, columns: int) -> None:
        self._send(NOTICE, 0, TerminalSize(rows=rows, columns=columns))

    def hang_up(self) -> None:
        self._socket.close()

    def output(self, task: int = 0, stream: int = 1) -> str:
        return bytes(self.outputs.get((task, stream), b"")).decode()

    def wait(self, condition: Callable[[], object], deadline_s: float = 20.0) -> Srun:
        """Receive until *condition* holds."""
        ends_at = time.monotonic() + deadline_s * PATIENCE
        while not condition():
            assert time.monotonic() < ends_at, f"not within {deadline_s} s; so far: {self.outputs} {self.talk}"
            if select.select([self._socket], [], [], 0.1)[0]:
                self._receive()
        return self

    def wait_started(self) -> Srun:
        return self.wait(lambda: self.started)

    def wait_done(self) -> Srun:
        return self.wait(lambda: self.done or self.error)

    def wait_refused(self) -> bool:
        """Return whether the agent hangs up without a word of the step."""
        while select.select([self._socket], [], [], 20.0 * PATIENCE)[0]:
            try:
                if not self._socket.recv(65536):
                    return True
            except ConnectionResetError:
                return True
        return False

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        assert data, f"the connection was closed before StepDone; so far: {self.outputs} {self.talk}"
        self._splitter.feed(data)
        while (payload := self._splitter.next()) is not None:
            envelope = decode_envelope(payload)
            if envelope.kind == ERROR:
                self.error = decode_body(envelope.body, ErrorBody)
            elif envelope.name in _KINDS:
                self._take(decode_body(envelope.body, _KINDS[envelope.name]))

    def _take(self, message: Message) -> None:
        if isinstance(message, TaskStarted):
            self.started = message
        elif isinstance(message, TaskOutput):
            self.outputs.setdefault((message.task, message.stream), bytearray()).extend(message.data)
        elif isinstance(message, TaskExit):
            self.exits[message.task] = message
        elif isinstance(message, StepTalk):
            self.talk.append(message.text)
        elif isinstance(message, StepDone):
            self.done = message
            self.hang_up()
