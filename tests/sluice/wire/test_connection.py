"""Requests, replies and notices between good peers, over real sockets."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.errors import InvalidRequest, NotFound, RequestError, Unreachable
from sluice.wire.envelope import decode_body
from sluice.wire.framing import FRAME_SIZE_MAX
from sluice.wire.identity import Identity
from sluice.wire.limits import Limits

Run = Callable[[Any], Any]

decode = msgspec.msgpack.decode


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.dictionaries(st.text(), st.integers(-(2**63), 2**63) | st.text() | st.binary() | st.none())))
def test_requests_come_back_as_they_went(run: Run, serving: Any, bodies: list[Any]) -> None:
    """reply(request(body)) == body, for any number of pipelined bodies, in order."""

    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            replies = await asyncio.gather(*[connection.request("Echo", body) for body in bodies])
            assert [decode(reply) for reply in replies] == bodies

    run(scenario())


def test_thousands_of_requests_may_be_in_flight(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            replies = await asyncio.gather(*[connection.request("Echo", index) for index in range(4000)])
            assert [decode(reply) for reply in replies] == list(range(4000))

    run(scenario())


def test_a_large_body_passes_in_pieces_of_the_stream(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            body = bytes(range(256)) * 60_000
            assert decode(await connection.request("Echo", body)) == body

    run(scenario())


def test_parts_arrive_before_the_reply_and_in_order(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            parts: list[int] = []
            reply = await connection.request(
                "Count", {"count": 500}, on_part=lambda body: parts.append(decode(body)["index"])
            )
            assert decode(reply) == {"count": 500}
            assert parts == list(range(500))

    run(scenario())


@pytest.mark.parametrize(
    ("name", "body", "kind", "code", "text"),
    [
        ("Missing", {"job_id": 7}, NotFound, "not_found", "job 7 is not known"),
        ("Nonsense", None, RequestError, "unknown_request", "'Nonsense' is not known here"),
        ("Bug", None, RequestError, "internal_error", "Bug failed: KeyError"),
        ("Overflow", None, RequestError, "internal_error", "its reply cannot be written"),
        ("Blob", {"size": FRAME_SIZE_MAX}, RequestError, "reply_too_large", "reply is too large"),
    ],
)
def test_a_failed_request_fails_alone(
    run: Run, serving: Any, name: str, body: object, kind: type[RequestError], code: str, text: str
) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            with pytest.raises(kind, match=text) as caught:
                await connection.request(name, body)
            assert caught.value.code == code
            assert decode(await connection.request("Echo", "still here")) == "still here"

    run(scenario())


def test_a_request_too_large_is_refused_before_it_is_sent(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            with pytest.raises(InvalidRequest, match="the limit is"):
                await connection.request("Echo", b"x" * FRAME_SIZE_MAX)
            assert decode(await connection.request("Echo", 1)) == 1

    run(scenario())


def test_both_sides_may_ask(run: Run, serving: Any, make_echo: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial(make_echo())
            assert decode(await connection.request("Echo", "ping")) == "ping"
            (other_side,) = place.handler.connected
            assert decode(await other_side.request("Echo", "pong")) == "pong"

    run(scenario())


def test_a_request_may_be_answered_later_and_out_of_order(run: Run, serving: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            first, second = connection.request("Keep", None), connection.request("Keep", None)
            await wait_until(lambda: len(place.handler.kept) == 2)
            place.handler.kept[1].reply("second")
            assert decode(await second) == "second"
            place.handler.kept[0].error("not_ready", "no")
            with pytest.raises(RequestError, match="no"):
                await first

    run(scenario())


def test_notices_arrive_and_are_not_answered(run: Run, serving: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            connection.notify("Heartbeat", {"node": "n1"})
            await wait_until(lambda: place.handler.notices)
            assert place.handler.notices == [("Heartbeat", {"node": "n1"})]

    run(scenario())


def test_a_callback_gets_the_reply_or_the_error(run: Run, serving: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            results: list[Any] = []
            connection.send_request("Echo", 5, results.append)
            connection.send_request("Missing", {"job_id": 1}, results.append)
            await wait_until(lambda: len(results) == 2)
            assert decode(results[0]) == 5
            assert isinstance(results[1], NotFound)

    run(scenario())


def test_the_kernel_says_who_calls_on_a_unix_socket(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        import os

        async with serving() as place:
            connection = await place.dial()
            identity = decode_body(await connection.request("Whoami"), Identity)
            assert (identity.uid, identity.gid, identity.pid) == (os.getuid(), os.getgid(), os.getpid())
            assert identity.is_agent_of is None

    run(scenario())


def test_what_is_pending_fails_when_the_connection_ends(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            kept = [connection.request("Keep", None) for _ in range(3)]
            connection.notify("unrelated")
            bye = connection.request("Bye")
            for future in [*kept, bye]:
                with pytest.raises(Unreachable, match="closed the connection"):
                    await future
            with pytest.raises(Unreachable):
                await connection.request("Echo", "too late")
            place.handler.kept[0].reply("nobody listens")
            assert isinstance(await connection.wait_closed(), Unreachable)

    run(scenario())


def test_the_handler_hears_of_each_end_once(run: Run, serving: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            for _ in range(3):
                (await place.dial()).close()
            await wait_until(lambda: len(place.handler.closed) == 3 and not place.server.connections)
            assert len(place.handler.connected) == 3

    run(scenario())


def test_a_reply_that_does_not_come_fails_at_its_deadline(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            with pytest.raises(Unreachable, match=r"Keep: no reply in 0.01 s"):
                await connection.request("Keep", None, deadline_s=0.01)
            place.handler.kept[0].reply("late")
            assert decode(await connection.request("Echo", "unharmed")) == "unharmed"

    run(scenario())


def test_requests_beyond_the_bound_are_refused_and_the_others_are_served(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving(Limits(requests_in_flight_max=10)) as place:
            connection = await place.dial()
            kept = [connection.request("Keep", None) for _ in range(10)]
            with pytest.raises(RequestError, match="10 requests of this connection are in flight") as caught:
                await connection.request("Echo", 1)
            assert caught.value.code == "too_many_requests"
            for responder in place.handler.kept:
                responder.reply("done")
            assert [decode(reply) for reply in await asyncio.gather(*kept)] == ["done"] * 10
            assert decode(await connection.request("Echo", 1)) == 1

    run(scenario())


def test_our_own_requests_are_bounded_too(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial(limits=Limits(requests_in_flight_max=1))
            first = connection.request("Echo", 1)
            with pytest.raises(RequestError, match="1 requests are in flight"):
                await connection.request("Echo", 2)
            assert decode(await first) == 1

    run(scenario())


def test_a_long_stream_waits_for_its_reader(run: Run, serving: Any, wait_until: Any, raw: Any, frame: Any) -> None:
    """A producer that awaits wait_drained never queues more than a few pieces."""

    async def scenario() -> None:
        async with serving(Limits(queued_bytes_max=1024 * 1024)) as place:
            reader = raw(place.path)
            reader.sendall(frame(0, 1, "Keep"))
            await wait_until(lambda: place.handler.kept)
            (responder,) = place.handler.kept
            received = asyncio.get_running_loop().run_in_executor(None, _read_all, reader)
            for _ in range(100):
                responder.part(b"x" * 100_000)
                await responder.connection.wait_drained()
            responder.reply()
            responder.connection.close()
            assert await received > 100 * 100_000

    run(scenario())


def test_a_held_connection_reads_on_after_it_was_resumed(run: Run, serving: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            kept = connection.request("Keep", None)
            await wait_until(lambda: place.handler.kept)
            (responder,) = place.handler.kept
            responder.connection.hold()
            echoes = [connection.request("Echo", index) for index in range(10)]
            responder.reply("first")
            assert decode(await kept) == "first"
            assert not any(echo.done() for echo in echoes)
            responder.connection.resume()
            assert [decode(reply) for reply in await asyncio.gather(*echoes)] == list(range(10))

    run(scenario())


def test_stopping_the_server_ends_its_connections_and_removes_its_socket(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        import os

        async with serving() as place:
            connection = await place.dial()
            await place.server.stop()
            assert isinstance(await connection.wait_closed(), Unreachable)
            assert not os.path.exists(place.path)

    run(scenario())


def _read_all(reader: Any) -> int:
    count = 0
    while data := reader.recv(65536):
        count += len(data)
    return count
