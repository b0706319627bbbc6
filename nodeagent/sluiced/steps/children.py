"""Hearing of the end of child processes in a poll loop."""

from __future__ import annotations

import os
import signal


def watch_children() -> int:
    """Return a descriptor that is readable after any child has ended."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reader


def unwatch_children(reader: int) -> None:
    """Undo what watch_children() has done."""
    os.close(signal.set_wakeup_fd(-1))
    os.close(reader)
