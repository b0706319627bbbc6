"""Fixtures of the wire's tests: a handler that echoes, servers in this loop or in a thread, raw sockets."""

import asyncio
import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import uvloop

from sluice.clock import VirtualClock
from sluice.errors import NotFound, PeerError
from sluice.wire.client import TcpEndpoint, UnixEndpoint, connect
from sluice.wire.connection import Connection
from sluice.wire.credentials import Claims, SharedKeyAuthenticator, mint, new_nonce
from sluice.wire.envelope import Envelope, append_frame
from sluice.wire.handler import Handler
from sluice.wire.identity import Identity
from sluice.wire.keyfile import create_key_file
from sluice.wire.limits import Limits
from sluice.wire.responder import Responder
from sluice.wire.server import Server

DEADLINE_S = 20.0


class EchoHandler(Handler):
    """Answers by the name of the request; remembers what happened."""

    def __init__(self) -> None:
        self.connected: list[Connection] = []
        self.notices: list[tuple[str, Any]] = []
        self.closed: list[PeerError] = []
        self.kept: list[Responder] = []
        #: Of the requests that count.
        self.bodies: list[Any] = []
        self.credential_for: Callable[[Identity, str], str] | None = None

    def on_connected(self, connection: Connection) -> None:
        self.connected.append(connection)

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        body = msgspec.msgpack.decode(envelope.body)
        match envelope.name:
            case "Echo":
                responder.reply(envelope.body)
            case "Keep":
                self.kept.append(responder)
            case "Count":
                for index in range(body["count"]):
                    responder.part({"index": index})
                responder.reply({"count": body["count"]})
            case "Whoami":
                responder.reply(connection.identity)
            case "Missing":
                raise NotFound(f"job {body['job_id']} is not known")
            case "Bug":
                raise KeyError("a bug of ours")
            case "Overflow":
                responder.reply(2**64)
            case "Blob":
                responder.reply(b"x" * body["size"])
            case "DropFirst":
                self.bodies.append(body)
                if len(self.bodies) == 1:
                    connection.close()
                else:
                    responder.reply(body)
            case "Bye":
                connection.close()
            case "MintCredential" if self.credential_for is not None:
                assert connection.identity is not None
                responder.reply({"credential": self.credential_for(connection.identity, body["audience"])})
            case _:
                super().on_request(connection, envelope, responder)

    def on_notice(self, connection: Connection, envelope: Envelope) -> None:
        self.notices.append((envelope.name, msgspec.msgpack.decode(envelope.body)))

    def on_closed(self, connection: Connection, reason: PeerError) -> None:
        self.closed.append(reason)


@pytest.fixture
def make_echo() -> type[EchoHandler]:
    return EchoHandler


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    path = tempfile.mkdtemp(prefix="sluice-wire-")
    yield Path(path)
    shutil.rmtree(path)


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine on uvloop, with a deadline."""

    async def bounded(coroutine: Coroutine[Any, Any, Any]) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await coroutine

    return lambda coroutine: uvloop.run(bounded(coroutine))


async def _wait_until(condition: Callable[[], object]) -> None:
    """Return when *condition* holds, asked once an iteration; the runner's deadline bounds it."""
    while not condition():
        await asyncio.sleep(0)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    return _wait_until


@pytest.fixture
def key(folder: Path) -> bytes:
    return create_key_file(str(folder / "cluster.key"))


@pytest.fixture
def credential(key: bytes, now_at: float) -> Callable[..., str]:
    """Make a credential: credential(uid=7, node="n1", lifetime_s=-100, key=other, audience="x")."""

    def make(*, at: float = now_at, lifetime_s: float = 300.0, key: bytes = key, **claims: Any) -> str:
        wanted: dict[str, Any] = {"uid": 1234, "gid": 100, "user": "ada", "host": "login1", "audience": "sluicectld"}
        return mint(key, Claims(**(wanted | claims)), at, lifetime_s, new_nonce())

    return make


@pytest.fixture
def now_at() -> float:
    return 1_000_000.0


@pytest.fixture
def serving(folder: Path, key: bytes, now_at: float) -> Callable[..., Any]:
    """`async with serving(limits) as place:` .handler .server .path .port, and .dial() and .dial_tcp(credential)."""

    @contextlib.asynccontextmanager
    async def serve(limits: Limits | None = None, handler: Handler | None = None) -> AsyncIterator[SimpleNamespace]:
        handler = handler or EchoHandler()
        server = Server(handler, limits or Limits(linger_deadline_s=0.05))
        path = str(folder / "s")
        await server.listen_unix(path, 0o666)
        port = await server.listen_tcp("127.0.0.1", 0, SharedKeyAuthenticator(key, VirtualClock(now_at)))
        dialed: list[Connection] = []

        async def dial(handler: Handler | None = None, **options: Any) -> Connection:
            dialed.append(await connect(UnixEndpoint(path), None, handler, **options))
            return dialed[-1]

        async def dial_tcp(text: str, handler: Handler | None = None) -> Connection:
            async def source(audience: str) -> str:
                return text

            dialed.append(await connect(TcpEndpoint("127.0.0.1", port), source, handler))
            return dialed[-1]

        try:
            yield SimpleNamespace(handler=handler, server=server, path=path, port=port, dial=dial, dial_tcp=dial_tcp)
        finally:
            for connection in dialed:
                connection.close()
            await server.stop()
            for connection in dialed:
                await connection.wait_lost()

    return serve


@pytest.fixture
def frame() -> Callable[..., bytes]:
    def make(kind: int, id: int, name: str, body: object = None) -> bytes:
        out = bytearray()
        append_frame(out, kind, id, name, body)
        return bytes(out)

    return make


class ThreadServer:
    """A server with its own loop in a thread, for synchronous clients; start() and stop() may alternate."""

    def __init__(self, folder: Path, key: bytes, limits: Limits | None = None) -> None:
        self.path = str(folder / "c")
        self.port = 0
        self.handler: EchoHandler
        self._key = key
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event

    def start(self) -> None:
        is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve(is_ready)))
        self._thread.start()
        assert is_ready.wait(DEADLINE_S)

    def stop(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(DEADLINE_S)
            self._thread = None

    def call(self, action: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(action, *arguments)

    async def _serve(self, is_ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.handler = EchoHandler()
        server = Server(self.handler, self._limits)
        await server.listen_unix(self.path, 0o666)
        self.port = await server.listen_tcp("127.0.0.1", self.port, SharedKeyAuthenticator(self._key))
        is_ready.set()
        await self._stop.wait()
        await server.stop()


@pytest.fixture
def thread_server(folder: Path, key: bytes) -> Iterator[ThreadServer]:
    server = ThreadServer(folder, key)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def raw() -> Iterator[Callable[[Any], socket.socket]]:
    """raw(path) or raw(port): a connected plain socket."""
    opened: list[socket.socket] = []

    def connect(where: str | int) -> socket.socket:
        own = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        own.settimeout(DEADLINE_S)
        own.connect(where if isinstance(where, str) else ("127.0.0.1", where))
        opened.append(own)
        return own

    yield connect
    for own in opened:
        own.close()
