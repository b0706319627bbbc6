"""Signals as things to read: a command that polls sees them beside its sockets, one after the other.

    with Inbox((SIGINT, SIGTERM)) as inbox:
        poller.register(inbox, POLLIN)
        ...
        while number := inbox.next():

Where nothing polls, Raising makes an exception of them.

The numbers are Linux's; the signal module would cost every start its enumerations.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGTERM = 1, 2, 3, 9, 10, 12, 15
SIGPIPE, SIGCHLD, SIGCONT, SIGTTIN, SIGTTOU, SIGWINCH, SIGXFSZ = 13, 17, 18, 21, 22, 28, 25


_HANDLED = (SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD, SIGCONT, SIGTTIN, SIGTTOU, SIGWINCH)


#: Those by which a user ends a command.
ENDING = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)


class Interrupted(Exception):
    """A signal came while the command was at something that it must not simply be ended at."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number

    @property
    def status(self) -> int:
        """The exit status of a command that ends for it."""
        return 128 + self.number


class Raising:
    """Lets the ending signals raise Interrupted wherever no inbox collects them; one that is ignored stays so."""

    def __enter__(self) -> Raising:
        self._previous = {
            number: _signal.signal(number, _interrupt)
            for number in ENDING
            if _signal.getsignal(number) != _signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            _signal.signal(number, handler)


class Inbox:
    """Collects signals from its making to its close; then they are handled as before."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._taken: list[int] = []
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = {number: _signal.signal(number, _ignore) for number in numbers}
        self._previous_fd: int = _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def __enter__(self) -> Inbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._reader

    def next(self) -> int:
        """Return the next signal that came, 0 when there is none.  Ask until 0 before polling again."""
        if not self._taken:
            try:
                self._taken = [number for number in os.read(self._reader, 512) if number in self._previous]
            except BlockingIOError:
                return 0
        return self._taken.pop(0) if self._taken else 0

    def close(self) -> None:
        _signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            _signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)


def describe(number: int) -> str:
    """Return the C library's word for a signal: Killed, Segmentation fault."""
    try:
        text: str | None = _signal.strsignal(number)
    except ValueError:
        text = None
    return text or f"Unknown signal {number}"


def restore_defaults() -> None:
    """Give a child that will run another program the signals as the system has them."""
    for number in (*_HANDLED, SIGPIPE, SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)


def ignore(number: int) -> None:
    _signal.signal(number, _signal.SIG_IGN)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)


def _ignore(number: int, frame: object) -> None:
    """The wake-up descriptor has it already."""
