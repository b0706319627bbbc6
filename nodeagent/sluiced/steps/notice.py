"""SLUICE_NOTICE_FILE: before any signal the program can read there why it comes.

One JSON object, replaced as a whole: {"reason": "time limit", "signal": 15, "sent_at": ..., "deadline_at": ...};
reason is an Ending's word, or "signal" for a signal that somebody sent; deadline_at is when KILL follows, null if it
does not.  The name also marks every process of a step, see descendants.py.
"""

from __future__ import annotations

import contextlib
import json
import os

from sluiced.steps.user import User, acting_as

VARIABLE = "SLUICE_NOTICE_FILE"


def marker(path: str) -> str:
    """Return what stands in the environment of every process of the step with the notice file *path*."""
    return f"{VARIABLE}={path}"


def write_notice(path: str, user: User, reason: str, signal: int, sent_at: float, deadline_at: float | None) -> None:
    """Tell; a program that is not told is signalled all the same, so failing is silent."""
    fields = {"reason": reason, "signal": signal, "sent_at": sent_at, "deadline_at": deadline_at}
    temporary = f"{path}.new"
    with contextlib.suppress(OSError), acting_as(user, 0o077):
        with open(temporary, "w") as file:
            json.dump(fields, file)
        os.rename(temporary, path)
