"""Listeners and the connections made through them.

A server has one handler for everything that arrives, on any number of UNIX sockets and TCP
ports.  Who a peer is, admission.py finds out; how many there may be, census.py knows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from sluice.errors import ConfigError
from sluice.wire.admission import Admission, HelloAdmission, LocalAdmission
from sluice.wire.census import Census
from sluice.wire.connection import Connection
from sluice.wire.framing import CONTROLLER_AUDIENCE
from sluice.wire.handler import Handler
from sluice.wire.identity import Authenticator, Identity
from sluice.wire.limits import Limits
from sluice.wire.quiet import QuietLog
from sluice.wire.unixpath import bind_unix, identity_of_file

logger = logging.getLogger(__name__)

#: Turns of the loop until one who was accepted at last is among the connections: accept, transport, connection_made.
_ACCEPT_TURNS = 3
_BACKLOG = 1024


class Server:
    """Accepts peers for *handler*.

    audience: what credentials for this service are made out to.
    """

    def __init__(self, handler: Handler, limits: Limits | None = None, audience: str = CONTROLLER_AUDIENCE) -> None:
        self._handler = handler
        self._limits = limits or Limits()
        self._audience = audience
        self._census = Census(self._limits)
        self._quiet_log = QuietLog(logger)
        self._listeners: list[asyncio.Server] = []
        self._socket_files: dict[str, tuple[int, int] | None] = {}

    @property
    def connections(self) -> frozenset[Connection]:
        """Return everybody connected, also those who have not said who they are."""
        return frozenset(self._census.connections)

    async def listen_unix(self, path: str, mode: int = 0o600) -> None:
        """mode: 0o666 for a socket that every local user may talk to.  Raises ConfigError."""
        listener = bind_unix(path, mode, _BACKLOG)
        self._socket_files[path] = identity_of_file(path)
        await self._serve(listener, lambda: LocalAdmission(census=self._census))

    async def listen_tcp(self, address: str, port: int, authenticator: Authenticator) -> int:
        """Return the port, which the system chooses when *port* is 0.  Raises ConfigError."""
        listener = _bind_tcp(address, port)
        chosen: int = listener.getsockname()[1]
        await self._serve(listener, lambda: HelloAdmission(authenticator, self._audience, self._census))
        return chosen

    async def stop(self) -> None:
        """Stop listening, send what is queued, close every connection."""
        await self._stop_accepting()
        for path, identity in self._socket_files.items():
            if identity is not None and identity_of_file(path) == identity:
                os.unlink(path)
        for connection in self.connections:
            connection.close("the daemon is stopping")
        await self._wait_empty()
        for connection in self.connections:
            connection.transport.abort()
        await self._wait_empty()

    async def _stop_accepting(self) -> None:
        """Close the listeners, once everybody who was accepted is among the connections.

        asyncio drops whom it has accepted and not yet begun with when the listener is closed, and closes nothing.
        """
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            for each in listener.sockets:
                # Of asyncio's own loop; uvloop has no reader there, and needs none taken away.
                loop.remove_reader(each.fileno())
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)

    async def _wait_empty(self) -> None:
        lost = [asyncio.ensure_future(connection.wait_lost()) for connection in self.connections]
        if lost:
            await asyncio.wait(lost, timeout=self._limits.linger_deadline_s)

    async def _serve(self, listener: socket.socket, make_admission: Callable[[], Admission]) -> None:
        loop = asyncio.get_running_loop()

        def make_connection() -> Connection:
            return Connection(self._handler, self._limits, make_admission(), self._quiet_log)

        if listener.family == socket.AF_UNIX:
            server = await loop.create_unix_server(make_connection, sock=listener, backlog=_BACKLOG)
        else:
            server = await loop.create_server(make_connection, sock=listener, backlog=_BACKLOG)
        self._listeners.append(server)


async def adopt(
    handed_over: socket.socket, handler: Handler, identity: Identity | None, limits: Limits | None = None
) -> Connection:
    """Return a connection over a socket that another process detached; the peer notices nothing.

    identity: as it was established there.  The request that led here is answered through
    Responder(connection, its id, its name).
    """
    handed_over.setblocking(False)
    _, connection = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: Connection(handler, limits or Limits(), Admission(identity)), handed_over
    )
    return connection


def _bind_tcp(address: str, port: int) -> socket.socket:
    """Return a listening socket.  Raises ConfigError."""
    try:
        family, _, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise ConfigError(f"cannot listen on {address!r} port {port}: {error.strerror}") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {address!r} port {port}: {error.strerror}") from None
    return listener
