"""One forwarding: clients of the display as channels of the connection, driven without a step."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.wire.envelope import decode_body
from sluice.wire.framing import CONNECTION_ID, NOTICE
from sluice.wire.messages import Message, X11Close, X11Data, X11Open, X11Ready
from sluiced.frame_socket import FrameSocket
from sluiced.steps.user import load_user
from sluiced.x11 import forward as module
from sluiced.x11.forward import Forward
from sluiced.x11.xauthority import OwnFile
from tests.waiting import wait_until

_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (X11Ready, X11Open, X11Data, X11Close)}


class Srun:
    """The other end; pump() lets the forwarding do what is due."""

    def __init__(self, folder: Path) -> None:
        theirs, own = socket.socketpair()
        self.link = FrameSocket(own)
        user = load_user(os.geteuid(), os.getegid(), "me")
        self.forward = Forward(theirs, lambda number: OwnFile(str(folder), "7.extern", user, number, b"cookie"))
        self.heard: list[Message] = []

    def send(self, message: Message) -> None:
        self.link.append(NOTICE, CONNECTION_ID, type(message).__name__, message)

    def pump(self) -> None:
        self.link.flush()
        poller = select.poll()
        for descriptor, events in self.forward.poll_events().items():
            poller.register(descriptor, events)
        for descriptor, events in poller.poll(20):
            if descriptor in self.forward:
                self.forward.on_event(descriptor, events)
        if not self.link.is_gone and select.select([self.link], [], [], 0)[0]:
            for envelope in self.link.receive_envelopes():
                self.heard.append(decode_body(envelope.body, _KINDS[envelope.name]))

    def wait_heard(self, message: Message) -> None:
        wait_until(lambda: self.pump() or message in self.heard)  # type: ignore[func-returns-value]

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", 6000 + self.forward.number), 5)
        client.settimeout(5)
        return client


@pytest.fixture
def srun(tmp_path: Path) -> Iterator[Srun]:
    made = Srun(tmp_path)
    yield made
    made.forward.close()
    made.link.close()


def test_it_tells_first_where_clients_find_the_display(srun: Srun) -> None:
    srun.wait_heard(X11Ready(number=srun.forward.number, xauthority=srun.forward.xauthority))
    assert b"cookie" in Path(srun.forward.xauthority).read_bytes()


def test_each_client_is_a_channel(srun: Srun) -> None:
    with srun.connect() as first, srun.connect() as second:
        srun.wait_heard(X11Open(channel=2))
        first.sendall(b"one")
        second.sendall(b"two")

        srun.wait_heard(X11Data(channel=1, data=b"one"))
        srun.wait_heard(X11Data(channel=2, data=b"two"))


def test_what_the_display_says_reaches_its_client_and_then_its_end(srun: Srun) -> None:
    with srun.connect() as client:
        srun.wait_heard(X11Open(channel=1))
        srun.send(X11Data(channel=1, data=b"no"))
        srun.send(X11Close(channel=1))
        srun.pump()

        assert client.recv(100) == b"no"
        assert client.recv(100) == b""


def test_a_client_that_goes_is_told_once(srun: Srun) -> None:
    srun.connect().close()

    srun.wait_heard(X11Close(channel=1))
    srun.send(X11Data(channel=1, data=b"late"))
    srun.send(X11Close(channel=1))
    srun.pump()

    assert srun.heard.count(X11Close(channel=1)) == 1
    assert not srun.forward.is_gone


def test_a_client_that_does_not_read_is_let_go_of(srun: Srun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNREAD_MAX", 1000)
    with srun.connect():
        srun.wait_heard(X11Open(channel=1))
        for _ in range(100):
            srun.send(X11Data(channel=1, data=bytes(1 << 17)))

        srun.wait_heard(X11Close(channel=1))


def test_clients_wait_while_the_connection_is_full(srun: Srun) -> None:
    """Nothing grows without bound, and nothing is lost."""
    with srun.connect() as client:
        client.setblocking(False)
        sent = 0
        while sent < 8 << 20:
            try:
                sent += client.send(bytes(1 << 16))
            except BlockingIOError:
                break
            for descriptor, events in srun.forward.poll_events().items():
                if select.select([descriptor], [], [], 0)[0] and events & select.POLLIN:
                    srun.forward.on_event(descriptor, select.POLLIN)
        assert sent < 8 << 20
        wait_until(lambda: srun.pump() or sum(_sizes(srun)) == sent, 20)  # type: ignore[func-returns-value]


def _sizes(srun: Srun) -> list[int]:
    return [len(each.data) for each in srun.heard if isinstance(each, X11Data)]


def test_a_peer_that_is_no_srun_ends_it(srun: Srun) -> None:
    with srun.connect():
        srun.wait_heard(X11Open(channel=1))
        srun.link.append(NOTICE, CONNECTION_ID, "X11Data", {"channel": "x"})

        wait_until(lambda: srun.pump() or srun.forward.is_gone)  # type: ignore[func-returns-value]


def test_nothing_of_it_is_left(srun: Srun) -> None:
    srun.link.close()
    wait_until(lambda: srun.pump() or srun.forward.is_gone)  # type: ignore[func-returns-value]

    srun.forward.close()

    assert not Path(srun.forward.xauthority).exists()
    with pytest.raises(ConnectionRefusedError):
        srun.connect()
