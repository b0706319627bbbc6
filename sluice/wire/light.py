"""The commands' synchronous client: what they send, they wait for.

A light module: _socket instead of socket, no hashlib.  This is how commands reach a daemon; what is said then is
light_connection.py's.  On the controller's host the UNIX socket is used; elsewhere TCP, with a credential that the
local node agent mints, or that is made here when the user can read the cluster key.
"""

from __future__ import annotations

import _socket
import os
import time

from sluice.errors import (
    AuthenticationFailed,
    ConfigError,
    NotConnected,
    PeerError,
    ProtocolMismatch,
    Refused,
    RequestError,
    SluiceError,
    Unreachable,
)
from sluice.wire.faults import is_passing
from sluice.wire.framing import CONNECTION_ID, CONTROLLER_AUDIENCE, HELLO, NOTICE
from sluice.wire.light_connection import CALL_DEADLINE_S, LightConnection, left_s

__all__ = [
    "CALL_DEADLINE_S",
    "LightConnection",
    "call_with_retry",
    "connect",
    "connect_tcp",
    "connect_unix",
    "fetch_credential",
    "new_token",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

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
PAUSE_FIRST_S = 0.2
PAUSE_MAX_S = 5.0
#: A UNIX connect with a full backlog fails at once instead of waiting.
_BACKLOG_PAUSE_S = 0.02


def new_token() -> str:
    """Return a token that makes one submission recognisable however often it is sent."""
    return os.urandom(16).hex()


def connect(endpoints: Endpoints, deadline_s: float = CONNECT_DEADLINE_S) -> LightConnection:
    """Return a connection to the controller.

    Raises NotConnected with every way that was tried, another Unreachable, or AuthenticationFailed.
    """
    ends_at = time.monotonic() + deadline_s
    failures: list[str] = []
    if endpoints.controller_socket:
        try:
            return connect_unix(endpoints.controller_socket, left_s(ends_at, "controller", deadline_s))
        except Unreachable as error:
            failures.append(str(error))
    for host, address in endpoints.controllers:
        try:
            own = _connect_tcp(address, endpoints.controller_port, left_s(ends_at, host, deadline_s))
        except Unreachable as error:
            failures.append(f"{host}: {error}")
            continue
        return _introduce(own, host, endpoints, left_s(ends_at, host, deadline_s))
    raise NotConnected("no controller answers: " + ("; ".join(failures) or "none is configured"))


def connect_unix(path: str, deadline_s: float = CONNECT_DEADLINE_S) -> LightConnection:
    """Return a connection to the daemon that listens at *path*.  Raises Unreachable."""
    ends_at = time.monotonic() + deadline_s
    own = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        while True:
            own.settimeout(left_s(ends_at, path, deadline_s))
            try:
                own.connect(path)
                return LightConnection(own, path)
            except BlockingIOError:
                time.sleep(_BACKLOG_PAUSE_S)
    except OSError as error:
        own.close()
        raise Unreachable(f"{path}: {error.strerror or error}") from None
    except BaseException:
        # The deadline, or a signal that a command makes an exception of.
        own.close()
        raise


def connect_tcp(address: str, port: int, credential: str, deadline_s: float = CONNECT_DEADLINE_S) -> LightConnection:
    """Return a connection that has said hello; a refusal shows at the first receive().  Raises Unreachable."""
    connection = LightConnection(_connect_tcp(address, port, deadline_s), f"{address}:{port}")
    try:
        connection.send(NOTICE, CONNECTION_ID, HELLO, {"credential": credential}, deadline_s)
    except BaseException:
        connection.close()
        raise
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
    # As text, Python would load its tables of international names first, for 3 ms.
    host = address.encode() if address.isascii() else address
    try:
        places = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"{address}: {error.strerror}") from None
    problem = Unreachable(f"{address}: no address")
    for family, kind, protocol, _, where in places:
        timeout_s = left_s(ends_at, address, deadline_s)
        own = _socket.socket(family, kind, protocol)
        try:
            own.settimeout(timeout_s)
            own.connect(where)
            own.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            own.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
            return own
        except OSError as error:
            own.close()
            kind_of_problem = Refused if isinstance(error, ConnectionRefusedError) else Unreachable
            problem = kind_of_problem(f"{address}:{port}: {error.strerror or error}")
        except BaseException:
            own.close()
            raise
    raise problem
