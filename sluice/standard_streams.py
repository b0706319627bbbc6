"""A program's standard streams: there from its beginning, and no success where its output is lost.

A light module: commands import it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeVar

    T = TypeVar("T")

#: The exit status when stdout cannot be written.
LOST_EXIT = 1


def open_closed() -> None:
    """Put the null device where stdin, stdout or stderr is closed; as stdout it takes no data, so that none are lost.

    What is opened next, a socket perhaps, would otherwise get the number and what is said to the user.
    """
    for descriptor, mode in ((0, os.O_RDWR), (1, os.O_RDONLY), (2, os.O_RDWR)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)
    if sys.stdout is None:
        # What prints by Python's own stream is to fail as well, where it would print nothing and be content.
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


def run_printing(program: str, main: Callable[[], T]) -> T:
    """Return what *main* returns once all that it printed is written.

    Exits with one line on stderr when that cannot be, in silence when its reader went away.
    """
    open_closed()
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _leave(0)
    except OSError as error:
        # One with a file is not of the output.
        if error.filename is not None:
            raise
        try:
            os.write(2, f"{program}: error: {lost(error)}\n".encode())
        finally:
            _leave(LOST_EXIT)


def lost(error: OSError) -> str:
    """Return the words for output that could not be written."""
    return f"stdout cannot be written: {error.strerror}"


def discard_output() -> None:
    """Send what is still printed nowhere: the interpreter would complain once more when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _leave(status: int) -> NoReturn:
    discard_output()
    raise SystemExit(status) from None
