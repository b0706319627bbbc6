"""What passes found out about requests and need again: no decision depends on it.

A spec never changes, so what follows from it, the partition and the policy is kept by the spec's identity; each entry
keeps the objects that it is true of, so that their identities stay their own.
"""

from collections.abc import Hashable

from sluice.model.partition import Partition
from sluice.model.priority import Asked, Standing
from sluice.model.request import JobSpec

#: spec, partition and limit of a job, and what it is numbered by.
Known = tuple[JobSpec, Partition, int | None, Standing, Asked]

#: Entries that are kept however short the queue is.
_KEPT = 1000


class StandingMemo:
    """by_spec: of a spec's first partition by its identity, of another with the partition's name.

    standings, asked: one record for all that are equal; the latter with the partition that was counted.
    basis: what of the policy all of it depends on.
    """

    def __init__(self) -> None:
        self.by_spec: dict[int | tuple[int, str], Known] = {}
        self.standings: dict[Hashable, Standing] = {}
        self.asked: dict[Hashable, tuple[Partition, Asked]] = {}
        self.basis: tuple[object, ...] = ()

    def prepare(self, basis: tuple[object, ...]) -> None:
        """Forget all when it depends on something else than *basis*."""
        if basis != self.basis:
            self._forget()
            self.basis = basis

    def make_room(self, queue_length: int) -> None:
        """Forget all when most of it can be of jobs that are gone."""
        if len(self.by_spec) > 2 * queue_length + _KEPT:
            self._forget()

    def _forget(self) -> None:
        self.by_spec.clear()
        self.standings.clear()
        self.asked.clear()
