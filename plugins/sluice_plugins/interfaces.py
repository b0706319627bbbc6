"""What a plugin of each kind must offer.  Additive only: a new method comes with a default behaviour.

A plugin is a class without arguments, registered as an entry point of the group "sluice.KIND" under the name that the
configuration uses.  Hooks are called in the daemon's event loop: they must not block.
"""

from typing import Protocol

import msgspec

from sluice.model.partition import Partition
from sluice.model.request import JobSpec


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Around a request: who submits it, and where it could go."""

    uid: int
    user: str
    groups: tuple[str, ...] = ()
    is_operator: bool = False
    partitions: tuple[Partition, ...] = ()


class SubmitFilter(Protocol):
    """Kind "submit": sees every submission before defaults are filled in and limits are checked."""

    def filter(self, spec: JobSpec, submission: Submission) -> JobSpec:
        """Return the request to go on with, the same one or a changed copy.

        Raises RequestError to refuse it; its text goes to the user as it is.
        """
