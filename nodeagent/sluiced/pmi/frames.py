"""Frames between the processes of one step: other step daemons, the PMIx helper."""

from __future__ import annotations

import select
import socket

import msgspec

from sluice.wire.envelope import Envelope
from sluice.wire.framing import CONNECTION_ID, NOTICE
from sluiced.frame_socket import FrameSocket

#: What a barrier of a large program brings together.
SIZE_MAX = 64 * 1024 * 1024


class FrameLink(FrameSocket):
    """One peer, to whom everything goes at once; its socket is closed when it is lost."""

    def __init__(self, own: socket.socket) -> None:
        super().__init__(own, SIZE_MAX)

    def wanted_events(self) -> int:
        return select.POLLIN | (select.POLLOUT if self._out else 0)

    def notify(self, message: msgspec.Struct) -> None:
        """Send as much as goes now, keep the rest for flush()."""
        self.send(NOTICE, CONNECTION_ID, type(message).__name__, message)

    def send(self, kind: int, number: int, name: str, body: object) -> None:
        was_empty = not self._out
        self.append(kind, number, name, body)
        if was_empty:
            self.flush()

    def receive(self) -> list[Envelope]:
        """Return what came; sets is_gone at the end, or when it sends no frames."""
        return self.receive_envelopes()

    def lose(self) -> None:
        if not self.is_gone:
            super().lose()
            self._socket.close()

    def close(self) -> None:
        self.lose()
