"""Who listens to a step beside its srun (sattach): they get the same frames from when they come, and may type.

They have none of srun's rights: their end, or the end of their input, changes nothing, and their signals are not
passed on.  Nor do they slow the step down: one that does not read is let go of once UNREAD_MAX bytes wait for it.
"""

from __future__ import annotations

import select
import socket
import time

from sluice.wire.messages import Message, StepTalk, TaskInput, TerminalSize
from sluiced.stdio.srun_link import SrunLink

UNREAD_MAX = 16 * 1024 * 1024
_TOO_SLOW = StepTalk(text="sattach: error: more output waits than is kept for a listener; attach again")
#: For all of them together to read the rest once the step has ended, and for each to close.
_DRAIN_S = 5.0
_LINGER_S = 1.0
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Attached:
    """The listeners of one step on this node."""

    def __init__(self) -> None:
        self._links: dict[int, SrunLink] = {}
        #: Those that get no more than what waits for them.
        self._let_go: set[int] = set()

    def __contains__(self, fd: int) -> bool:
        return fd in self._links

    def add(self, connection: socket.socket, greeting: list[Message]) -> None:
        """Take a listener, who first gets the *greeting*: what it has missed."""
        link = SrunLink(connection)
        self._links[link.fileno()] = link
        for message in greeting:
            link.notify(message)
        self._flush(link)

    def notify(self, message: Message) -> None:
        for fd, link in self._links.items():
            if fd in self._let_go:
                continue
            if link.unsent > UNREAD_MAX:
                self._let_go.add(fd)
                link.notify(_TOO_SLOW)
            else:
                link.notify(message)

    def poll_events(self, is_input_wanted: bool) -> dict[int, int]:
        """Return what to poll each listener for."""
        return {fd: link.wanted_events(is_input_wanted) for fd, link in self._links.items()}

    def on_event(self, fd: int, events: int) -> list[Message]:
        """Return what a listener sends that counts."""
        link = self._links[fd]
        said = link.receive() if events & (select.POLLIN | _GONE) else []
        if events & select.POLLOUT or link.is_gone:
            self._flush(link)
        return [message for message in said if _counts(message)]

    def close(self) -> None:
        """Let them read the rest, for a bounded time."""
        ends_at = time.monotonic() + _DRAIN_S
        while waiting := [link for link in self._links.values() if not link.is_drained]:
            left_s = ends_at - time.monotonic()
            if left_s <= 0 or not (ready := select.select([], waiting, [], left_s)[1]):
                break
            for link in ready:
                self._flush(link)
        for link in list(self._links.values()):
            self._drop(link)

    def _flush(self, link: SrunLink) -> None:
        link.flush()
        if link.is_gone or (link.is_drained and link.fileno() in self._let_go):
            self._drop(link)

    def _drop(self, link: SrunLink) -> None:
        del self._links[link.fileno()]
        self._let_go.discard(link.fileno())
        if not link.is_drained:
            link.lose()
        link.close(_LINGER_S)


def _counts(message: Message) -> bool:
    return isinstance(message, TerminalSize) or (isinstance(message, TaskInput) and not message.is_end)
