"""The user's terminal while a task has it (--pty): raw, its size told on, given back as it was."""

from __future__ import annotations

import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INPUT = termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
_INPUT |= termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
_LOCAL = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN


class Terminal:
    """The terminal at stdin, raw between enter and exit."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = None

    def __enter__(self) -> Terminal:
        self._saved = termios.tcgetattr(0)
        raw = termios.tcgetattr(0)
        raw[0] &= ~_INPUT
        raw[1] &= ~termios.OPOST
        raw[2] = (raw[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
        raw[3] &= ~_LOCAL
        raw[6] = [*raw[6]]
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSANOW, raw)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
            except termios.error:
                # The terminal has hung up.
                return


def size() -> tuple[int, int]:
    """Return (rows, columns) of the terminal at stdin."""
    columns, rows = os.get_terminal_size(0)
    return rows, columns
