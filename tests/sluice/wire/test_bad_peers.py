"""Peers that do wrong: each ends its own connection, is told why, and a good one beside it is served on."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.errors import ProtocolMismatch, Unreachable
from sluice.wire.framing import FRAME_SIZE_MAX, pack_length
from sluice.wire.limits import Limits

Run = Callable[[Any], Any]


def last_error(bad: socket.socket) -> dict[str, Any]:
    """Read to the end and return the body of the ERROR that stands there."""
    data = b""
    while chunk := bad.recv(65536):
        data += chunk
    size = int.from_bytes(data[:4], "big")
    assert len(data) == 4 + size, "exactly one frame came"
    version, kind, id, _, body = msgspec.msgpack.decode(data[4:])
    assert (version, kind, id) == (1, 2, 0)
    assert isinstance(body, dict)
    return body


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def assert_answers(good: Any) -> None:
    assert msgspec.msgpack.decode(await good.request("Echo", "still here")) == "still here"


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (pack_length(FRAME_SIZE_MAX + 1), "frame_too_large", "limit here is 16777216"),
        (b"GET / HTTP/1.1\r\n\r\n", "frame_too_large", "limit"),
        (pack_length(0), "frame_empty", "empty frame"),
        (pack_length(5) + b"\xc1\xc1\xc1\xc1\xc1", "garbage", "not a frame"),
        (pack_length(4) + b"\x93\x02\x00\xc0", "protocol_mismatch", "version 2, this side speaks 1 to 1"),
        (pack_length(7) + b"\x95\x01\x00\x00\xa1x\xc0", "garbage", "id 0, which is in use"),
        (pack_length(8) + b"\x95\x01\x02\x00\xa1x\x91\xc0", "garbage", "malformed ErrorBody"),
    ],
    ids=["too large", "another protocol", "empty", "no msgpack", "another version", "request without id", "bad error"],
)
def test_what_is_no_frame_ends_the_connection_with_the_reason(
    run: Run, serving: Any, raw: Any, data: bytes, code: str, text: str
) -> None:
    async def scenario() -> None:
        async with serving() as place:
            good, bad = await place.dial(), raw(place.path)
            bad.sendall(data)
            error = await in_thread(last_error, bad)
            assert error["code"] == code
            assert text in error["message"]
            await assert_answers(good)

    run(scenario())


def test_a_truncated_frame_is_told_so(run: Run, serving: Any, raw: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            good, bad = await place.dial(), raw(place.path)
            bad.sendall(pack_length(100) + b"only this")
            bad.shutdown(socket.SHUT_WR)
            error = await in_thread(last_error, bad)
            assert "truncated frame: end after 13 bytes" in error["message"]
            await assert_answers(good)

    run(scenario())


def test_an_id_in_use_may_not_be_used_again(run: Run, serving: Any, raw: Any, frame: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            bad = raw(place.path)
            bad.sendall(frame(0, 5, "Keep") * 2)
            assert "id 5, which is in use" in (await in_thread(last_error, bad))["message"]

    run(scenario())


def test_replies_to_nothing_are_ignored(run: Run, serving: Any, raw: Any, frame: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            peer = raw(place.path)
            peer.sendall(frame(1, 77, "x") + frame(4, 78, "x") + frame(2, 79, "x", {"code": "c"}) + frame(3, 0, "Hi"))
            await wait_until(lambda: place.handler.notices)
            assert len(place.server.connections) == 1

    run(scenario())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.binary(max_size=2000) | st.binary(max_size=200).map(lambda data: pack_length(len(data)) + data)))
def test_random_bytes_never_disturb_the_others(run: Run, serving: Any, raw: Any, chunks: list[bytes]) -> None:
    async def scenario() -> None:
        async with serving(Limits(linger_deadline_s=0.05)) as place:
            good, bad = await place.dial(), raw(place.path)
            for chunk in chunks:
                try:
                    bad.sendall(chunk)
                except (BrokenPipeError, ConnectionResetError):
                    break
                await assert_answers(good)
            bad.close()
            await assert_answers(good)

    run(scenario())


def test_a_frame_that_drips_ends_at_its_deadline(run: Run, serving: Any, raw: Any) -> None:
    """Each byte comes in time; the frame does not."""

    async def scenario() -> None:
        async with serving(Limits(frame_deadline_s=0.05, linger_deadline_s=0.05)) as place:
            good, bad = await place.dial(), raw(place.path)
            bad.sendall(pack_length(10_000_000))
            reading = asyncio.ensure_future(in_thread(last_error, bad))
            while not reading.done():
                if not place.handler.closed:
                    bad.send(b"x")
                await assert_answers(good)
            assert (await reading)["code"] == "frame_too_slow"

    run(scenario())


def test_frames_in_pieces_are_no_offence_while_each_is_complete_in_time(
    run: Run, serving: Any, raw: Any, frame: Any, wait_until: Any
) -> None:
    async def scenario() -> None:
        async with serving() as place:
            slow = raw(place.path)
            for byte in frame(3, 0, "Hello", {"a": 1}):
                slow.sendall(bytes([byte]))
                await asyncio.sleep(0)
            await wait_until(lambda: place.handler.notices)
            assert place.handler.notices == [("Hello", {"a": 1})]

    run(scenario())


def test_a_reader_too_slow_for_its_queue_is_cut_off(
    run: Run, serving: Any, raw: Any, frame: Any, wait_until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with serving(Limits(queued_bytes_max=1_000_000)) as place:
            good, bad = await place.dial(), raw(place.path)
            bad.setblocking(False)
            bad.sendall(b"".join(frame(0, id, "Blob", {"size": 100_000}) for id in range(1, 101)))
            await wait_until(lambda: place.handler.closed and len(place.server.connections) == 1)
            await assert_answers(good)
            assert isinstance(place.handler.closed[0], Unreachable)

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert "cut off, reads too slowly" in caplog.text


def test_a_reader_that_stopped_is_cut_off_at_the_deadline(
    run: Run, serving: Any, raw: Any, frame: Any, wait_until: Any
) -> None:
    async def scenario() -> None:
        async with serving(Limits(drain_deadline_s=0.05)) as place:
            good, bad = await place.dial(), raw(place.path)
            bad.sendall(frame(0, 1, "Blob", {"size": 10_000_000}))
            await wait_until(lambda: place.handler.closed and len(place.server.connections) == 1)
            await assert_answers(good)
            assert "its buffer was full for 0.05 s" in str(place.handler.closed[0])

    run(scenario())


def test_a_refused_peer_that_stays_is_cut_off(run: Run, serving: Any, raw: Any, wait_until: Any) -> None:
    async def scenario() -> None:
        async with serving(Limits(linger_deadline_s=0.05)) as place:
            bad = raw(place.path)
            bad.sendall(pack_length(0))
            await wait_until(lambda: place.handler.closed)
            await wait_until(lambda: not place.server.connections)

    run(scenario())


def test_a_client_is_told_what_it_did_wrong(run: Run, serving: Any) -> None:
    async def scenario() -> None:
        async with serving() as place:
            connection = await place.dial()
            kept = connection.request("Keep", None)
            connection.transport.write(pack_length(0))
            with pytest.raises(ProtocolMismatch, match="the peer closed the connection: empty frame"):
                await kept

    run(scenario())


def test_strangers_cannot_flood_the_log(run: Run, serving: Any, raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving() as place:
            for _ in range(50):
                bad = raw(place.path)
                bad.sendall(pack_length(0))
                await in_thread(last_error, bad)

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert caplog.text.count("refused code=frame_empty") == 10


def test_a_handler_that_fails_does_not_end_the_connection(
    run: Run, serving: Any, make_echo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(make_echo):  # type: ignore[misc]
        def on_connected(self, connection: Any) -> None:
            raise RuntimeError("a bug of ours")

        def on_notice(self, connection: Any, envelope: Any) -> None:
            raise RuntimeError("a bug of ours")

    async def scenario() -> None:
        async with serving(handler=Broken()) as place:
            connection = await place.dial()
            connection.notify("Heartbeat")
            await assert_answers(connection)

    run(scenario())
    assert caplog.text.count("RuntimeError: a bug of ours") == 2
