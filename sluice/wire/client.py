"""Connecting, and connecting again for ever.

connect() makes one connection or says why not.  ReconnectingClient keeps one for the node
agent: exponential pauses up to a cap with full jitter, so that a thousand agents do not return
to a restarted controller in the same second.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from sluice.errors import AuthenticationFailed, PeerError, Unreachable
from sluice.wire.admission import LocalAdmission, WelcomeAdmission
from sluice.wire.connection import Connection
from sluice.wire.framing import CONTROLLER_AUDIENCE
from sluice.wire.handler import Handler
from sluice.wire.limits import Limits

logger = logging.getLogger(__name__)

CONNECT_DEADLINE_S = 10.0


class UnixEndpoint(msgspec.Struct, frozen=True):
    """A UNIX socket on this host."""

    path: str

    def __str__(self) -> str:
        return self.path


class TcpEndpoint(msgspec.Struct, frozen=True):
    """A port of a host; audience: who credentials are made out to."""

    address: str
    port: int
    audience: str = CONTROLLER_AUDIENCE

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


Endpoint = UnixEndpoint | TcpEndpoint
#: Returns a fresh credential for the audience.  Raises AuthenticationFailed when there is none to be had.
CredentialSource = Callable[[str], Awaitable[str]]


async def connect(
    endpoint: Endpoint,
    credential_source: CredentialSource | None,
    handler: Handler | None = None,
    *,
    limits: Limits | None = None,
    deadline_s: float = CONNECT_DEADLINE_S,
) -> Connection:
    """Return a connection on which the peer has accepted us.

    credential_source: needed for TCP only.
    Raises Unreachable, AuthenticationFailed or ProtocolMismatch.
    """
    try:
        async with asyncio.timeout(deadline_s):
            return await _connect(endpoint, credential_source, handler or Handler(), limits or Limits())
    except TimeoutError:
        raise Unreachable(f"{endpoint}: no answer in {deadline_s:g} s") from None
    except OSError as error:
        raise Unreachable(f"{endpoint}: {error.strerror or error}") from None


async def _connect(
    endpoint: Endpoint, credential_source: CredentialSource | None, handler: Handler, limits: Limits
) -> Connection:
    loop = asyncio.get_running_loop()
    entrance = _Entrance(handler)
    if isinstance(endpoint, UnixEndpoint):
        _, connection = await loop.create_unix_connection(
            lambda: Connection(entrance, limits, LocalAdmission()), endpoint.path
        )
    else:
        if credential_source is None:
            raise AuthenticationFailed(f"{endpoint}: a credential is needed for TCP, and there is no source of any")
        admission = WelcomeAdmission(await credential_source(endpoint.audience))
        _, connection = await loop.create_connection(
            lambda: Connection(entrance, limits, admission), endpoint.address, endpoint.port
        )
    try:
        await entrance.wait_entered(connection)
    except BaseException:
        connection.transport.abort()
        raise
    return connection


class _Entrance(Handler):
    """Passes everything on to *handler*, and knows when the server has let us in."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Straight through: no extra call for each message.
        self.on_request = handler.on_request  # type: ignore[method-assign]
        self.on_notice = handler.on_notice  # type: ignore[method-assign]
        self.on_closed = handler.on_closed  # type: ignore[method-assign]

    def on_connected(self, connection: Connection) -> None:
        self._entered.set_result(None)
        self._handler.on_connected(connection)

    async def wait_entered(self, connection: Connection) -> None:
        closed = asyncio.ensure_future(connection.wait_closed())
        either: set[asyncio.Future[Any]] = {self._entered, closed}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._entered.done():
                raise closed.result()
        finally:
            closed.cancel()


class ReconnectingClient:
    """Keeps one connection to the first endpoint that answers, for as long as run() runs."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        credential_source: CredentialSource | None,
        handler: Handler,
        *,
        rng: random.Random,
        on_connected: Callable[[Connection], None],
        on_lost: Callable[[PeerError], None],
        limits: Limits | None = None,
        pause_first_s: float = 0.5,
        pause_max_s: float = 30.0,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """on_connected and on_lost alternate; *pause* is replaced in tests."""
        self.connection: Connection | None = None
        self._endpoints = list(endpoints)
        self._credential_source = credential_source
        self._handler = handler
        self._rng = rng
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._limits = limits
        self._pause_first_s = pause_first_s
        self._pause_max_s = pause_max_s
        self._pause = pause
        self._attempt = 0

    async def run(self) -> None:
        """Connect, stay until it is lost, pause, again; until cancelled."""
        try:
            while True:
                connection = await self._try_endpoints()
                if connection is not None:
                    await self._stay(connection)
                await self._pause(self._next_pause_s())
        finally:
            if self.connection is not None:
                self.connection.close()
                self.connection = None

    async def _try_endpoints(self) -> Connection | None:
        for endpoint in self._endpoints:
            try:
                return await connect(endpoint, self._credential_source, self._handler, limits=self._limits)
            except PeerError as error:
                logger.info("endpoint %s: not connected attempt=%s: %s", endpoint, self._attempt, error)
        return None

    async def _stay(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        self.connection = connection
        self._on_connected(connection)
        reason = await connection.wait_closed()
        self.connection = None
        # A peer that accepts and drops us at once must not be asked in a tight loop.
        if loop.time() - since >= self._pause_max_s:
            self._attempt = 0
        self._on_lost(reason)

    def _next_pause_s(self) -> float:
        """Full jitter: any time from none to the whole of the doubled pause."""
        pause_s: float = min(self._pause_max_s, self._pause_first_s * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        return self._rng.uniform(0.0, pause_s)
