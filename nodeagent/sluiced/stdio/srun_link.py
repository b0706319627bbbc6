"""The connection to the step's srun, as a step daemon holds it: frames without an event loop.

The descriptor was accepted and authenticated by the agent.  Frames are notices both ways; see sluice/wire/messages.py.
"""

from __future__ import annotations

import select
import socket
import time

from sluice.errors import SluiceError
from sluice.wire.envelope import append_frame, decode_body, decode_envelope
from sluice.wire.framing import CONNECTION_ID, NOTICE, FrameSplitter
from sluice.wire.messages import Message, TaskInput, TaskSignal, TerminalSize

_CHUNK = 256 * 1024
#: From this much unsent output on, the tasks' pipes are left alone.
_UNSENT_MAX = 1024 * 1024
#: For srun to read what is in the socket and to close.
_LINGER_S = 5.0
_KINDS: dict[str, type[TaskInput] | type[TaskSignal] | type[TerminalSize]] = {
    "TaskInput": TaskInput,
    "TaskSignal": TaskSignal,
    "TerminalSize": TerminalSize,
}


class SrunLink:
    """One srun.  Once is_gone, sending does nothing.

    early: what came of it before this process had the connection; receive_early() gives it.
    """

    def __init__(self, connection: socket.socket, early: bytes = b"") -> None:
        connection.setblocking(False)
        self._socket = connection
        self._splitter = FrameSplitter()
        self._early = early
        self._out = bytearray()
        self.is_gone = False

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_full(self) -> bool:
        return len(self._out) >= _UNSENT_MAX

    @property
    def unsent(self) -> int:
        return len(self._out)

    @property
    def is_drained(self) -> bool:
        return self.is_gone or not self._out

    def wanted_events(self, is_input_wanted: bool) -> int:
        """Return what to poll for.  The end of the connection is told in any case."""
        events = select.POLLRDHUP
        if is_input_wanted:
            events |= select.POLLIN
        if self._out:
            events |= select.POLLOUT
        return events

    def notify(self, message: Message) -> None:
        if not self.is_gone:
            append_frame(self._out, NOTICE, CONNECTION_ID, type(message).__name__, message)

    def receive(self) -> list[Message]:
        """Return what srun said since; sets is_gone at its end."""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.lose()
            return []
        return self._messages(data)

    def receive_early(self) -> list[Message]:
        """Return what came before; call it once, before receive()."""
        return self._messages(self._early) if self._early else []

    def _messages(self, data: bytes) -> list[Message]:
        self._splitter.feed(data)
        messages: list[Message] = []
        try:
            while (payload := self._splitter.next()) is not None:
                envelope = decode_envelope(payload)
                if envelope.name in _KINDS:
                    messages.append(decode_body(envelope.body, _KINDS[envelope.name]))
        except SluiceError:
            # A peer that sends no frames is not our srun.
            self.lose()
        return messages

    def flush(self) -> None:
        """Send what the socket takes now."""
        while self._out:
            try:
                count = self._socket.send(memoryview(self._out)[:_CHUNK])
            except BlockingIOError:
                return
            except OSError:
                self.lose()
                return
            del self._out[:count]

    def lose(self) -> None:
        self.is_gone = True
        self._out.clear()

    def close(self, linger_s: float = _LINGER_S) -> None:
        """Close once srun has what was sent: with input of its own unread, the kernel would reset and drop the rest.

        srun closes its side when it has read StepDone; one that does not is waited for a bounded time.
        """
        ends_at = time.monotonic() + linger_s
        try:
            if not self.is_gone:
                self._socket.shutdown(socket.SHUT_WR)
                while (left_s := ends_at - time.monotonic()) > 0:
                    if not select.select([self._socket], [], [], left_s)[0] or not self._socket.recv(_CHUNK):
                        break
        except OSError:
            # It is gone already.
            self.is_gone = True
        self._socket.close()
