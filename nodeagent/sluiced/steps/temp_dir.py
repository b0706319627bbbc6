"""A short private folder of a step on a node: for sockets and session files, gone with the step."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile

from sluiced.steps.user import User, acting_as

_UMASK = 0o077


class TempDir:
    """Made as the job's user, under a name that nobody can guess; raises OSError."""

    def __init__(self, parent: str, step: str, user: User) -> None:
        self._user = user
        with acting_as(user, _UMASK):
            self.path = tempfile.mkdtemp(prefix=_prefix(step, os.getpid()), dir=parent)

    def remove(self) -> None:
        with acting_as(self._user, _UMASK):
            shutil.rmtree(self.path, ignore_errors=True)


def remove_left(parent: str, step: str, pid: int, uid: int) -> None:
    """Remove what the step daemon *pid*, which is dead, has left for its user *uid*."""
    for path in glob.glob(f"{glob.escape(parent)}/{_prefix(step, pid)}*"):
        with contextlib.suppress(OSError):
            if os.lstat(path).st_uid == uid:
                shutil.rmtree(path, ignore_errors=True)


def _prefix(step: str, pid: int) -> str:
    """The pid tells apart the nodes of one host, where a step may have several."""
    return f"sluice.{step}.{pid}."
