"""The connection to the step's srun, as a step daemon holds it: frames without an event loop.

The descriptor was accepted and authenticated by the agent.  Frames are notices both ways; see sluice/wire/messages.py.
"""

from __future__ import annotations

import select
import socket
import time

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.framing import CONNECTION_ID, NOTICE
from sluice.wire.messages import Message, TaskInput, TaskSignal, TerminalSize
from sluiced.frame_socket import FrameSocket

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


class SrunLink(FrameSocket):
    """One srun.  Once is_gone, sending does nothing.

    early: what came of it before this process had the connection; receive_early() gives it.
    """

    def __init__(self, connection: socket.socket, early: bytes = b"") -> None:
        super().__init__(connection)
        self._early = early

    @property
    def is_full(self) -> bool:
        return len(self._out) >= _UNSENT_MAX

    @property
    def unsent(self) -> int:
        return len(self._out)

    def wanted_events(self, is_input_wanted: bool) -> int:
        """Return what to poll for.  The end of the connection is told in any case."""
        events = select.POLLRDHUP
        if is_input_wanted:
            events |= select.POLLIN
        if self._out:
            events |= select.POLLOUT
        return events

    def notify(self, message: Message) -> None:
        self.append(NOTICE, CONNECTION_ID, type(message).__name__, message)

    def receive(self) -> list[Message]:
        """Return what srun said since; sets is_gone at its end, and when it is no srun."""
        return self._messages(self.receive_envelopes())

    def receive_early(self) -> list[Message]:
        """Return what came before; call it once, before receive()."""
        return self._messages(self.split(self._early)) if self._early else []

    def _messages(self, envelopes: list[Envelope]) -> list[Message]:
        messages: list[Message] = []
        try:
            for each in envelopes:
                if each.name in _KINDS:
                    messages.append(decode_body(each.body, _KINDS[each.name]))
        except SluiceError:
            # A peer that sends other bodies is not our srun.
            self.lose()
        return messages

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
