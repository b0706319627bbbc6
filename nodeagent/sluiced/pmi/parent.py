"""The way to the parent in the tree: the agent of its node hands the connection over to the step daemon.

The parent's node may not have got its launch yet (a prolog runs, srun is not there yet): asked again, for as long as
the step lives.  An agent that can't be reached for a while is a reason to give up.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, ErrorBody, Hello, decode_body
from sluice.wire.framing import CONNECTION_ID, ERROR, HELLO, NOTICE, REPLY, REQUEST
from sluice.wire.messages import JoinStep
from sluiced.pmi.frames import FrameLink
from sluiced.steps.user import User, acting_as

#: The answer of an agent that does not know the step yet.
NOT_LAUNCHED = "not_launched"
#: The answer of one where the step is over.
ENDED = "ended"
_REQUEST_ID = 1
_PAUSE_FIRST_S = 0.02
_PAUSE_MAX_S = 1.0
_UNREACHED_MAX_S = 60.0


class ParentLink:
    """problem: why there will be no parent; empty while there is hope, or it is there."""

    def __init__(
        self,
        node: str,
        address: str,
        port: int,
        credential: str,
        request: JoinStep,
        user: User,
        patience_s: float = _UNREACHED_MAX_S,
    ) -> None:
        """user: who connects, for the address is srun's word.  patience_s: how long the agent may be out of reach."""
        self.node = node
        self.problem = ""
        self.has_joined = False
        self._target = (address, port)
        self._credential = credential
        self._request = request
        self._user = user
        self._link: FrameLink | None = None
        self._socket: socket.socket | None = None
        self._has_ended = False
        self._pause_s = _PAUSE_FIRST_S
        self._try_at: float | None = 0.0
        self._patience_s = patience_s
        self._give_up_at = time.monotonic() + patience_s
        #: What is to be sent once there is a parent.
        self._waiting: list[object] = []

    def fileno(self) -> int | None:
        """Return what to poll, None while it is waited for another try."""
        own = self._link or self._socket
        return None if own is None or (self._link is not None and self._link.is_gone) else own.fileno()

    def wanted_events(self) -> int:
        return self._link.wanted_events() if self._link is not None else select.POLLOUT

    @property
    def is_drained(self) -> bool:
        return bool(self.problem) or (not self._waiting and (self._link is None or self._link.is_drained))

    @property
    def is_lost(self) -> bool:
        """It was there and is gone."""
        return self._has_ended or (self.has_joined and self._link is not None and self._link.is_gone)

    def wait_s(self, now: float) -> float | None:
        return None if self._try_at is None else max(0.0, self._try_at - now)

    def do_timers(self, now: float) -> None:
        if self._try_at is not None and now >= self._try_at and not self.problem:
            self._try_at = None
            self._connect()

    def notify(self, message: object) -> None:
        if self._link is not None and self.has_joined:
            self._link.send(NOTICE, CONNECTION_ID, type(message).__name__, message)
        else:
            self._waiting.append(message)

    def on_event(self) -> list[Envelope]:
        """Return what the parent says."""
        if self._link is None:
            self._on_connected()
            return []
        self._link.flush()
        envelopes = self._link.receive()
        while envelopes and not self.has_joined:
            self._on_greeting(envelopes.pop(0))
        if self._link is not None and self._link.is_gone and not self.has_joined:
            self._try_again(f"node {self.node}: the agent hung up", is_reached=False)
        return envelopes

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
        elif self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        try:
            with acting_as(self._user, 0o077):
                family, kind, protocol, _, address = socket.getaddrinfo(*self._target, type=socket.SOCK_STREAM)[0]
                self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
                code = self._socket.connect_ex(address)
        except OSError as error:
            self._fail(str(error))
            return
        if code not in (0, errno.EINPROGRESS):
            self._fail(os.strerror(code))

    def _on_connected(self) -> None:
        assert self._socket is not None
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(os.strerror(code))
            return
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link = FrameLink(self._socket)
        self._link.send(NOTICE, CONNECTION_ID, HELLO, Hello(credential=self._credential))
        self._link.send(REQUEST, _REQUEST_ID, type(self._request).__name__, self._request)

    def _on_greeting(self, envelope: Envelope) -> None:
        if envelope.kind == REPLY and envelope.id == _REQUEST_ID:
            self.has_joined = True
            waiting, self._waiting = self._waiting, []
            for message in waiting:
                self.notify(message)
        elif envelope.kind == ERROR:
            try:
                error = decode_body(envelope.body, ErrorBody)
            except SluiceError:
                error = ErrorBody()
            if error.code == NOT_LAUNCHED:
                self._try_again("", is_reached=True)
            elif error.code == ENDED:
                self._end("")
                self._has_ended = True
                self._waiting.clear()
            else:
                self._end(f"node {self.node} refuses the connection: {error.message}")

    def _fail(self, why: str) -> None:
        address, port = self._target
        self._try_again(f"node {self.node} ({address}:{port}) cannot be reached: {why}", is_reached=False)

    def _try_again(self, why: str, *, is_reached: bool) -> None:
        now = time.monotonic()
        self.close()
        self._link = self._socket = None
        if is_reached:
            self._give_up_at = now + self._patience_s
        elif now > self._give_up_at:
            self._end(why)
            return
        self._try_at = now + self._pause_s
        self._pause_s = min(_PAUSE_MAX_S, 2 * self._pause_s)

    def _end(self, why: str) -> None:
        self.close()
        self._link = self._socket = None
        self.problem = why
