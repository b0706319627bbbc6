"""Connecting, and connecting again."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.errors import AuthenticationFailed, Unreachable
from sluice.wire.client import ReconnectingClient, TcpEndpoint, UnixEndpoint, connect
from sluice.wire.credentials import SharedKeyAuthenticator
from sluice.wire.handler import Handler
from sluice.wire.server import Server

Run = Callable[[Any], Any]


def test_nobody_there_is_unreachable(run: Run, folder: Path) -> None:
    with pytest.raises(Unreachable, match=r"absent: No such file"):
        run(connect(UnixEndpoint(str(folder / "absent")), None))


def test_a_server_that_says_nothing_is_unreachable(run: Run, raw: Any) -> None:
    async def scenario() -> None:
        import socket

        async def source(audience: str) -> str:
            return "any"

        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = TcpEndpoint("127.0.0.1", silent.getsockname()[1])
            with pytest.raises(Unreachable, match=r"no answer in 0.05 s"):
                await connect(endpoint, source, deadline_s=0.05)

    run(scenario())


def test_the_client_returns_after_each_loss(run: Run, folder: Path, make_echo: Any) -> None:
    """Three lives of a server on one path; between two of them the client tries in vain."""
    path = str(folder / "s")

    async def scenario() -> None:
        story: list[str] = []
        changed = asyncio.Event()

        def tell(text: str) -> None:
            story.append(text)
            changed.set()

        async def pause(pause_s: float) -> None:
            tell("pause")
            await asyncio.sleep(0)

        client = ReconnectingClient(
            [UnixEndpoint(str(folder / "other")), UnixEndpoint(path)],
            None,
            make_echo(),
            rng=random.Random(1),
            on_connected=lambda connection: tell("connected"),
            on_lost=lambda reason: tell("lost"),
            pause=pause,
        )
        running = asyncio.create_task(client.run())

        async def wait_told(text: str) -> None:
            while text not in story:
                changed.clear()
                await changed.wait()
            story.clear()

        for _ in range(3):
            await wait_told("pause")
            server = Server(make_echo())
            await server.listen_unix(path)
            await wait_told("connected")
            assert client.connection is not None
            await client.connection.request("Echo")
            await server.stop()
            await wait_told("lost")
            assert client.connection is None
        running.cancel()
        await asyncio.wait([running])

    run(scenario())


def test_pauses_grow_to_a_cap_and_are_jittered_in_full(run: Run, folder: Path) -> None:
    async def scenario() -> list[float]:
        pauses: list[float] = []
        full = asyncio.Event()

        async def pause(pause_s: float) -> None:
            pauses.append(pause_s)
            if len(pauses) == 400:
                full.set()
                await asyncio.Event().wait()

        client = ReconnectingClient(
            [UnixEndpoint(str(folder / "absent"))],
            None,
            Handler(),
            rng=random.Random(7),
            on_connected=lambda connection: None,
            on_lost=lambda reason: None,
            pause_first_s=1.0,
            pause_max_s=8.0,
            pause=pause,
        )
        running = asyncio.create_task(client.run())
        await full.wait()
        running.cancel()
        await asyncio.wait([running])
        return pauses

    pauses = run(scenario())

    for attempt, pause_s in enumerate(pauses):
        assert 0.0 <= pause_s <= min(8.0, 2.0**attempt)
    assert max(pauses) > 7.5
    assert min(pauses[4:]) < 0.5


def test_a_client_that_is_refused_never_counts_as_connected(run: Run, key: bytes, credential: Any) -> None:
    async def scenario() -> None:
        server = Server(Handler())
        port = await server.listen_tcp("127.0.0.1", 0, SharedKeyAuthenticator(key))
        connected: list[Any] = []
        audiences: list[str] = []
        tried_twice = asyncio.Event()

        async def source(audience: str) -> str:
            audiences.append(audience)
            if len(audiences) == 3:
                raise AuthenticationFailed("no credential to be had")
            return str(credential())

        async def pause(pause_s: float) -> None:
            if len(audiences) == 4:
                tried_twice.set()
                await asyncio.Event().wait()

        client = ReconnectingClient(
            [TcpEndpoint("127.0.0.1", port, audience="sluicectld")],
            source,
            Handler(),
            rng=random.Random(1),
            on_connected=connected.append,
            on_lost=lambda reason: None,
            pause=pause,
        )
        running = asyncio.create_task(client.run())
        await tried_twice.wait()
        running.cancel()
        await asyncio.wait([running])
        await server.stop()
        assert connected == []
        assert audiences == ["sluicectld"] * 4

    run(scenario())
