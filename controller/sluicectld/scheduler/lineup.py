"""The entries of a queue in a fixed order, made from those of the queue before it where few jobs came or went.

Invariant: the entries are those that the same jobs would give a line-up that has seen no other queue.
"""

import bisect
import operator
from collections.abc import Callable, Sequence
from typing import Any

from sluice.model.job import Job
from sluice.model.partition import Partition

from .standing import Entry

#: More changes than this share of the queue, and it is put in order anew.
_FEW = 1 / 8
Partitions = dict[str, Partition]
_id_of = operator.attrgetter("id")


def by_arrival(entry: Entry) -> Any:
    """The order of submission."""
    return entry[0].id


def by_priority(entry: Entry) -> Any:
    """Partition tier, then the priority that a job has, then the order of submission."""
    job, partition = entry
    return -partition.priority_tier, -job.priority, job.id


class Lineup:
    """The entries of one queue after the other, all in the order of *key*; of a job they are in the order it asks."""

    def __init__(self, key: Callable[[Entry], Any]) -> None:
        self._key = key
        self._pending: Sequence[Job] = ()
        #: Its jobs by identity, which stays their own as long as they are here.
        self._jobs: dict[int, Job] = {}
        self._partitions: Partitions = {}
        self._entries: list[Entry] = []
        self._orphans: list[Job] = []

    def enter(self, pending: Sequence[Job], partitions: Partitions) -> tuple[list[Entry], list[Job]]:
        """Return the entries, not to be changed, and the jobs without a partition."""
        is_same_site = _are_the_same(partitions, self._partitions)
        if pending is not self._pending or not is_same_site:
            jobs = dict(zip(map(id, pending), pending, strict=True))
            gone = [self._jobs[each] for each in self._jobs.keys() - jobs.keys()]
            came = [jobs[each] for each in jobs.keys() - self._jobs.keys()]
            self._pending, self._jobs, self._partitions = pending, jobs, partitions
            if not is_same_site or self._orphans or len(gone) + len(came) > len(jobs) * _FEW:
                self._begin(pending)
            elif gone or came:
                self._change(gone, came)
        return self._entries, self._orphans

    def _begin(self, pending: Sequence[Job]) -> None:
        self._entries, self._orphans = [], []
        for job in pending:
            found = _entries_of(job, self._partitions)
            if found:
                self._entries += found
            else:
                self._orphans.append(job)
        self._entries.sort(key=self._key)
        self._orphans.sort(key=_id_of)

    def _change(self, gone: list[Job], came: list[Job]) -> None:
        # Whoever has the entries of before has them still.
        entries = self._entries = self._entries.copy()
        for job in gone:
            for entry in _entries_of(job, self._partitions):
                del entries[bisect.bisect_left(entries, self._key(entry), key=self._key)]
        for job in came:
            for entry in _entries_of(job, self._partitions):
                bisect.insort_right(entries, entry, key=self._key)
        self._orphans = sorted((job for job in came if not _entries_of(job, self._partitions)), key=_id_of)


def _are_the_same(one: Partitions, other: Partitions) -> bool:
    """Are these the very same records?  The entries name them."""
    return one is other or (one.keys() == other.keys() and all(one[name] is other[name] for name in one))


def _entries_of(job: Job, partitions: Partitions) -> list[Entry]:
    names = job.spec.partitions
    if len(names) == 1:
        partition = partitions.get(names[0])
        return [] if partition is None else [(job, partition)]
    return [(job, partitions[name]) for name in names or (job.partition,) if name in partitions]
