"""A connection moves to another process, and its peer notices nothing."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sluice.errors import InvalidRequest
from sluice.wire.connection import Connection
from sluice.wire.envelope import Envelope
from sluice.wire.handler import Handler
from sluice.wire.identity import Identity
from sluice.wire.responder import Responder
from sluice.wire.server import adopt

Run = Callable[[Any], Any]

#: Takes the connection over and answers the request that it was handed with, then one more.
STEP_DAEMON = """
import sys, _socket
from sluice.wire.light import LightConnection
connection = LightConnection(_socket.socket(fileno=int(sys.argv[1])), "srun")
connection.send(4, int(sys.argv[2]), "Launch", {"line": "from the step daemon"})
connection.send(1, int(sys.argv[2]), "Launch", {"exit_code": 0})
kind, id, name, body = connection.receive(10.0)
connection.send(1, id, name, body)
"""


class DetachHandler(Handler):
    def __init__(self, take: Callable[[Connection, Responder], None]) -> None:
        self._take = take
        self.closed: list[str] = []

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        self._take(connection, responder)

    def on_closed(self, connection: Connection, reason: Exception) -> None:
        self.closed.append(str(reason))


def test_another_process_answers_and_owns_the_connection_from_then_on(run: Run, serving: Any, wait_until: Any) -> None:
    daemons: list[subprocess.Popen[bytes]] = []

    def take(connection: Connection, responder: Responder) -> None:
        with connection.detach() as own:
            command = [sys.executable, "-c", STEP_DAEMON, str(own.fileno()), str(responder.id)]
            daemons.append(subprocess.Popen(command, pass_fds=[own.fileno()]))

    async def scenario() -> None:
        async with serving(handler=DetachHandler(take)) as place:
            connection = await place.dial()
            lines: list[Any] = []
            reply = await connection.request("Launch", on_part=lambda body: lines.append(msgspec.msgpack.decode(body)))
            assert msgspec.msgpack.decode(reply) == {"exit_code": 0}
            assert lines == [{"line": "from the step daemon"}]
            assert place.handler.closed == ["handed over to another process"]
            await wait_until(lambda: not place.server.connections)
            assert (
                msgspec.msgpack.decode(await connection.request("Echo", "still the same one")) == "still the same one"
            )
            assert daemons[0].wait(10) == 0

    run(scenario())


@pytest.mark.parametrize("is_tcp", [False, True], ids=["unix", "tcp"])
def test_a_detached_socket_is_adopted_by_a_loop(
    run: Run, serving: Any, make_echo: Any, credential: Any, is_tcp: bool
) -> None:
    taken: list[tuple[Any, Identity | None, int]] = []

    def take(connection: Connection, responder: Responder) -> None:
        identity = connection.identity
        taken.append((connection.detach(), identity, responder.id))

    async def scenario() -> None:
        async with serving(handler=DetachHandler(take)) as place:
            connection = await (place.dial_tcp(credential()) if is_tcp else place.dial())
            launched = connection.request("Launch")
            while not taken:
                await asyncio.sleep(0)
            own, identity, request_id = taken[0]
            assert own.getblocking()
            adopted = await adopt(own, make_echo(), identity)
            Responder(adopted, request_id, "Launch").reply("adopted")
            assert msgspec.msgpack.decode(await launched) == "adopted"
            whoami = msgspec.msgpack.decode(await connection.request("Whoami"), type=Identity)
            assert whoami.uid == (1234 if is_tcp else os.getuid())
            adopted.close()
            await adopted.wait_lost()

    run(scenario())


def test_a_peer_that_sent_more_than_its_request_cannot_be_handed_over(
    run: Run, serving: Any, raw: Any, frame: Any
) -> None:
    async def scenario() -> None:
        async with serving(handler=DetachHandler(lambda connection, _: void(connection.detach()))) as place:
            peer = raw(place.path)
            peer.sendall(frame(0, 1, "Launch") + frame(0, 2, "Launch"))
            answer = await asyncio.get_running_loop().run_in_executor(None, peer.recv, 4096)
            assert b"cannot be handed over: 16 bytes received beyond the request" in answer

    run(scenario())


def test_a_held_connection_may_be_detached_later(run: Run, serving: Any) -> None:
    """What the peer sends meanwhile stays in the kernel, for the new owner."""
    held: list[Connection] = []

    def take(connection: Connection, responder: Responder) -> None:
        connection.hold()
        held.append(connection)

    async def scenario() -> None:
        async with serving(handler=DetachHandler(take)) as place:
            connection = await place.dial()
            connection.request("Launch")
            while not held:
                await asyncio.sleep(0)
            connection.notify("stdin", b"early")
            await connection.wait_drained()
            with held[0].detach() as own:
                data = await asyncio.get_running_loop().run_in_executor(None, own.recv, 4096)
                assert b"early" in data

    run(scenario())


def test_nothing_may_be_on_its_way_out(run: Run, serving: Any) -> None:
    refused: list[InvalidRequest] = []

    def take(connection: Connection, responder: Responder) -> None:
        responder.part(b"x" * 5_000_000)
        try:
            connection.detach()
        except InvalidRequest as error:
            refused.append(error)
        responder.reply()

    async def scenario() -> None:
        async with serving(handler=DetachHandler(take)) as place:
            await (await place.dial()).request("Launch")
            assert "not sent yet" in str(refused[0])

    run(scenario())


def void(own: Any) -> None:
    own.close()
