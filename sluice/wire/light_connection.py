"""A connection of the commands' synchronous client: a connected socket that speaks frames.

A light module: _socket instead of socket, msgpack instead of msgspec.  light.py makes the connections.
"""

from __future__ import annotations

import time

import msgpack  # type: ignore[import-untyped]

from sluice.errors import InvalidRequest, PeerError, ProtocolMismatch, Unreachable
from sluice.wire.faults import FrameError, error_from, peer_error_from
from sluice.wire.framing import (
    CONNECTION_ID,
    ERROR,
    FRAME_SIZE_MAX,
    NOTICE,
    PART,
    REPLY,
    REQUEST,
    VERSION,
    VERSION_MAX,
    VERSION_MIN,
    WELCOME,
    FrameSplitter,
    pack_length,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator
    from typing import Any

    #: kind, id, name, body
    Frame = tuple[int, int, str, Any]

CALL_DEADLINE_S = 60.0
#: How long a peer that stopped reading may take to tell why.
_LAST_WORDS_DEADLINE_S = 0.5
_CHUNK_SIZE = 256 * 1024


class LightConnection:
    """A connected socket that speaks frames; call and stream for commands, the rest for srun."""

    def __init__(self, own: _socket.socket, peer: str) -> None:
        self.peer = peer
        self._socket = own
        self._splitter = FrameSplitter()
        self._out = bytearray()
        self._last_id = 0
        #: Why there will be no more frames, found by receive_nowait().
        self._failure: PeerError | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> LightConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, name: str, body: object, deadline_s: float = CALL_DEADLINE_S) -> Any:
        """Return the body of the reply; parts before it are dropped.

        Raises what the peer answered (RequestError), or a PeerError.
        """
        for is_final, value in self._converse(name, body, deadline_s):
            if is_final:
                return value
        raise AssertionError("a conversation ends with its final reply")

    def stream(self, name: str, body: object, deadline_s: float = CALL_DEADLINE_S) -> Iterator[Any]:
        """Give the body of each piece as it comes, then that of the final reply.

        deadline_s: for each piece.  Raises as call() does.
        """
        for _, value in self._converse(name, body, deadline_s):
            yield value

    def _converse(self, name: str, body: object, deadline_s: float) -> Iterator[tuple[bool, Any]]:
        request_id = self.send_request(name, body, deadline_s)
        while True:
            kind, id, _, value = self.receive(deadline_s)
            if id != request_id:
                continue
            if kind == ERROR:
                raise error_from(*_error_body(value))
            if kind == REPLY:
                yield True, value
                return
            if kind == PART:
                yield False, value

    # Frames.

    def send_request(self, name: str, body: object, deadline_s: float = CALL_DEADLINE_S) -> int:
        """Send a request whose replies receive() will give; return its id."""
        self._last_id += 1
        self.send(REQUEST, self._last_id, name, body, deadline_s)
        return self._last_id

    def send(self, kind: int, id: int, name: str, body: object, deadline_s: float = CALL_DEADLINE_S) -> None:
        """Send one frame, and what was queued before it."""
        self.queue(kind, id, name, body)
        ends_at = time.monotonic() + deadline_s
        while self._out:
            self._write(left_s(ends_at, self.peer, deadline_s))

    def queue(self, kind: int, id: int, name: str, body: object) -> None:
        """Keep a frame for flush_nowait().  Raises FrameError when too large, InvalidRequest for text not UTF-8."""
        try:
            payload: bytes = msgpack.packb([VERSION, kind, id, name, body])
        except UnicodeEncodeError:
            from sluice.wire.not_text import complaint

            raise InvalidRequest(complaint(body), "not_utf8") from None
        if len(payload) > FRAME_SIZE_MAX:
            raise FrameError(f"{name}: frame of {len(payload)} bytes, the limit is {FRAME_SIZE_MAX}")
        self._out += pack_length(len(payload))
        self._out += payload

    @property
    def unsent(self) -> int:
        """Return the count of queued bytes; while there are any, poll for writing too."""
        return len(self._out)

    def flush_nowait(self) -> bool:
        """Write what the socket takes.  True: nothing is left."""
        if self._out:
            self._write(0.0)
        return not self._out

    def receive(self, deadline_s: float = CALL_DEADLINE_S) -> Frame:
        """Return the next frame.  Raises Unreachable at the end, at the deadline, or as the peer refuses."""
        ends_at = time.monotonic() + deadline_s
        while True:
            frame = self._next_frame()
            if frame is not None:
                return frame
            self._read(left_s(ends_at, self.peer, deadline_s))

    def receive_nowait(self) -> list[Frame]:
        """Return the frames that are here, maybe none; for when a poll says that there is something to read.

        Call it once before the first poll: receive() may have read ahead.
        Raises a PeerError at the end, once all frames before it were given.
        """
        frames: list[Frame] = []
        try:
            self._take_frames(frames)
            if self._failure is None:
                self._read(0.0)
                self._take_frames(frames)
        except PeerError as error:
            self._failure = error
        if self._failure is not None and not frames:
            raise self._failure
        return frames

    def _take_frames(self, frames: list[Frame]) -> None:
        while (frame := self._next_frame()) is not None:
            frames.append(frame)

    def _next_frame(self) -> Frame | None:
        while (payload := self._splitter.next()) is not None:
            frame = _decode(payload)
            kind, id, name, body = frame
            if kind == ERROR and id == CONNECTION_ID:
                raise peer_error_from(*_error_body(body))
            if kind != NOTICE or name != WELCOME:
                return frame
        return None

    def _read(self, timeout_s: float) -> None:
        """Feed what arrives within *timeout_s*, if anything."""
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(_CHUNK_SIZE)
        except (BlockingIOError, TimeoutError):
            return
        except OSError as error:
            raise Unreachable(f"{self.peer}: {error.strerror}") from None
        if not data:
            raise Unreachable(f"{self.peer}: the connection was closed")
        self._splitter.feed(data)

    def _write(self, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)
        try:
            count = self._socket.send(self._out)
        except (BlockingIOError, TimeoutError):
            return
        except OSError as error:
            raise self._end_of_writing(error) from None
        del self._out[:count]

    def _end_of_writing(self, error: OSError) -> PeerError:
        """Return why the peer stopped reading: its own words if it left any."""
        try:
            while True:
                self.receive(_LAST_WORDS_DEADLINE_S)
        except Unreachable as reason:
            return Unreachable(f"{self.peer}: {error.strerror}: {reason}")
        except PeerError as reason:
            return reason


def _decode(payload: memoryview) -> Frame:
    try:
        frame = msgpack.unpackb(payload, strict_map_key=False)
        if not VERSION_MIN <= frame[0] <= VERSION_MAX:
            raise ProtocolMismatch(f"protocol version {frame[0]}, this side speaks {VERSION_MIN} to {VERSION_MAX}")
        _, kind, id, name, body = frame[:5]
    except (ValueError, TypeError, LookupError) as error:
        raise FrameError(f"not a frame: {error}") from None
    return kind, id, name, body


def _error_body(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict):
        return "", repr(body)
    return str(body.get("code", "")), str(body.get("message", ""))


def left_s(ends_at: float, whom: str, deadline_s: float) -> float:
    """Return the seconds until *ends_at*.  Raises Unreachable when there are none."""
    left = ends_at - time.monotonic()
    if left <= 0:
        raise Unreachable(f"{whom}: no answer in {deadline_s:g} s")
    return left
