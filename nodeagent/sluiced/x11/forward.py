"""One forwarding of X11: who connects to the display here is a channel of the connection to srun or salloc.

Nothing is judged here: the other end checks each client's cookie, for it alone can open the display.

Memory is bounded: while the connection is full, clients are not read; a client that does not read what the display
sends it is let go of.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Protocol

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.framing import CONNECTION_ID, NOTICE
from sluice.wire.messages import Message, X11Close, X11Data, X11Open, X11Ready
from sluiced.frame_socket import FrameSocket
from sluiced.x11.display import take_display

_CHUNK = 64 * 1024
_UNSENT_MAX = 1024 * 1024
_UNREAD_MAX = 16 * 1024 * 1024
CLIENTS_MAX = 256
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class CookieFile(Protocol):
    """Where clients find the cookie."""

    path: str

    def remove(self) -> None: ...


class _Client:
    """One X client.  is_ending: the display has closed; it gets what is left."""

    __slots__ = ("channel", "is_ending", "own", "unread")

    def __init__(self, channel: int, own: socket.socket) -> None:
        self.channel = channel
        self.own = own
        self.unread = bytearray()
        self.is_ending = False


class _Link(FrameSocket):
    """The connection to srun or salloc."""

    @property
    def is_full(self) -> bool:
        return len(self._out) >= _UNSENT_MAX

    def notify(self, message: Message) -> None:
        self.append(NOTICE, CONNECTION_ID, type(message).__name__, message)


class Forward:
    """Begins at once.  make_file: gives the file for the cookie of a display number.  Raises OSError."""

    def __init__(self, connection: socket.socket, make_file: Callable[[int], CookieFile]) -> None:
        self._clients: dict[int, _Client] = {}
        self._by_channel: dict[int, _Client] = {}
        self._last_channel = 0
        self.number, listeners = take_display()
        self._listeners = {each.fileno(): each for each in listeners}
        try:
            self._file = make_file(self.number)
        except OSError:
            for each in listeners:
                each.close()
            raise
        self._link = _Link(connection)
        self._link.notify(X11Ready(number=self.number, xauthority=self.xauthority))
        self._link.flush()

    @property
    def xauthority(self) -> str:
        """Return the path of the file with the cookie."""
        return self._file.path

    @property
    def is_gone(self) -> bool:
        return self._link.is_gone

    def __contains__(self, descriptor: int) -> bool:
        return descriptor in self._listeners or descriptor in self._clients or descriptor == self._link.fileno()

    def poll_events(self) -> dict[int, int]:
        link = select.POLLIN | select.POLLRDHUP | (0 if self._link.is_drained else select.POLLOUT)
        listening = select.POLLIN if len(self._clients) < CLIENTS_MAX else 0
        events = {self._link.fileno(): link} | dict.fromkeys(self._listeners, listening)
        for descriptor, client in self._clients.items():
            reading = 0 if self._link.is_full or client.is_ending else select.POLLIN
            events[descriptor] = reading | (select.POLLOUT if client.unread else 0)
        return events

    def on_event(self, descriptor: int, events: int) -> None:
        if descriptor in self._listeners:
            self._accept(self._listeners[descriptor])
        elif descriptor in self._clients:
            self._on_client(self._clients[descriptor], events)
        elif descriptor == self._link.fileno() and events & (select.POLLIN | _GONE):
            for envelope in self._link.receive_envelopes():
                self._on_notice(envelope)
        self._link.flush()

    def close(self) -> None:
        """End it: nothing is left of it on the node but clients that see their display closed."""
        for each in (*self._listeners.values(), *(client.own for client in self._clients.values())):
            each.close()
        # Whoever sees that the cookie is gone finds nobody listening.
        self._file.remove()
        self._link.close()

    # Clients.

    def _accept(self, listener: socket.socket) -> None:
        try:
            own, _ = listener.accept()
        except OSError:
            # It has gone already.
            return
        own.setblocking(False)
        self._last_channel += 1
        client = _Client(self._last_channel, own)
        self._clients[own.fileno()] = self._by_channel[client.channel] = client
        self._link.notify(X11Open(channel=client.channel))

    def _on_client(self, client: _Client, events: int) -> None:
        if events & select.POLLOUT:
            self._write(client)
        if client.channel in self._by_channel and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._read(client)

    def _read(self, client: _Client) -> None:
        try:
            data = client.own.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._link.notify(X11Data(channel=client.channel, data=data))
        else:
            self._end(client)

    def _write(self, client: _Client) -> None:
        try:
            while client.unread:
                del client.unread[: client.own.send(memoryview(client.unread)[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            self._end(client)
            return
        if client.is_ending:
            self._drop(client)

    def _end(self, client: _Client) -> None:
        """The client is gone, or is let go of."""
        if not client.is_ending:
            self._link.notify(X11Close(channel=client.channel))
        self._drop(client)

    def _drop(self, client: _Client) -> None:
        del self._clients[client.own.fileno()], self._by_channel[client.channel]
        client.own.close()

    # The display.

    def _on_notice(self, envelope: Envelope) -> None:
        try:
            if envelope.name == "X11Data":
                message = decode_body(envelope.body, X11Data)
                client = self._by_channel.get(message.channel)
                if client is not None:
                    self._take(client, message.data)
            elif envelope.name == "X11Close":
                client = self._by_channel.get(decode_body(envelope.body, X11Close).channel)
                if client is not None:
                    client.is_ending = True
                    self._write(client)
        except SluiceError:
            # A peer that sends other bodies is not our srun.
            self._link.lose()

    def _take(self, client: _Client, data: bytes) -> None:
        client.unread += data
        if len(client.unread) > _UNREAD_MAX:
            self._end(client)
        else:
            self._write(client)


def refuse(connection: socket.socket, problem: str) -> None:
    """Tell whoever asked that nothing is forwarded, and why."""
    link = _Link(connection)
    link.notify(X11Ready(problem=problem))
    link.flush()
    link.close()
