"""The commands' synchronous client: what they send, they wait for.

A light module: _socket instead of socket, msgpack instead of msgspec, no hashlib.  On the
controller's host the UNIX socket is used; elsewhere TCP, with a credential that the local node
agent mints, or that is made here when the user can read the cluster key.
"""

from __future__ import annotations

import _socket
import os
import time

import msgpack  # type: ignore[import-untyped]

from sluice.errors import (
    AuthenticationFailed,
    ConfigError,
    InvalidRequest,
    PeerError,
    ProtocolMismatch,
    RequestError,
    SluiceError,
    Unreachable,
)
from sluice.wire.faults import FrameError, error_from, is_passing, peer_error_from
from sluice.wire.framing import (
    CONNECTION_ID,
    CONTROLLER_AUDIENCE,
    ERROR,
    FRAME_SIZE_MAX,
    HELLO,
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
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Protocol

    #: kind, id, name, body
    Frame = tuple[int, int, str, Any]

    class Endpoints(Protocol):
        """Where a cluster is, as sluice.config.light reads it.  Empty: there is none."""

        controller_socket: str

        @property
        def controllers(self) -> Sequence[tuple[str, str]]:
            """(host, address), the primary first."""

        controller_port: int
        agent_socket: str
        key_file: str


CONNECT_DEADLINE_S = 10.0
CALL_DEADLINE_S = 60.0
PAUSE_FIRST_S = 0.2
PAUSE_MAX_S = 5.0
#: A UNIX connect with a full backlog fails at once instead of waiting.
_BACKLOG_PAUSE_S = 0.02
#: How long a peer that stopped reading may take to tell why.
_LAST_WORDS_DEADLINE_S = 0.5
_CHUNK_SIZE = 256 * 1024


def new_token() -> str:
    """Return a token that makes one submission recognisable however often it is sent."""
    return os.urandom(16).hex()


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
            self._write(_left(ends_at, self.peer, deadline_s))

    def queue(self, kind: int, id: int, name: str, body: object) -> None:
        """Keep a frame for flush_nowait().  Raises FrameError when too large."""
        try:
            payload: bytes = msgpack.packb([VERSION, kind, id, name, body])
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"{name}: text that is not UTF-8: {error.object[:80]!r}") from None
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
            self._read(_left(ends_at, self.peer, deadline_s))

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


def connect(endpoints: Endpoints, deadline_s: float = CONNECT_DEADLINE_S) -> LightConnection:
    """Return a connection to the controller.

    Raises Unreachable with every way that was tried, or AuthenticationFailed.
    """
    ends_at = time.monotonic() + deadline_s
    failures: list[str] = []
    if endpoints.controller_socket:
        try:
            return connect_unix(endpoints.controller_socket, _left(ends_at, "controller", deadline_s))
        except Unreachable as error:
            failures.append(str(error))
    for host, address in endpoints.controllers:
        try:
            own = _connect_tcp(address, endpoints.controller_port, _left(ends_at, host, deadline_s))
        except Unreachable as error:
            failures.append(f"{host}: {error}")
            continue
        return _introduce(own, host, endpoints, _left(ends_at, host, deadline_s))
    raise Unreachable("no controller answers: " + ("; ".join(failures) or "none is configured"))


def connect_unix(path: str, deadline_s: float = CONNECT_DEADLINE_S) -> LightConnection:
    """Return a connection to the daemon that listens at *path*.  Raises Unreachable."""
    ends_at = time.monotonic() + deadline_s
    own = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    while True:
        try:
            own.settimeout(_left(ends_at, path, deadline_s))
            own.connect(path)
            return LightConnection(own, path)
        except BlockingIOError:
            time.sleep(_BACKLOG_PAUSE_S)
        except OSError as error:
            own.close()
            raise Unreachable(f"{path}: {error.strerror or error}") from None
        except Unreachable:
            own.close()
            raise


def connect_tcp(address: str, port: int, credential: str, deadline_s: float = CONNECT_DEADLINE_S) -> LightConnection:
    """Return a connection that has said hello; a refusal shows at the first receive().  Raises Unreachable."""
    connection = LightConnection(_connect_tcp(address, port, deadline_s), f"{address}:{port}")
    connection.send(NOTICE, CONNECTION_ID, HELLO, {"credential": credential}, deadline_s)
    return connection


def call_with_retry(
    endpoints: Endpoints,
    name: str,
    body: object,
    patience_s: float,
    on_wait: Callable[[SluiceError, float], None] | None = None,
    deadline_s: float = CALL_DEADLINE_S,
) -> Any:
    """Return the reply, asking again while the controller is away or cannot store it.

    A request may be sent more than once: body must carry a token (new_token()) where that matters.
    on_wait(why, pause_s) is called before each pause.  Raises the last reason after patience_s.
    """
    ends_at = time.monotonic() + patience_s
    pause_s = PAUSE_FIRST_S
    while True:
        try:
            with connect(endpoints) as connection:
                return connection.call(name, body, deadline_s)
        except (Unreachable, RequestError) as error:
            if not is_passing(error):
                raise
            # Half of the pause is chance: a thousand commands wait for the same restart.
            this_pause_s = pause_s * (0.5 + os.urandom(1)[0] / 512)
            if time.monotonic() + this_pause_s > ends_at:
                raise
            if on_wait is not None:
                on_wait(error, this_pause_s)
        time.sleep(this_pause_s)
        pause_s = min(pause_s * 2, PAUSE_MAX_S)


def _introduce(own: _socket.socket, host: str, endpoints: Endpoints, deadline_s: float) -> LightConnection:
    connection = LightConnection(own, host)
    try:
        credential = fetch_credential(endpoints, CONTROLLER_AUDIENCE, deadline_s)
        connection.send(NOTICE, CONNECTION_ID, HELLO, {"credential": credential}, deadline_s)
    except BaseException:
        own.close()
        raise
    return connection


def fetch_credential(endpoints: Endpoints, audience: str, deadline_s: float = CONNECT_DEADLINE_S) -> str:
    """Return a fresh credential of this user.  Raises AuthenticationFailed when nobody here makes one."""
    failures: list[str] = []
    if endpoints.agent_socket:
        try:
            with connect_unix(endpoints.agent_socket, deadline_s) as agent:
                credential: str = agent.call("MintCredential", {"audience": audience}, deadline_s)["credential"]
                return credential
        except (PeerError, ProtocolMismatch, RequestError) as error:
            failures.append(f"local agent: {error}")
    if endpoints.key_file and os.access(endpoints.key_file, os.R_OK):
        from sluice.wire.credentials import mint_own

        try:
            return mint_own(endpoints.key_file, audience, time.time())
        except ConfigError as error:
            failures.append(str(error))
    raise AuthenticationFailed("no credential for TCP: " + ("; ".join(failures) or "neither agent nor readable key"))


def _connect_tcp(address: str, port: int, deadline_s: float) -> _socket.socket:
    ends_at = time.monotonic() + deadline_s
    try:
        places = _socket.getaddrinfo(address, port, 0, _socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"{address}: {error.strerror}") from None
    reason = f"{address}: no address"
    for family, kind, protocol, _, where in places:
        timeout_s = _left(ends_at, address, deadline_s)
        own = _socket.socket(family, kind, protocol)
        try:
            own.settimeout(timeout_s)
            own.connect(where)
            own.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            own.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
            return own
        except OSError as error:
            own.close()
            reason = f"{address}:{port}: {error.strerror or error}"
    raise Unreachable(reason)


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


def _left(ends_at: float, whom: str, deadline_s: float) -> float:
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise Unreachable(f"{whom}: no answer in {deadline_s:g} s")
    return left_s
