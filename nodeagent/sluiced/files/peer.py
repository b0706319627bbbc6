"""A connection that speaks frames and waits, each time for a bounded while: for a process that does one thing."""

from __future__ import annotations

import socket
from typing import TypeVar

from sluice.errors import Unreachable
from sluice.wire.envelope import Envelope, ErrorBody, append_frame, decode_body, decode_envelope
from sluice.wire.faults import error_from
from sluice.wire.framing import CONNECTION_ID, ERROR, HELLO, NOTICE, REQUEST, WELCOME, FrameSplitter, pack_length
from sluice.wire.messages import Message

Kind = TypeVar("Kind", bound=Message)

_CHUNK = 1 << 20


class FilePeer:
    """One connection of a broadcast."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        connection.settimeout(timeout_s)
        self._socket = connection
        self._splitter = FrameSplitter()

    def introduce(self, credential: str, request: Message) -> None:
        """Say who asks, and ask.  Raises Unreachable."""
        frames = bytearray()
        append_frame(frames, NOTICE, CONNECTION_ID, HELLO, {"credential": credential})
        append_frame(frames, REQUEST, 1, type(request).__name__, request)
        self.send(frames)

    def notify(self, message: Message) -> None:
        """Raises Unreachable."""
        frame = bytearray()
        append_frame(frame, NOTICE, CONNECTION_ID, type(message).__name__, message)
        self.send(frame)

    def pass_on(self, payload: bytes | memoryview) -> None:
        """Send a frame as it was received.  Raises Unreachable."""
        self.send(pack_length(len(payload)))
        self.send(payload)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Unreachable(str(error)) from None

    def receive(self, timeout_s: float) -> tuple[Envelope, bytes | memoryview]:
        """Return the next notice, and its frame's payload.  Raises Unreachable, or what the peer refuses."""
        self._socket.settimeout(timeout_s)
        while True:
            while (payload := self._splitter.next()) is not None:
                envelope = decode_envelope(payload)
                if envelope.kind == ERROR:
                    body = decode_body(envelope.body, ErrorBody)
                    raise error_from(body.code, body.message)
                if envelope.kind == NOTICE and envelope.name != WELCOME:
                    return envelope, payload
            try:
                data = self._socket.recv(_CHUNK)
            except OSError as error:
                raise Unreachable(str(error)) from None
            if not data:
                raise Unreachable("the connection ended")
            self._splitter.feed(data)

    def receive_as(self, kind: type[Kind], timeout_s: float) -> Kind:
        """Return the next notice, which must be a *kind*."""
        envelope, _ = self.receive(timeout_s)
        if envelope.name != kind.__name__:
            raise Unreachable(f"{envelope.name} came for {kind.__name__}")
        return decode_body(envelope.body, kind)

    def close(self) -> None:
        self._socket.close()
