"""A small controller for the commands: real frames over a real socket, answers from the test."""

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.wire.connection import Connection
from sluice.wire.envelope import Envelope
from sluice.wire.handler import Handler
from sluice.wire.responder import Responder
from sluice.wire.server import Server

Answer = Callable[[dict[str, Any]], Any] | dict[str, Any]


class FakeController(Handler):
    """Remembers every request; answers by name with a map or what a function of the body returns or raises."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Answer] = {}
        #: Requests by name that are answered with the end of the connection, so often.
        self.drops: dict[str, int] = {}
        #: Requests by name that are never answered; on_silence is told of each.
        self.silent: set[str] = set()
        self.on_silence: Callable[[str], None] = lambda name: None
        self.loop: asyncio.AbstractEventLoop
        self._connections: list[Connection] = []

    def on_connected(self, connection: Connection) -> None:
        self._connections.append(connection)

    def close_all(self) -> None:
        """End every connection, as a restart does."""

        async def close() -> None:
            for connection in self._connections:
                connection.close()
                await connection.wait_lost()

        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        body = msgspec.msgpack.decode(envelope.body)
        self.requests.append((envelope.name, body))
        if self.drops.get(envelope.name, 0) > 0:
            self.drops[envelope.name] -= 1
            connection.close()
            return
        if envelope.name in self.silent:
            self.on_silence(envelope.name)
            return
        if envelope.name not in self.answers:
            super().on_request(connection, envelope, responder)
            return
        answer = self.answers[envelope.name]
        reply = answer(body) if callable(answer) else answer
        for name, notice in reply.pop("notices", []) if isinstance(reply, dict) else []:
            connection.notify(name, notice)
        responder.reply(reply)

    def bodies(self, name: str) -> list[dict[str, Any]]:
        return [body for each, body in self.requests if each == name]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    path = tempfile.mkdtemp(prefix="sluice-cli-")
    yield Path(path)
    shutil.rmtree(path)


@pytest.fixture
def dead_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose controller is not there; the folder with it."""
    config = folder / "sluice.conf"
    config.write_text(
        f"ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\n"
        f"SluiceControllerSocket={folder}/ctl.sock\nSluiceAgentSocket={folder}/agent.sock\n"
    )
    monkeypatch.setenv("SLUICE_CONF", str(config))
    return folder


@contextlib.contextmanager
def serving(path: Path) -> Iterator[FakeController]:
    """Give a controller that listens at *path*, in a thread of its own."""
    handler = FakeController()
    loop = handler.loop = asyncio.new_event_loop()
    server = Server(handler)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.listen_unix(str(path)), loop).result(10)
    yield handler
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def controller(dead_cluster: Path) -> Iterator[FakeController]:
    """The controller of that configuration."""
    with serving(dead_cluster / "ctl.sock") as handler:
        yield handler


@pytest.fixture(autouse=True)
def no_outer_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a job in which the tests may run are not theirs."""
    import os

    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_", "SALLOC_", "SRUN_", "SLUICE_", "SCANCEL_")):
            monkeypatch.delenv(name)
