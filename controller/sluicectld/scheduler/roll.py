"""What some pending job asks for that changes how a whole pass looks at the nodes: each job is asked once.

A queue of a hundred thousand jobs differs little from pass to pass: only those that are new in it are looked at, as
long as none of those before asked for anything of this kind.

Invariant: read() returns what a look at every job would.
"""

from collections.abc import Iterable

import msgspec

from sluice.model.job import Job


class Traits(msgspec.Struct, frozen=True):
    """Is there a job that would share CPUs, counts by socket, or keeps its nodes to one user?"""

    can_oversubscribe: bool = False
    is_by_socket: bool = False
    is_user_exclusive: bool = False


NONE = Traits()


class Roll:
    """The traits of one queue after the other."""

    def __init__(self) -> None:
        self._pending: tuple[Job, ...] = ()
        #: Its jobs by identity, which stays their own as long as they are here.
        self._jobs: dict[int, Job] = {}
        self.traits = NONE

    def read(self, pending: tuple[Job, ...]) -> Traits:
        """Return the traits of these jobs."""
        if pending is not self._pending:
            jobs = dict(zip(map(id, pending), pending, strict=True))
            if self.traits == NONE:
                self.traits = _read_all(jobs[each] for each in jobs.keys() - self._jobs.keys())
            else:
                self.traits = _read_all(pending)
            self._pending, self._jobs = pending, jobs
        return self.traits


def _read_all(jobs: Iterable[Job]) -> Traits:
    can_oversubscribe = is_by_socket = is_user_exclusive = False
    for job in jobs:
        spec = job.spec
        can_oversubscribe = can_oversubscribe or spec.can_oversubscribe
        is_user_exclusive = is_user_exclusive or spec.exclusive == "user"
        if spec.ntasks_per_socket or spec.gres_per_socket or spec.hint == "memory_bound":
            is_by_socket = True
    return Traits(can_oversubscribe, is_by_socket, is_user_exclusive)
