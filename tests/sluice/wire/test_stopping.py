"""A server that stops while peers come: whoever was let in hears the end, in whichever turn of the loop that was."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator

import pytest
import uvloop

from sluice.wire.handler import Handler
from sluice.wire.server import Server


@pytest.fixture
def path() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="sluice-stop-")
    yield f"{folder}/socket"
    shutil.rmtree(folder)


@pytest.mark.parametrize("turns", range(7))
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_peer_that_comes_as_the_server_stops_hears_the_end(
    path: str, new_loop: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    async def scenario(peer: socket.socket) -> bytes:
        server = Server(Handler())
        await server.listen_unix(path)
        peer.connect(path)
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.stop()
        assert server.connections == frozenset()
        try:
            return peer.recv(1)
        except ConnectionResetError:
            return b""

    with socket.socket(socket.AF_UNIX) as peer, asyncio.Runner(loop_factory=new_loop) as runner:
        peer.settimeout(10)
        assert runner.run(scenario(peer)) == b""
