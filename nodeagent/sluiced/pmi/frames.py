"""Frames on a socket between processes of one step, without an event loop: other step daemons, the PMIx helper."""

from __future__ import annotations

import select
import socket

import msgspec

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, append_frame, decode_envelope
from sluice.wire.framing import CONNECTION_ID, NOTICE, FrameSplitter

#: What a barrier of a large program brings together.
SIZE_MAX = 64 * 1024 * 1024
_CHUNK = 256 * 1024


class FrameLink:
    """One peer.  Once is_gone, sending does nothing; what came before its end is still given."""

    def __init__(self, own: socket.socket) -> None:
        own.setblocking(False)
        self._socket = own
        self._splitter = FrameSplitter(SIZE_MAX)
        self._out = bytearray()
        self.is_gone = False

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_drained(self) -> bool:
        return self.is_gone or not self._out

    def wanted_events(self) -> int:
        return select.POLLIN | (select.POLLOUT if self._out else 0)

    def notify(self, message: msgspec.Struct) -> None:
        """Send as much as goes now, keep the rest for flush()."""
        self.send(NOTICE, CONNECTION_ID, type(message).__name__, message)

    def send(self, kind: int, number: int, name: str, body: object) -> None:
        if self.is_gone:
            return
        was_empty = not self._out
        append_frame(self._out, kind, number, name, body, SIZE_MAX)
        if was_empty:
            self.flush()

    def flush(self) -> None:
        while self._out and not self.is_gone:
            try:
                count = self._socket.send(memoryview(self._out)[:_CHUNK])
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            del self._out[:count]

    def receive(self) -> list[Envelope]:
        """Return what came; sets is_gone at the end, or when it sends no frames."""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.close()
            return []
        self._splitter.feed(data)
        envelopes: list[Envelope] = []
        try:
            while (payload := self._splitter.next()) is not None:
                envelopes.append(decode_envelope(payload))
        except SluiceError:
            self.close()
        return envelopes

    def close(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._out.clear()
            self._socket.close()
