"""Whose jobs are on which node when: for jobs that keep their nodes to one user (--exclusive=user, ExclusiveUser).

Made for a pass in which it matters.  Running jobs stay until their expected end, those of this pass are added as they
start or are planned.  Source: sbatch's manual on --exclusive=user.
"""

from collections import Counter, defaultdict
from collections.abc import Set

import msgspec

from .departures import expect_ends
from .snapshot import RunningJob, Snapshot
from .tracks import NEVER
from .working import WorkingCopy


class Stay(msgspec.Struct, frozen=True):
    """A user's job on a node; is_alone: no other user may be there meanwhile."""

    uid: int
    from_at: float
    until_at: float
    is_alone: bool
    #: Of a job that runs.
    job_id: int = 0


class Guests:
    """The stays of each node."""

    def __init__(self, snapshot: Snapshot, working: WorkingCopy) -> None:
        self._working = working
        self._now_at = snapshot.now_at
        self._stays: defaultdict[int, list[Stay]] = defaultdict(list)
        for job in expect_ends(snapshot):
            until_at = NEVER if job.expected_end_at is None else job.expected_end_at
            for grant in job.allocation.grants:
                position = working.position_by_name.get(grant.node)
                if position is not None:
                    is_alone = working.owner_by_position.get(position) == job.uid
                    self._stays[position].append(Stay(job.uid, snapshot.now_at, until_at, is_alone, job.job_id))

    def add(self, position: int, stay: Stay) -> None:
        self._stays[position].append(stay)

    def remove(self, position: int, stay: Stay) -> None:
        """Undo add()."""
        self._stays[position].remove(stay)

    def let_go(self, job: RunningJob) -> None:
        """Expect for the rest of the pass that the job is gone now; in fact it is not yet."""
        for grant in job.allocation.grants:
            position = self._working.position_by_name.get(grant.node)
            if position is not None:
                self._stays[position] = [stay for stay in self._stays[position] if stay.job_id != job.job_id]

    def is_foreign_now(self, position: int, uid: int, is_alone: bool, until_at: float) -> bool:
        """Is it so from now until a moment?  Whoever is there in fact counts, whatever is expected of him."""
        if self._working.is_foreign(position, uid, is_alone):
            return True
        return self.is_foreign(position, uid, is_alone, self._now_at, until_at)

    def is_foreign(self, position: int, uid: int, is_alone: bool, from_at: float, until_at: float) -> bool:
        """Is the node kept from the user at some moment of the interval, or used by others that the job can't have?"""
        return any(
            _clashes(stay, uid, is_alone) and stay.from_at < until_at and from_at < stay.until_at
            for stay in self._stays.get(position, ())
        )

    def is_foreign_without(self, position: int, uid: int, is_alone: bool, until_at: float, gone_ids: Set[int]) -> bool:
        """Is it so from now until a moment if these jobs were gone?  Others that are there in fact count, too."""
        stays = self._stays.get(position, [])
        owner = self._working.owner_by_position.get(position)
        others = Counter(self._working.uids_by_position.get(position, ()))
        others.subtract(stay.uid for stay in stays if stay.job_id in gone_ids)
        if any(count > 0 and other != uid and (is_alone or other == owner) for other, count in others.items()):
            return True
        left = [stay for stay in stays if stay.job_id not in gone_ids]
        return any(_clashes(stay, uid, is_alone) and stay.from_at < until_at for stay in left)


def _clashes(stay: Stay, uid: int, is_alone: bool) -> bool:
    return stay.uid != uid and (is_alone or stay.is_alone)
