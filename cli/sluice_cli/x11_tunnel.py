"""The tunnel of --x11: a process beside srun or salloc that carries X clients from the nodes to the display.

It ends with them, or once no node forwards any more.  Each client shows the cookie that was made for the nodes; here it
is exchanged for that of the display, and a client that shows another one is refused.  So the display is open to nobody
who only reaches the port on the node.

Memory is bounded: while the display does not take what is there for it, no node is read.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import select
import signal
import struct

from sluice.errors import PeerError
from sluice.wire.framing import CONNECTION_ID, NOTICE
from sluice_cli.talk import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import Any

    from sluice.wire.light_connection import LightConnection
    from sluice_cli.x11_display import Display

_CHUNK = 64 * 1024
_UNSENT_MAX = 1024 * 1024
_COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
_WRONG_COOKIE = b"sluice: X11 connection with a wrong cookie refused\n"


def start(connections: Sequence[LightConnection], display: Display, cookie: bytes, made_up: bytes) -> int:
    """Start the tunnel; return a descriptor that keeps it alive.  made_up: the cookie that the nodes have."""
    watched, alive = os.pipe()
    child = os.fork()
    if child:
        os.close(watched)
        os.waitpid(child, 0)
        return alive
    try:
        # Nobody's child: srun and salloc wait for what they have started.
        if os.fork() == 0:
            os.close(alive)
            _set_up()
            Tunnel(connections, display, cookie, made_up, watched).run()
    finally:
        os._exit(0)


def _set_up() -> None:
    """Signals at the terminal are not for this process, and nobody waits for its streams' end."""
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)


class WrongCookie(Exception):
    """The client has not shown the cookie that was made for the nodes.  reply: what the X protocol says then."""

    def __init__(self, reply: bytes) -> None:
        super().__init__("wrong cookie")
        self.reply = reply


class Introduction:
    """A client's first words, until the cookie in them is whole."""

    def __init__(self, cookie: bytes, made_up: bytes) -> None:
        self._cookie = cookie
        self._made_up = made_up
        self._kept = b""

    def feed(self, data: bytes) -> bytes | None:
        """Return the client's words with the display's own cookie; None: they are not whole.  Raises WrongCookie."""
        self._kept += data
        if len(self._kept) < 12:
            return None
        order = {b"B": ">", b"l": "<"}.get(self._kept[:1])
        if order is None:
            raise WrongCookie(b"")
        major, minor, name_size, data_size = struct.unpack(order + "4H", self._kept[2:10])
        data_at = 12 + _padded(name_size)
        ends_at = data_at + _padded(data_size)
        if len(self._kept) < ends_at:
            return None
        name, shown = self._kept[12 : 12 + name_size], self._kept[data_at : data_at + data_size]
        if name != _COOKIE_NAME or not hmac.compare_digest(shown, self._made_up):
            raise WrongCookie(_refusal(order, major, minor))
        head = self._kept[:6] + struct.pack(order + "HH", len(_COOKIE_NAME), len(self._cookie)) + self._kept[10:12]
        return head + _pad(_COOKIE_NAME) + _pad(self._cookie) + self._kept[ends_at:]


def _refusal(order: str, major: int, minor: int) -> bytes:
    """Return the X server's way to say no at the start."""
    reason = _pad(_WRONG_COOKIE)
    return struct.pack(order + "BBHHH", 0, len(_WRONG_COOKIE), major, minor, len(reason) // 4) + reason


def _padded(size: int) -> int:
    return (size + 3) // 4 * 4


def _pad(data: bytes) -> bytes:
    return data.ljust(_padded(len(data)), b"\0")


class _Channel:
    """One X client and its connection to the display, once it has introduced itself."""

    def __init__(self, link: LightConnection, number: int, introduction: Introduction) -> None:
        self.link = link
        self.number = number
        self.introduction: Introduction | None = introduction
        self.own: socket.socket | None = None
        self.unsent = bytearray()
        self.is_ending = False


class Tunnel:
    """Relays until *watched* ends or every node has gone."""

    def __init__(
        self, links: Sequence[LightConnection], display: Display, cookie: bytes, made_up: bytes, watched: int
    ) -> None:
        self._links = {link.fileno(): link for link in links}
        self._display = display
        self._cookie = cookie
        self._made_up = made_up
        self._watched = watched
        self._channels: dict[tuple[int, int], _Channel] = {}
        self._by_socket: dict[int, _Channel] = {}

    def run(self) -> None:
        # They may have read ahead.
        for descriptor in list(self._links):
            self._receive(descriptor)
        while self._links:
            for descriptor, events in self._poll():
                if descriptor == self._watched:
                    return
                if descriptor in self._links:
                    self._on_link(descriptor, events)
                elif descriptor in self._by_socket:
                    self._on_display(self._by_socket[descriptor], events)
            for descriptor in list(self._links):
                self._flush(descriptor)

    def _poll(self) -> list[tuple[int, int]]:
        poller = select.poll()
        poller.register(self._watched, select.POLLIN)
        is_full = any(len(channel.unsent) >= _UNSENT_MAX for channel in self._by_socket.values())
        for descriptor, link in self._links.items():
            poller.register(descriptor, (0 if is_full else select.POLLIN) | (select.POLLOUT if link.unsent else 0))
        for descriptor, channel in self._by_socket.items():
            reading = select.POLLIN if channel.link.unsent < _UNSENT_MAX and not channel.is_ending else 0
            poller.register(descriptor, reading | (select.POLLOUT if channel.unsent else 0))
        return poller.poll()

    # Nodes.

    def _on_link(self, descriptor: int, events: int) -> None:
        if events & ~select.POLLOUT:
            self._receive(descriptor)

    def _receive(self, descriptor: int) -> None:
        try:
            frames = self._links[descriptor].receive_nowait()
        except PeerError:
            self._lose(descriptor)
            return
        for _, _, name, body in frames:
            self._on_notice(descriptor, name, body)

    def _flush(self, descriptor: int) -> None:
        try:
            self._links[descriptor].flush_nowait()
        except PeerError:
            self._lose(descriptor)

    def _lose(self, descriptor: int) -> None:
        """The node forwards no more."""
        for key in [key for key in self._channels if key[0] == descriptor]:
            self._drop(self._channels[key])
        del self._links[descriptor]

    def _on_notice(self, descriptor: int, name: str, body: dict[str, Any]) -> None:
        key = (descriptor, body.get("channel", 0))
        if name == "X11Open":
            introduction = Introduction(self._cookie, self._made_up)
            self._channels[key] = _Channel(self._links[descriptor], key[1], introduction)
        elif (channel := self._channels.get(key)) is None:
            # What was on its way when the channel ended.
            return
        elif name == "X11Data":
            self._take(channel, body["data"])
        elif name == "X11Close":
            channel.is_ending = True
            self._write(channel)

    def _take(self, channel: _Channel, data: bytes) -> None:
        if channel.introduction is not None:
            try:
                words = channel.introduction.feed(data)
                if words is None:
                    return
                self._open(channel)
            except WrongCookie as refusal:
                plain("X11 connection rejected because of wrong authentication.")
                self._refuse(channel, refusal.reply)
                return
            except OSError as error:
                plain(f"X11: display {self._display.text}: {error.strerror or error}")
                self._refuse(channel, b"")
                return
            channel.introduction = None
            data = words
        channel.unsent += data
        self._write(channel)

    def _open(self, channel: _Channel) -> None:
        channel.own = self._display.connect()
        channel.own.setblocking(False)
        self._by_socket[channel.own.fileno()] = channel

    def _refuse(self, channel: _Channel, reply: bytes) -> None:
        if reply:
            self._tell(channel, "X11Data", {"data": reply})
        self._end(channel)

    # The display.

    def _on_display(self, channel: _Channel, events: int) -> None:
        if events & select.POLLOUT:
            self._write(channel)
        if channel.own is None or not events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            return
        try:
            data = channel.own.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._tell(channel, "X11Data", {"data": data})
        else:
            self._end(channel)

    def _write(self, channel: _Channel) -> None:
        try:
            while channel.unsent and channel.own is not None:
                del channel.unsent[: channel.own.send(memoryview(channel.unsent)[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            self._end(channel)
            return
        if channel.is_ending:
            self._drop(channel)

    def _tell(self, channel: _Channel, name: str, body: dict[str, Any]) -> None:
        channel.link.queue(NOTICE, CONNECTION_ID, name, {"channel": channel.number, **body})

    def _end(self, channel: _Channel) -> None:
        if not channel.is_ending:
            self._tell(channel, "X11Close", {})
        self._drop(channel)

    def _drop(self, channel: _Channel) -> None:
        self._channels.pop((channel.link.fileno(), channel.number), None)
        if channel.own is not None:
            del self._by_socket[channel.own.fileno()]
            with contextlib.suppress(OSError):
                channel.own.close()
            channel.own = None
