"""Who is at the other end, established before anything is dispatched.

On a UNIX socket the kernel tells (SO_PEERCRED).  On TCP the client's first frame is a hello with
a credential, and the server's first is a welcome.  A connection that was handed over by another
process comes with the identity that was established there.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from sluice.errors import AuthenticationFailed, InvalidRequest
from sluice.wire.census import Census
from sluice.wire.credentials import user_name
from sluice.wire.envelope import Envelope, Hello, decode_body
from sluice.wire.faults import FrameError
from sluice.wire.framing import HELLO, NOTICE, VERSION, WELCOME
from sluice.wire.identity import Authenticator, Identity

if TYPE_CHECKING:
    from sluice.wire.connection import Connection

_CREDENTIALS = struct.Struct("3i")
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class Admission:
    """The part of a connection that decides who may talk; this one lets in whom it is told."""

    def __init__(self, identity: Identity | None = None, census: Census | None = None) -> None:
        self._identity = identity
        self._census = census

    def begin(self, connection: Connection) -> bool:
        """The socket is open.  True: admitted; False: the first frame will tell.  Raises PeerError."""
        connection.identity = self._identity
        connection.peer = "handed over"
        return True

    def on_first(self, connection: Connection, envelope: Envelope) -> None:
        """The first frame is here; returns when it admits.  Raises PeerError."""
        raise AssertionError("admitted without a first frame")

    def end(self, connection: Connection) -> None:
        """The socket is closed."""
        if self._census is not None:
            self._census.leave(connection)


class LocalAdmission(Admission):
    """A UNIX socket, either side of it: the kernel knows the process at the other end."""

    def begin(self, connection: Connection) -> bool:
        pid, uid, gid = _CREDENTIALS.unpack(
            _socket_of(connection).getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        connection.peer = f"uid {uid} pid {pid}"
        if self._census is not None:
            self._census.enter(connection)
            self._census.enter_user(connection, uid)
        connection.identity = Identity(uid=uid, gid=gid, user=_known_user_name(uid), pid=pid)
        return True


class HelloAdmission(Admission):
    """The server side of TCP: the first frame must be a hello with a good credential."""

    def __init__(self, authenticator: Authenticator, audience: str, census: Census) -> None:
        super().__init__(census=census)
        self._authenticator = authenticator
        self._audience = audience
        self._strangers = census

    def begin(self, connection: Connection) -> bool:
        _begin_tcp(connection)
        self._strangers.enter(connection)
        self._strangers.enter_stranger(connection)
        return False

    def on_first(self, connection: Connection, envelope: Envelope) -> None:
        if envelope.kind != NOTICE or envelope.name != HELLO:
            raise AuthenticationFailed(f"the first frame is {envelope.name!r}, expected {HELLO!r} with a credential")
        try:
            hello = decode_body(envelope.body, Hello)
        except InvalidRequest as error:
            raise FrameError(str(error)) from None
        identity = self._authenticator.check(hello.credential, self._audience)
        whom = f"agent of {identity.is_agent_of}" if identity.is_agent_of else f"uid {identity.uid}"
        connection.peer = f"{connection.peer} {whom}"
        self._strangers.leave_strangers(connection)
        connection.identity = identity
        connection.notify(WELCOME, {"version": VERSION})


class WelcomeAdmission(Admission):
    """The client side of TCP: shows its credential and waits for the welcome."""

    def __init__(self, credential: str) -> None:
        super().__init__()
        self._credential = credential

    def begin(self, connection: Connection) -> bool:
        _begin_tcp(connection)
        connection.notify(HELLO, Hello(credential=self._credential))
        return False

    def on_first(self, connection: Connection, envelope: Envelope) -> None:
        if envelope.kind != NOTICE or envelope.name != WELCOME:
            raise FrameError(f"the first frame of the server is {envelope.name!r}, expected {WELCOME!r}")


def _begin_tcp(connection: Connection) -> None:
    # A host that is switched off sends no end; keepalive finds out within two minutes.
    own = _socket_of(connection)
    for level, option, value in _KEEPALIVE:
        own.setsockopt(level, option, value)
    address = connection.transport.get_extra_info("peername") or ("unknown", 0)
    connection.peer = f"{address[0]}:{address[1]}"


def _socket_of(connection: Connection) -> socket.socket:
    own: socket.socket = connection.transport.get_extra_info("socket")
    return own


_names_by_uid: dict[int, str] = {}


def _known_user_name(uid: int) -> str:
    """Return the name of *uid*; asked of the system once, as a directory service may take its time."""
    name = _names_by_uid.get(uid)
    if name is None:
        name = user_name(uid)
        if name != str(uid):
            _names_by_uid[uid] = name
    return name
