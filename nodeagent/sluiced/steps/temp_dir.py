"""A short private folder of a step on a node: for sockets and session files, gone with the step."""

from __future__ import annotations

import shutil
import tempfile

from sluiced.steps.user import User, acting_as

_UMASK = 0o077


class TempDir:
    """Made as the job's user, under a name that nobody can guess; raises OSError."""

    def __init__(self, parent: str, step: str, user: User) -> None:
        self._user = user
        with acting_as(user, _UMASK):
            self.path = tempfile.mkdtemp(prefix=f"sluice.{step}.", dir=parent)

    def remove(self) -> None:
        with acting_as(self._user, _UMASK):
            shutil.rmtree(self.path, ignore_errors=True)
