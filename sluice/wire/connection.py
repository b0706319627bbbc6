"""One connection, the same on both sides: requests, notices, batching, bounds.

Either side sends requests and answers those of the other.  Nothing is dispatched before the
admission has established who the peer is.  What a peer does wrong ends this connection only:
it gets an ERROR that names the reason, time to read it, and then the socket is closed.

Callbacks, not streams: one call a chunk of bytes and one write an iteration carry tens of
thousands of messages a second.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
from collections.abc import Callable
from typing import cast

import msgspec

from sluice.errors import (
    AuthenticationFailed,
    InvalidRequest,
    PeerError,
    RequestError,
    Unreachable,
)
from sluice.wire.admission import Admission
from sluice.wire.envelope import Envelope, ErrorBody, decode_body, decode_envelope
from sluice.wire.faults import (
    FRAME_TOO_SLOW,
    HELLO_TOO_SLOW,
    TOO_MANY_REQUESTS,
    FrameError,
    code_of,
    error_from,
    peer_error_from,
)
from sluice.wire.framing import CONNECTION_ID, ERROR, NOTICE, PART, REPLY, REQUEST, FrameSplitter
from sluice.wire.handler import Handler
from sluice.wire.identity import Identity
from sluice.wire.incoming import IncomingRequests
from sluice.wire.limits import Limits
from sluice.wire.outbox import Outbox
from sluice.wire.pending import OnDone, OnPart, PendingRequests, settle
from sluice.wire.quiet import QuietLog

logger = logging.getLogger(__name__)

#: What a refused peer may still send before it is cut off without waiting.
_DISCARDED_MAX = 1024 * 1024


class Connection(asyncio.Protocol):
    """A peer.  All methods belong to the loop's thread."""

    def __init__(
        self, handler: Handler, limits: Limits, admission: Admission, quiet_log: QuietLog | None = None
    ) -> None:
        #: Who the peer is; None: a server that we connected to by TCP.
        self.identity: Identity | None = None
        #: The peer in words, for log lines.
        self.peer = "unknown"
        self.is_open = False
        self.transport: asyncio.Transport
        self._outbox: Outbox
        self._handler = handler
        self._limits = limits
        self._admission = admission
        self._quiet_log = quiet_log or QuietLog(logger)
        self._loop = asyncio.get_running_loop()
        self._splitter = FrameSplitter(limits.first_frame_size_max)
        self._pending = PendingRequests(self._loop)
        self._incoming = IncomingRequests(self, handler, limits.requests_in_flight_max)
        self._is_admitted = False
        self._is_held = False
        self._discarded = 0
        #: When the first byte of a frame came whose last has not.
        self._midframe_since: float | None = None
        self._frame_timer: asyncio.TimerHandle | None = None
        #: For the hello first, for lingering at the end.
        self._stage_timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[PeerError] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()

    # Sending.

    def request(
        self, name: str, body: object = None, *, deadline_s: float | None = None, on_part: OnPart | None = None
    ) -> asyncio.Future[msgspec.Raw]:
        """Send a request; the future gives the body of its reply.

        deadline_s: for the reply, or for each piece of a streamed one.
        The future fails with what the peer answered (RequestError) or Unreachable.
        """
        future: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        on_done: OnDone = functools.partial(settle, future)
        self.send_request(name, body, on_done, deadline_s=deadline_s, on_part=on_part)
        return future

    def send_request(
        self,
        name: str,
        body: object,
        on_done: OnDone,
        *,
        deadline_s: float | None = None,
        on_part: OnPart | None = None,
    ) -> None:
        """Send a request; on_done is called once, with the reply's body or the error."""
        if self._closed.done():
            on_done(self._closed.result())
            return
        if len(self._pending) >= self._limits.requests_in_flight_max:
            on_done(RequestError(f"{name}: {len(self._pending)} requests are in flight", TOO_MANY_REQUESTS))
            return
        request_id = self._pending.new_id()
        try:
            self._outbox.add(REQUEST, request_id, name, body)
        except FrameError as error:
            on_done(InvalidRequest(str(error), error.code))
            return
        if deadline_s is None:
            deadline_s = self._limits.reply_deadline_s
        self._pending.add(request_id, name, on_done, on_part, deadline_s)

    def notify(self, name: str, body: object = None) -> None:
        """Send a notice; nothing tells whether it arrived."""
        self.send_frame(NOTICE, CONNECTION_ID, name, body)

    def send_frame(self, kind: int, id: int, name: str, body: object) -> None:
        """Queue one frame; dropped when the connection is gone.  Raises FrameError when too large."""
        if self.is_open:
            self._outbox.add(kind, id, name, body)

    async def wait_drained(self) -> None:
        """Return when the peer has read enough that sending more is right."""
        if self.is_open:
            await self._outbox.wait_drained()

    async def wait_closed(self) -> PeerError:
        """Return why the connection ended, once it has."""
        return await asyncio.shield(self._closed)

    async def wait_lost(self) -> None:
        """Return when the socket is closed too."""
        await asyncio.shield(self._lost)

    def forget_request(self, id: int) -> None:
        """The peer's request *id* has its answer."""
        self._incoming.forget(id)

    # Ending.

    def close(self, reason: str = "closed by this side") -> None:
        """Send what is queued, then close."""
        if self.is_open:
            self._outbox.flush()
            self._end(Unreachable(reason))
            self.transport.close()
            self._linger()

    def refuse(self, error: PeerError) -> None:
        """Tell the peer what it did wrong, and close once it has read that."""
        if not self.is_open:
            return
        self._quiet_log.warning(
            self._loop.time(), "connection %s: refused code=%s: %s", self.peer, code_of(error), error
        )
        self.send_frame(ERROR, CONNECTION_ID, "", ErrorBody(code=code_of(error), message=str(error)))
        self._outbox.flush()
        self._end(error)
        # Closing now with bytes unread would reset a TCP connection and destroy the ERROR on its way.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._linger()

    def hold(self) -> None:
        """Read nothing more for now: what the peer sends stays in the kernel until resume() or detach()."""
        if self.is_open and not self._is_held:
            self._is_held = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.is_open and self._is_held:
            self._is_held = False
            self.transport.resume_reading()
            self._loop.call_soon(self._read_frames)

    def take_unread(self) -> bytes:
        """Return, and forget, what has been read of the peer and not been given: it goes with a detach()."""
        return self._splitter.take_rest()

    def detach(self) -> socket.socket:
        """Take the socket out of this loop, blocking, to be owned by another process.

        For on_request, about the frame that made it so: the new owner answers it.  A later detach
        needs a hold() in on_request.  Raises InvalidRequest when the peer has sent more than that
        frame, which take_unread() did not take, or has not read all that it was sent.
        """
        if not self.is_open:
            raise self._closed.result()
        self._outbox.flush()
        if self._splitter.buffered or self._outbox.unsent or len(self._pending):
            raise InvalidRequest(
                f"the connection cannot be handed over: {self._splitter.buffered} bytes received beyond the request,"
                f" {self._outbox.unsent} not sent yet, {len(self._pending)} requests in flight"
            )
        self.transport.pause_reading()
        own: socket.socket = self.transport.get_extra_info("socket")
        detached = socket.socket(fileno=os.dup(own.fileno()))
        self._end(Unreachable("handed over to another process"))
        # The transport closes its own descriptor; the connection lives on in the duplicate.
        self.transport.abort()
        detached.setblocking(True)
        return detached

    def _linger(self) -> None:
        self._stage_timer = self._loop.call_later(self._limits.linger_deadline_s, self.transport.abort)

    def _end(self, reason: PeerError) -> None:
        """Nothing is received or sent from here on; tells everybody who waits.  Idempotent."""
        self.is_open = False
        if self._closed.done():
            return
        self._cancel_timers()
        self._closed.set_result(reason)
        self._outbox.on_drained()
        self._pending.fail_all(reason)
        if self._is_admitted:
            # Not from here: the handler may be in the middle of something that led to this.
            self._loop.call_soon(self._guard, self._handler.on_closed, self, reason)

    def _cancel_timers(self) -> None:
        for timer in (self._frame_timer, self._stage_timer):
            if timer is not None:
                timer.cancel()
        self._frame_timer = self._stage_timer = None

    def _cut_off(self, text: str) -> None:
        """End at once a peer that would not read a reason either."""
        self._quiet_log.warning(self._loop.time(), "connection %s: cut off, %s", self.peer, text)
        self._end(Unreachable(f"peer {text}"))
        self.transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods and not the base class.
        self.transport = cast(asyncio.Transport, transport)
        self._outbox = Outbox(self._loop, self.transport, self._limits, self._cut_off)
        self.is_open = True
        try:
            is_admitted = self._admission.begin(self)
        except PeerError as error:
            self.refuse(error)
            return
        if is_admitted:
            self._admit()
        else:
            self._stage_timer = self._loop.call_later(self._limits.hello_deadline_s, self._on_hello_deadline)

    def data_received(self, data: bytes) -> None:
        if self.is_open:
            self._splitter.feed(data)
            self._read_frames()
            return
        self._discarded += len(data)
        if self._discarded > _DISCARDED_MAX:
            self.transport.abort()

    def eof_received(self) -> bool:
        if self.is_open and self._splitter.is_midframe:
            self.refuse(FrameError(f"truncated frame: end after {self._splitter.buffered} bytes"))
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end(Unreachable(f"connection lost: {error}" if error else "the peer closed the connection"))
        self._cancel_timers()
        self._admission.end(self)
        self._lost.set_result(None)

    def pause_writing(self) -> None:
        if self.is_open:
            self._outbox.on_full()

    def resume_writing(self) -> None:
        self._outbox.on_drained()

    # Receiving.

    def _read_frames(self) -> None:
        has_progressed = False
        try:
            while self.is_open and not self._is_held:
                payload = self._splitter.next()
                if payload is None:
                    break
                has_progressed = True
                self._dispatch(decode_envelope(payload))
        except (FrameError, AuthenticationFailed) as error:
            self.refuse(error)
        if self.is_open:
            self._outbox.flush()
            self._watch_frame(has_progressed)

    def _dispatch(self, envelope: Envelope) -> None:
        if envelope.kind == ERROR and envelope.id == CONNECTION_ID:
            self._on_peer_refuses(envelope)
        elif not self._is_admitted:
            self._admission.on_first(self, envelope)
            self._admit()
        elif envelope.kind == REQUEST:
            self._incoming.on_request(envelope)
        elif envelope.kind == NOTICE:
            self._guard(self._handler.on_notice, self, envelope)
        elif envelope.kind == REPLY:
            self._guard(self._pending.on_done, envelope.id, envelope.body)
        elif envelope.kind == PART:
            self._guard(self._pending.on_part, envelope.id, envelope.body)
        else:
            body = _error_body(envelope)
            self._guard(self._pending.on_done, envelope.id, error_from(body.code, body.message))

    def _admit(self) -> None:
        if self._stage_timer is not None:
            self._stage_timer.cancel()
            self._stage_timer = None
        self._is_admitted = True
        self._splitter.size_max = self._limits.frame_size_max
        self._guard(self._handler.on_connected, self)

    def _on_peer_refuses(self, envelope: Envelope) -> None:
        body = _error_body(envelope)
        error = peer_error_from(body.code, body.message)
        self._quiet_log.warning(self._loop.time(), "connection %s: %s", self.peer, error)
        self._end(error)
        self.transport.close()
        self._linger()

    def _guard(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call what is not ours: its bug must not end the connection."""
        try:
            callback(*arguments)
        except FrameError:
            raise
        except Exception:
            logger.exception("connection %s: %r failed", self.peer, callback)

    # Deadlines.

    def _watch_frame(self, has_progressed: bool) -> None:
        """One timer that is rarely touched: at thousands of chunks a second, most end inside a frame."""
        if not self._splitter.is_midframe:
            self._midframe_since = None
            return
        if has_progressed or self._midframe_since is None:
            self._midframe_since = self._loop.time()
        if self._frame_timer is None:
            self._frame_timer = self._loop.call_later(self._limits.frame_deadline_s, self._on_frame_deadline)

    def _on_frame_deadline(self) -> None:
        self._frame_timer = None
        if self._midframe_since is None or not self.is_open:
            return
        left_s = self._midframe_since + self._limits.frame_deadline_s - self._loop.time()
        if left_s > 0:
            self._frame_timer = self._loop.call_later(left_s, self._on_frame_deadline)
            return
        self.refuse(FrameError(f"frame not complete after {self._limits.frame_deadline_s:g} s", FRAME_TOO_SLOW))

    def _on_hello_deadline(self) -> None:
        self._stage_timer = None
        self.refuse(FrameError(f"no hello in {self._limits.hello_deadline_s:g} s", HELLO_TOO_SLOW))


def _error_body(envelope: Envelope) -> ErrorBody:
    try:
        return decode_body(envelope.body, ErrorBody)
    except InvalidRequest as error:
        raise FrameError(f"not a frame: {error}") from None
