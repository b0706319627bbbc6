"""A user at a terminal: a command on a pseudo terminal, typed to and read as a person would."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from typing import Self

from sluice.testing import LocalCluster

_LIMIT_S = 30.0


class Terminal:
    """command on a terminal of its own; at the end of the block it is hung up."""

    def __init__(self, cluster: LocalCluster, *command: str, env: dict[str, str] | None = None) -> None:
        self._said = ""
        self.status: int | None = None
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                os.chdir(cluster.folder)
                os.execvpe(command[0], command, cluster.env | {"PS1": "$ ", "TERM": "dumb"} | (env or {}))
            finally:
                os._exit(127)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGHUP)
            os.waitpid(self._pid, 0)

    def resize(self, rows: int, columns: int) -> None:
        """As a window manager does it."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_said(self, text: str) -> str:
        """Return what was said up to and with *text*; the rest is kept."""
        ends_at = time.monotonic() + _LIMIT_S
        while text not in self._said:
            left_s = ends_at - time.monotonic()
            if left_s <= 0 or not self._read(left_s):
                raise AssertionError(f"{text!r} was not said, but {self._said!r}")
        before, found, self._said = self._said.partition(text)
        return before + found

    def wait_ended(self) -> int:
        """Return the exit status of the command, 128 and the signal for one that ended it."""
        ends_at = time.monotonic() + _LIMIT_S
        while self._read(max(0.0, ends_at - time.monotonic())):
            pass
        status = os.waitpid(self._pid, 0)[1]
        self.status = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.status

    @property
    def rest(self) -> str:
        return self._said

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            # The other side is closed.
            return False
        self._said += data.decode(errors="replace")
        return bool(data)
