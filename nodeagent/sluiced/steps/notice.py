"""SLUICE_NOTICE_FILE: before any signal the program can read there why it comes.

One JSON object, replaced as a whole: {"reason": "time limit", "signal": 15, "sent_at": ..., "deadline_at": ...};
reason is an Ending's word, or "signal" for a signal that somebody sent; deadline_at is when KILL follows, null if it
does not.  The name also marks every process of a step, see descendants.py.
"""

from __future__ import annotations

import contextlib
import json
import os

from sluiced.steps.user import User

VARIABLE = "SLUICE_NOTICE_FILE"


def marker(path: str) -> str:
    """Return what stands in the environment of every process of the step with the notice file *path*."""
    return f"{VARIABLE}={path}"


def write_notice(path: str, user: User, reason: str, signal: int, sent_at: float, deadline_at: float | None) -> None:
    """Tell; a program that is not told is signalled all the same, so failing is silent.

    The folder is the agent's own, so the file is made there and given to the user.
    """
    fields = {"reason": reason, "signal": signal, "sent_at": sent_at, "deadline_at": deadline_at}
    temporary = f"{path}.new"
    with contextlib.suppress(OSError):
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump(fields, file)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), user.uid, user.gid)
        os.rename(temporary, path)
