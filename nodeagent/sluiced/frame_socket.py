"""Frames on a socket without an event loop, as step daemons talk: to srun, to one another, to the PMIx helper."""

from __future__ import annotations

import socket

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, append_frame, decode_envelope
from sluice.wire.framing import FRAME_SIZE_MAX, FrameSplitter

_CHUNK = 256 * 1024


class FrameSocket:
    """One peer.  Once is_gone, sending does nothing; what came before its end is still given."""

    def __init__(self, own: socket.socket, size_max: int = FRAME_SIZE_MAX) -> None:
        own.setblocking(False)
        self._socket = own
        self._size_max = size_max
        self._splitter = FrameSplitter(size_max)
        self._out = bytearray()
        self.is_gone = False

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_drained(self) -> bool:
        return self.is_gone or not self._out

    def append(self, kind: int, number: int, name: str, body: object) -> None:
        """Keep a frame for flush()."""
        if not self.is_gone:
            append_frame(self._out, kind, number, name, body, self._size_max)

    def flush(self) -> None:
        """Send what the socket takes now."""
        while self._out and not self.is_gone:
            try:
                count = self._socket.send(memoryview(self._out)[:_CHUNK])
            except BlockingIOError:
                return
            except OSError:
                self.lose()
                return
            del self._out[:count]

    def receive_envelopes(self) -> list[Envelope]:
        """Return what came; sets is_gone at the end, or when the peer sends no frames."""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.lose()
            return []
        return self.split(data)

    def split(self, data: bytes) -> list[Envelope]:
        """Return the frames that *data* completes."""
        self._splitter.feed(data)
        envelopes: list[Envelope] = []
        try:
            while (payload := self._splitter.next()) is not None:
                envelopes.append(decode_envelope(payload))
        except SluiceError:
            self.lose()
        return envelopes

    def close(self) -> None:
        """Close at once; what was not sent is dropped."""
        self.lose()
        self._socket.close()

    def lose(self) -> None:
        """Give the peer up; what was not sent is dropped."""
        self.is_gone = True
        self._out.clear()
