"""What a program inside a job can know of its job's end: why a signal comes, until when there is time, which run it is.

    import sluice.job as job

    while work_is_left():
        do_some_of_it()
        notice = job.wait_for_notice(timeout=0)
        if notice and notice.deadline_at:
            save_checkpoint()
            break

A notice comes before any signal: at the time limit, at a preemption, when somebody cancels or requeues the job, when
its node is drained, when --signal asks for a warning; also when the limit is changed or the job suspended, without a
deadline.  Outside of a job there are none, and nothing here fails.

Needs nothing but the standard library, and may be copied beside a program that runs where Sluice is not installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_SIZE_MAX = 65536
#: How often the file is looked at where the socket cannot be had.
_LOOK_S = 1.0
_ADDRESS_MAX = 100
#: Reasons of notices that ask nothing of the program.
_NEWS = ("new limit", "suspend", "resume")


class Notice(NamedTuple):
    """Why something happens to the job.

    reason: "time limit", "cancel", "preemption", "requeue", "node failure", "finished"; "signal" for one that somebody
    sent; "drain", "new limit", "suspend" and "resume" end nothing.  signal: what follows at once, None: nothing.
    sent_at, deadline_at, limit_at: seconds since the epoch; deadline_at is when the program is killed or its time is
    over, None: it is not because of this; limit_at is when the time limit is over by what is known now, None: never.
    """

    reason: str
    signal: int | None
    sent_at: float
    deadline_at: float | None
    restart_count: int
    text: str = ""
    limit_at: float | None = None

    @property
    def time_left_s(self) -> float | None:
        """Return how long there is until the deadline, at least 0; None: there is none."""
        return None if self.deadline_at is None else max(0.0, self.deadline_at - time.time())


def restart_count() -> int:
    """Return how often the job was requeued before this run."""
    text = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(text) if text.isdecimal() else 0


def last_notice() -> Notice | None:
    """Return the last notice so far; None: there was none."""
    path = os.environ.get("SLUICE_NOTICE_FILE", "")
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return _decode(file.read(_SIZE_MAX))
    return None


def reason() -> str | None:
    """Return why the job is being ended or warned; None: it is not."""
    notice = last_notice()
    return notice.reason if notice and notice.reason not in _NEWS else None


def deadline() -> float | None:
    """Return until when there is time, in seconds since the epoch: the last notice's deadline, else the time limit's.

    Follows what becomes of the limit (scontrol update, suspend).  None: there is no limit, or this is no job.
    """
    notice = last_notice()
    if notice is not None:
        return notice.limit_at if notice.deadline_at is None else notice.deadline_at
    return _first_limit_at()


def _first_limit_at() -> float | None:
    """Return when the time limit was over at the start."""
    text = os.environ.get("SLURM_JOB_END_TIME", "")
    return float(text) if text.isdecimal() else None


def wait_for_notice(timeout: float | None = None) -> Notice | None:
    """Return the next notice that this program has not been given yet, waiting at most *timeout* seconds.

    0: do not wait, a check costs microseconds; None: wait as long as it takes.  None is returned when the time is over,
    and at once where the program is not in a job.
    """
    return _stream().next(timeout)


def notices() -> Iterator[Notice]:
    """Give every notice as it comes, those before this call first; ends with the job."""
    stream = _Stream()
    try:
        while (notice := stream.next(None)) is not None:
            yield notice
    finally:
        stream.close()


def on_notice(callback: Callable[[Notice], object]) -> threading.Thread:
    """Call *callback* with every notice, in a thread of its own, which is returned; the program need not join it."""

    def call() -> None:
        for notice in notices():
            callback(notice)

    thread = threading.Thread(target=call, name="sluice.job", daemon=True)
    thread.start()
    return thread


class _Stream:
    """The notices one by one: from the socket, or from the file where there is no way to the socket."""

    def __init__(self) -> None:
        self._buffer = b""
        self._last: Notice | None = None
        self._connection = _connect(os.environ.get("SLUICE_NOTICE_SOCKET", ""))

    def next(self, timeout: float | None) -> Notice | None:
        ends_at = None if timeout is None else time.monotonic() + timeout
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                notice = _decode(line)
                if notice is not None:
                    self._last = notice
                    return notice
                continue
            left_s = None if ends_at is None else max(0.0, ends_at - time.monotonic())
            if self._connection is None:
                return self._next_in_file(left_s)
            if not self._receive(self._connection, left_s):
                return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _receive(self, connection: socket.socket, timeout: float | None) -> bool:
        """Return whether something came; False: not in time, or the step is over."""
        connection.settimeout(timeout)
        try:
            data = connection.recv(_SIZE_MAX)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        self._buffer += data
        return True

    def _next_in_file(self, timeout: float | None) -> Notice | None:
        path = os.environ.get("SLUICE_NOTICE_FILE", "")
        ends_at = None if timeout is None else time.monotonic() + timeout
        while os.path.isdir(os.path.dirname(path)):
            notice = last_notice()
            if notice is not None and notice != self._last:
                self._last = notice
                return notice
            left_s = _LOOK_S if ends_at is None else min(_LOOK_S, ends_at - time.monotonic())
            if left_s <= 0:
                return None
            time.sleep(left_s)
        return None


_own: tuple[int, _Stream] | None = None


def _stream() -> _Stream:
    """Return this process's stream; a fork reads one of its own."""
    global _own
    if _own is None or _own[0] != os.getpid():
        _own = os.getpid(), _Stream()
    return _own[1]


def _connect(path: str) -> socket.socket | None:
    if not path:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = -1
    try:
        if len(path) > _ADDRESS_MAX:
            # A socket address holds 108 bytes; the folder's descriptor stands for a longer name.
            folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
            path = f"/proc/self/fd/{folder}/{os.path.basename(path)}"
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    finally:
        if folder >= 0:
            os.close(folder)
    return connection


def _decode(line: bytes) -> Notice | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    # An older agent does not tell the limit, which it cannot change either.
    known: dict[str, Any] = {"limit_at": _first_limit_at()}
    known |= {name: value for name, value in fields.items() if name in Notice._fields}
    try:
        # Fields that a newer agent adds are not for this program.
        return Notice(**known)
    except TypeError:
        return None
