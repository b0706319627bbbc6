"""Notices: before any signal, and where there is none, a program can learn why something happens to its job.

A notice is one JSON object, and these are its keys:

    reason         an Ending's word ("time limit", "cancel", "preemption", "requeue", "node failure", "finished"),
                   "drain" when the node is to be emptied, "signal" for a signal that somebody sent, "new limit" when
                   the time limit was changed, "suspend" just before everything stands still, "resume" after it
    signal         the number of the signal that follows at once; null: none does
    sent_at        when, in seconds since the epoch
    deadline_at    when the step is killed, or its time is over; null: it is not because of this
    restart_count  how often the job was requeued before this run
    text           the reason in somebody's words; empty: there are none
    limit_at       when the job's time limit is over, as it is known now; null: it has none

SLUICE_NOTICE_FILE names a file that holds the last one, replaced as a whole; SLUICE_NOTICE_SOCKET names a socket that
gives every reader all of them as lines (notice_board.py).  The file's name also marks every process of a step, see
descendants.py.  sluice/job.py is the library that reads both.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import NamedTuple

from sluiced.steps.user import User

VARIABLE = "SLUICE_NOTICE_FILE"
SOCKET_VARIABLE = "SLUICE_NOTICE_SOCKET"


class Notice(NamedTuple):
    """See the module for the meaning of each."""

    reason: str
    signal: int | None
    sent_at: float
    deadline_at: float | None
    restart_count: int
    text: str = ""
    limit_at: float | None = None

    def encode(self) -> bytes:
        """Return one line of JSON."""
        return json.dumps(self._asdict()).encode() + b"\n"


def marker(path: str) -> str:
    """Return what stands in the environment of every process of the step with the notice file *path*."""
    return f"{VARIABLE}={path}"


def variables(path: str) -> dict[str, str]:
    """Return what the processes of the step with the notice file *path* find in their environment."""
    return {VARIABLE: path, SOCKET_VARIABLE: socket_path(path)}


def socket_path(path: str) -> str:
    """Return the name of the socket beside the notice file *path*."""
    return path.removesuffix(".notice") + ".events"


def write_notice(path: str, user: User, notice: Notice) -> None:
    """Replace the file; a program that is not told is signalled all the same, so failing is silent.

    The folder is the agent's own, so the file is made there and given to the user.
    """
    temporary = f"{path}.new"
    with contextlib.suppress(OSError):
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(notice.encode())
            if os.geteuid() == 0:
                os.fchown(file.fileno(), user.uid, user.gid)
        os.rename(temporary, path)
