"""The notices of one step: the file with the last one, and a socket that tells any number of readers all of them.

A reader gets, as lines of JSON, every notice since the step began and then each new one as it comes, before its signal;
the end of the stream is the end of the step.  Only the job's user and root are heard.  A reader that does not read is
let go rather than waited for: the step's own loop serves all of them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct

from sluiced import short_path
from sluiced.steps.notice import Notice, socket_path, write_notice
from sluiced.steps.user import User

logger = logging.getLogger(__name__)

_READERS_MAX = 256
#: Notices that a new reader is told of; a program that signals itself for ever must not fill our memory.
_KEPT_MAX = 100
_CREDENTIALS = struct.Struct("3i")


class NoticeBoard:
    """path: of the notice file.  restart_count: of this run of the job."""

    def __init__(self, path: str, user: User, restart_count: int, limit_at: float | None = None) -> None:
        self._path = path
        self._user = user
        self._restart_count = restart_count
        #: When the job's time is over; None: never.
        self.limit_at = limit_at
        self._kept: list[bytes] = []
        self._readers: dict[int, socket.socket] = {}
        self._listener = self._listen()

    def tell(self, reason: str, number: int, sent_at: float, deadline_at: float | None, text: str = "") -> None:
        """Make a notice known.  number: of the signal that follows; 0: none does."""
        notice = Notice(reason, number or None, sent_at, deadline_at, self._restart_count, text, self.limit_at)
        write_notice(self._path, self._user, notice)
        line = notice.encode()
        self._kept = [*self._kept, line][-_KEPT_MAX:]
        for fd in list(self._readers):
            self._send(fd, line)

    def poll_events(self) -> dict[int, int]:
        """Return which descriptors to wait for, and for what."""
        if self._listener is None:
            return {}
        return dict.fromkeys((self._listener.fileno(), *self._readers), select.POLLIN)

    def on_event(self, fd: int) -> bool:
        """Return whether the descriptor is one of ours; then it was served."""
        if self._listener is not None and fd == self._listener.fileno():
            self._accept(self._listener)
            return True
        if fd in self._readers:
            self._hear(fd)
            return True
        return False

    def close(self) -> None:
        """Every reader sees the end."""
        for fd in list(self._readers):
            self._drop(fd)
        if self._listener is not None:
            self._listener.close()

    def _listen(self) -> socket.socket | None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with short_path.of(socket_path(self._path)) as path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                listener.bind(path)
                os.chmod(path, 0o600)
                if os.geteuid() == 0:
                    os.chown(path, self._user.uid, self._user.gid)
            listener.listen()
        except OSError as error:
            logger.warning("%s: no socket for notices: %s", self._path, error)
            listener.close()
            return None
        return listener

    def _accept(self, listener: socket.socket) -> None:
        try:
            reader, _ = listener.accept()
        except OSError:
            return
        reader.setblocking(False)
        is_allowed = _peer_uid(reader) in (0, os.geteuid(), self._user.uid)
        if not is_allowed or len(self._readers) >= _READERS_MAX:
            reader.close()
            return
        self._readers[reader.fileno()] = reader
        for line in self._kept:
            self._send(reader.fileno(), line)

    def _hear(self, fd: int) -> None:
        """Readers have nothing to say; that one is gone is all that there can be."""
        with contextlib.suppress(BlockingIOError):
            try:
                said = self._readers[fd].recv(512)
            except ConnectionError:
                said = b""
            if not said:
                self._drop(fd)

    def _send(self, fd: int, line: bytes) -> None:
        reader = self._readers.get(fd)
        if reader is None:
            return
        try:
            is_sent = reader.send(line) == len(line)
        except OSError:
            is_sent = False
        if not is_sent:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        self._readers.pop(fd).close()


def _peer_uid(reader: socket.socket) -> int:
    found = reader.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(found)[1]
    return uid
