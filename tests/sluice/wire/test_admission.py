"""Who is let in, over TCP and in what number."""

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sluice.errors import AuthenticationFailed, Unreachable
from sluice.wire.client import TcpEndpoint, connect
from sluice.wire.envelope import decode_body
from sluice.wire.framing import FRAME_SIZE_FIRST_MAX, pack_length
from sluice.wire.identity import Identity
from sluice.wire.limits import Limits

Run = Callable[[Any], Any]


def test_a_good_credential_says_who_calls(run: Run, serving: Any, credential: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial_tcp(credential(node="n1", extra={"job_id": 7}))
            identity = decode_body(await connection.request("Whoami"), Identity)
            assert (identity.uid, identity.user, identity.host) == (1234, "ada", "login1")
            assert (identity.is_agent_of, identity.grants, identity.pid) == ("n1", {"job_id": 7}, None)

    run(scenario())


def test_after_the_hello_frames_may_be_large(run: Run, serving: Any, credential: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial_tcp(credential())
            body = b"x" * (4 * FRAME_SIZE_FIRST_MAX)
            assert msgspec.msgpack.decode(await connection.request("Echo", body)) == body

    run(scenario())


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"lifetime_s": -100.0}, "expired"),
        ({"key": b"another key" * 4}, "another cluster key"),
        ({"audience": "node:n1"}, "is for 'node:n1'"),
    ],
    ids=["expired", "foreign", "for somebody else"],
)
def test_a_bad_credential_is_refused_with_the_reason(
    run: Run, serving: Any, credential: Any, claims: dict[str, Any], text: str
) -> None:
    async def scenario() -> None:
        async with serving() as place:
            with pytest.raises(AuthenticationFailed, match=text):
                await place.dial_tcp(credential(**claims))
            assert place.handler.connected == []

    run(scenario())


def test_forged_and_replayed_credentials_are_refused(run: Run, serving: Any, credential: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            good = credential()
            await place.dial_tcp(good)
            with pytest.raises(AuthenticationFailed, match="replayed"):
                await place.dial_tcp(good)
            with pytest.raises(AuthenticationFailed, match="forged"):
                await place.dial_tcp(good[:-4] + "AAAA")
            with pytest.raises(AuthenticationFailed, match="malformed"):
                await place.dial_tcp("")

    run(scenario())


def test_no_request_is_dispatched_before_the_hello(
    run: Run, serving: Any, raw: Any, frame: Any, wait_until: Any
) -> None:
    async def scenario() -> None:
        async with serving() as place:
            stranger = raw(place.port)
            stranger.sendall(frame(0, 1, "Keep"))
            await wait_until(lambda: len(place.server.connections) == 1)
            await wait_until(lambda: not place.server.connections)
            assert b"authentication_failed" in stranger.recv(4096)
            assert place.handler.kept == []

    run(scenario())


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda frame: pack_length(FRAME_SIZE_FIRST_MAX + 1), b"frame_too_large"),
        (lambda frame: frame(3, 0, "hello", {"credential": 5}), b"malformed Hello"),
        (lambda frame: b"", b"hello_too_slow"),
        (lambda frame: frame(3, 0, "hello", {"credential": "x"})[:-1], b"hello_too_slow"),
    ],
    ids=["a large first frame", "a hello of another shape", "silence", "half a hello"],
)
def test_strangers_that_do_not_say_hello_are_refused(
    run: Run, serving: Any, raw: Any, frame: Any, wait_until: Any, make: Any, code: bytes
) -> None:
    async def scenario() -> None:
        async with serving(Limits(hello_deadline_s=0.05, linger_deadline_s=0.05)) as place:
            stranger = raw(place.port)
            stranger.sendall(make(frame))
            await wait_until(lambda: place.server.connections)
            await wait_until(lambda: not place.server.connections)
            assert code in stranger.recv(4096)

    run(scenario())


def test_one_connection_too_many_is_refused_until_another_ends(run: Run, serving: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving(Limits(connections_max=2)) as place:
            first, second = await place.dial(), await place.dial()
            await first.request("Echo")
            await second.request("Echo")
            third = await place.dial()
            with pytest.raises(Unreachable, match="2 connections are open, at most 2 may be"):
                await third.request("Echo")
            first.close()
            await wait_until(lambda: len(place.server.connections) == 1)
            await (await place.dial()).request("Echo")

    run(scenario())


def test_strangers_leave_room_for_those_who_are_known(
    run: Run, serving: Any, raw: Any, credential: Any, wait_until: Any
) -> None:
    async def scenario() -> None:
        async with serving(Limits(strangers_max=2, linger_deadline_s=0.05)) as place:
            known = await place.dial_tcp(credential())
            strangers = [raw(place.port) for _ in range(2)]
            await wait_until(lambda: len(place.server.connections) == 3)
            with pytest.raises(Unreachable, match="2 connections wait for their hello"):
                await place.dial_tcp(credential())
            await known.request("Echo")
            await (await place.dial()).request("Echo")
            strangers[0].close()
            await wait_until(lambda: len(place.server.connections) == 3)
            await place.dial_tcp(credential())

    run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_one_user_cannot_take_all_connections(run: Run, serving: Any, raw: Any, folder: Any, wait_until: Any) -> None:
    """Two of its three sockets stay; root is not counted."""
    folder.chmod(0o755)

    async def scenario() -> None:
        async with serving(Limits(connections_per_user_max=2, linger_deadline_s=0.05)) as place:
            os.seteuid(65534)
            try:
                others = [raw(place.path) for _ in range(3)]
            finally:
                os.seteuid(0)
            await wait_until(lambda: len(place.server.connections) == 3)
            await (await place.dial()).request("Echo")
            await wait_until(lambda: len(place.server.connections) == 3)
            assert [one.identity.uid for one in place.handler.connected] == [65534, 65534, 0]
            assert b"2 connections of uid 65534 are open" in others[2].recv(4096)

    run(scenario())


def test_tcp_needs_a_source_of_credentials(run: Run) -> None:
    with pytest.raises(AuthenticationFailed, match="no source of any"):
        run(connect(TcpEndpoint("127.0.0.1", 1), None))
