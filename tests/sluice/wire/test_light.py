"""The commands' client against a server in another thread."""

import dataclasses
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sluice.errors import (
    AuthenticationFailed,
    InvalidRequest,
    NotFound,
    ProtocolMismatch,
    RequestError,
    Unreachable,
)
from sluice.wire import light
from sluice.wire.credentials import Claims, mint, new_nonce
from sluice.wire.framing import ERROR, PART, REPLY, REQUEST, pack_length


@dataclasses.dataclass
class Endpoints:
    controller_socket: str = ""
    controllers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    controller_port: int = 0
    agent_socket: str = ""
    key_file: str = ""


@pytest.fixture
def local(thread_server: Any) -> Iterator[light.LightConnection]:
    with light.connect(Endpoints(controller_socket=thread_server.path)) as connection:
        yield connection


@pytest.fixture
def answering(folder: Path) -> Iterator[Callable[[bytes], str]]:
    """A server that sends fixed bytes to the first who connects, then closes."""
    threads: list[threading.Thread] = []

    def serve(data: bytes) -> str:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "fixed"))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            peer.recv(65536)
            peer.sendall(data)
            peer.close()
            listener.close()

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return str(folder / "fixed")

    yield serve
    for thread in threads:
        thread.join(10)


def test_a_call_gives_the_reply(local: light.LightConnection) -> None:
    for body in ({"job_id": 7}, [1, 2.5, None, True, "é", b"\xff"], {"map": {1: 2}}, "x" * 3_000_000):
        assert local.call("Echo", body) == body


def test_errors_come_back_as_what_they_are(local: light.LightConnection) -> None:
    with pytest.raises(NotFound, match="job 7 is not known"):
        local.call("Missing", {"job_id": 7})
    with pytest.raises(RequestError, match="not known here") as caught:
        local.call("Nonsense", {})
    assert caught.value.code == "unknown_request"
    assert local.call("Echo", 1) == 1


def test_a_stream_gives_each_part_and_then_the_reply(local: light.LightConnection) -> None:
    assert list(local.stream("Count", {"count": 3})) == [{"index": 0}, {"index": 1}, {"index": 2}, {"count": 3}]


def test_a_call_skips_what_is_left_of_a_stream(local: light.LightConnection) -> None:
    next(local.stream("Count", {"count": 1000}))

    assert local.call("Echo", "mine") == "mine"


def test_no_reply_by_the_deadline_is_unreachable(local: light.LightConnection) -> None:
    with pytest.raises(Unreachable, match=r"no answer in 0.05 s"):
        local.call("Keep", None, deadline_s=0.05)


def test_an_ended_connection_is_unreachable(local: light.LightConnection) -> None:
    with pytest.raises(Unreachable):
        local.call("Bye", None)
    with pytest.raises(Unreachable):
        local.call("Echo", None)


HAND_ON = "; hand such a name on in an environment variable, in the script or by --wrap"


@pytest.mark.parametrize(
    ("body", "what", "advice"),
    [
        ({"spec": {"arguments": ["a", os.fsdecode(b"caf\xe9")]}}, r"the word 'caf\xe9'", HAND_ON),
        ({"name": os.fsdecode(b"\xe9.sh"), "argv": [os.fsdecode(b"./\xe9.sh")]}, r"the word './\xe9.sh'", HAND_ON),
        ({"name": os.fsdecode(b"\xe9.sh")}, r"the name '\xe9.sh'", "; -J gives another"),
        ({"work_dir": os.fsdecode("/tmp/é/".encode() + b"\xe9")}, r"the folder '/tmp/é/\xe9'", HAND_ON),
        ([{"spec": {"std_out": os.fsdecode(b"\xff")}}], r"--output '\xff'", HAND_ON),
        (
            {"x": ("x" * 500 + os.fsdecode(b"\xe9") + "y" * 500,)},
            "the text '" + "x" * 40 + r"\xe9" + "y" * 40 + "'",
            "",
        ),
    ],
    ids=["a word", "a program, not the name made of it", "a name", "a folder", "an option", "a long text"],
)
def test_text_that_is_not_utf8_is_refused_before_it_is_sent(
    local: light.LightConnection, body: object, what: str, advice: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        local.call("Echo", body)

    rule = "as the words, options and folders of a request have to be"
    assert caught.value.message == f"{what} is not UTF-8, {rule}{advice}"


def test_frames_for_a_poll_loop(thread_server: Any, local: light.LightConnection) -> None:
    """srun's way: queue, flush and read without waiting."""
    assert local.receive_nowait() == []
    local.queue(REQUEST, 1, "Count", {"count": 2})
    local.queue(REQUEST, 2, "Missing", {"job_id": 1})
    assert local.unsent > 0
    assert local.flush_nowait()

    frames: list[Any] = []
    while len(frames) < 4:
        assert select.select([local], [], [], 10)[0]
        frames += local.receive_nowait()

    assert [(kind, id) for kind, id, _, _ in frames] == [(PART, 1), (PART, 1), (REPLY, 1), (ERROR, 2)]
    thread_server.stop()
    assert select.select([local], [], [], 10)[0]
    with pytest.raises(Unreachable):
        local.receive_nowait()


def test_what_does_not_fit_the_socket_is_kept(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "full"))
        listener.listen()
        with light.connect_unix(str(folder / "full")) as connection:
            connection.queue(REQUEST, 1, "Echo", b"x" * 5_000_000)
            assert not connection.flush_nowait()
            assert connection.unsent > 0
            with pytest.raises(Unreachable, match=r"no answer in 0.05 s"):
                connection.send(REQUEST, 2, "Echo", None, deadline_s=0.05)


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (pack_length(2**31), ProtocolMismatch, "limit"),
        (pack_length(1) + b"\xc1", ProtocolMismatch, "not a frame"),
        (pack_length(1) + b"\x05", ProtocolMismatch, "not a frame"),
        (pack_length(2) + b"\x91\x02", ProtocolMismatch, "protocol version 2, this side speaks 1 to 1"),
        (pack_length(2) + b"\x91\x01", ProtocolMismatch, "not a frame"),
        (pack_length(100) + b"\x95", Unreachable, "closed"),
    ],
    ids=["too large", "no msgpack", "no array", "another version", "too short", "truncated"],
)
def test_a_server_that_talks_nonsense_is_named_so(
    answering: Any, data: bytes, kind: type[Exception], text: str
) -> None:
    with light.connect_unix(answering(data)) as connection, pytest.raises(kind, match=text):
        connection.call("Echo", None)


def test_the_way_by_tcp_with_the_readable_key(thread_server: Any, folder: Path) -> None:
    endpoints = Endpoints(
        controller_socket=str(folder / "absent"),
        controllers=[("backup", "127.0.0.1")],
        controller_port=thread_server.port,
        key_file=str(folder / "cluster.key"),
    )
    with light.connect(endpoints) as connection:
        assert connection.call("Whoami", None)["uid"] == os.getuid()
        assert connection.call("Echo", "again") == "again"


def test_the_way_by_tcp_with_a_credential_from_the_agent(thread_server: Any, key: bytes) -> None:
    """The server plays both parts: the agent that mints for the uid it sees, and the controller."""

    def credential_for(identity: Any, audience: str) -> str:
        claims = Claims(uid=identity.uid, gid=identity.gid, user="minted", host="n1", audience=audience)
        return mint(key, claims, time.time(), 300.0, new_nonce())

    thread_server.handler.credential_for = credential_for
    endpoints = Endpoints(
        controllers=[("ctl", "127.0.0.1")], controller_port=thread_server.port, agent_socket=thread_server.path
    )

    with light.connect(endpoints) as connection:
        assert connection.call("Whoami", None)["user"] == "minted"


def test_the_second_controller_is_asked_when_the_first_is_away(thread_server: Any, folder: Path) -> None:
    endpoints = Endpoints(
        controllers=[("ctl1", "127.0.0.2"), ("ctl2", "127.0.0.1")],
        controller_port=thread_server.port,
        key_file=str(folder / "cluster.key"),
    )

    with light.connect(endpoints) as connection:
        assert connection.peer == "ctl2"


def test_without_any_credential_it_says_what_was_tried(thread_server: Any, folder: Path) -> None:
    endpoints = Endpoints(
        controllers=[("ctl", "127.0.0.1")], controller_port=thread_server.port, agent_socket=str(folder / "absent")
    )

    with pytest.raises(AuthenticationFailed, match=r"no credential for TCP: local agent: .*absent: No such file"):
        light.connect(endpoints)


def test_a_refused_credential_is_told(thread_server: Any) -> None:
    with (
        light.connect_tcp("127.0.0.1", thread_server.port, "sl1.nonsense") as connection,
        pytest.raises(AuthenticationFailed, match="malformed credential"),
    ):
        connection.call("Echo", None)


def test_nobody_there_lists_every_way_that_was_tried(folder: Path) -> None:
    endpoints = Endpoints(
        controller_socket=str(folder / "absent"), controllers=[("ctl", "127.0.0.1")], controller_port=1
    )

    with pytest.raises(Unreachable, match=r"no controller answers: .*absent: No such file.*; ctl: .*refused"):
        light.connect(endpoints)
    with pytest.raises(Unreachable, match="none is configured"):
        light.connect(Endpoints())


def test_a_call_survives_a_restart_of_the_controller(thread_server: Any) -> None:
    """The first try finds nobody; the controller is back before the second."""
    thread_server.stop()
    waits: list[float] = []

    def on_wait(reason: Unreachable, pause_s: float) -> None:
        waits.append(pause_s)
        thread_server.start()

    reply = light.call_with_retry(
        Endpoints(controller_socket=thread_server.path), "Echo", {"token": light.new_token()}, 30.0, on_wait
    )

    assert len(reply["token"]) == 32
    assert len(waits) == 1


def test_a_request_whose_reply_was_lost_is_sent_again_with_its_token(thread_server: Any) -> None:
    waits: list[float] = []
    body = {"token": light.new_token()}

    reply = light.call_with_retry(
        Endpoints(controller_socket=thread_server.path), "DropFirst", body, 30.0, lambda _, s: waits.append(s)
    )

    assert reply == body
    assert thread_server.handler.bodies == [body, body]
    assert len(waits) == 1


def test_patience_ends(folder: Path) -> None:
    waits: list[float] = []

    with pytest.raises(Unreachable, match="no controller answers"):
        light.call_with_retry(
            Endpoints(controller_socket=str(folder / "absent")),
            "Echo",
            {},
            0.05,
            lambda _, pause_s: waits.append(pause_s),
        )
    assert waits == []


def test_what_the_controller_refuses_is_not_asked_again(thread_server: Any) -> None:
    endpoints = Endpoints(controller_socket=thread_server.path)

    with pytest.raises(NotFound):
        light.call_with_retry(endpoints, "Missing", {"job_id": 1}, 30.0, lambda *_: pytest.fail("asked again"))


def test_it_imports_nothing_heavy() -> None:
    heavy = "msgspec click typing dataclasses enum re json argparse asyncio logging pathlib subprocess socket hashlib"
    script = f"import sys, sluice.wire.light; print(*[m for m in {heavy.split()!r} if m in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []


def test_a_connection_that_cannot_say_hello_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(InvalidRequest):
            light.connect_tcp("127.0.0.1", listener.getsockname()[1], "no text \udcff")
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(10)
            assert peer.recv(1) == b""


def test_a_connection_that_a_signal_interrupts_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A command makes an exception of it, which may come while it waits for room in a full backlog."""
    made: list[socket.socket] = []

    class Interrupted(Exception):
        pass

    class Socket(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

        def connect(self, address: Any) -> None:
            raise BlockingIOError

    def interrupted(seconds: float) -> None:
        raise Interrupted

    sockets = SimpleNamespace(socket=Socket, AF_UNIX=socket.AF_UNIX, SOCK_STREAM=socket.SOCK_STREAM)
    monkeypatch.setattr(light, "_socket", sockets)
    monkeypatch.setattr(light, "time", SimpleNamespace(monotonic=time.monotonic, sleep=interrupted))
    with pytest.raises(Interrupted):
        light.connect_unix(str(tmp_path / "socket"))

    assert [each.fileno() for each in made] == [-1]
