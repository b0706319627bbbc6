"""The cheapest changes of a request that make it work, whatever "work" means to who asks.

Single changes come first; pairs are looked at when no single one helps.  A numeric change is halved down to the least
that helps, so that it gives up no more than it must.  Every look is counted: the search has a bound.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from sluice.model.job import Job

from .change import Change, Ground

#: Looks in one search.
TRIES_MAX = 400
#: Pairs that help, before the cheapest of them are told.
_PAIRS_MAX = 6


class Candidate(msgspec.Struct, frozen=True):
    """A changed job: the changes with their values, and what they cost together."""

    job: Job
    parts: tuple[tuple[Change, Any], ...] = ()
    cost: float = 0.0

    def add(self, change: Change, value: Any, cost: float) -> "Candidate":
        """Return the candidate with one change more."""
        return Candidate(change.apply(self.job, value), (*self.parts, (change, value)), self.cost + cost)


class Search:
    """One search.  works: would this request do?"""

    def __init__(
        self,
        job: Job,
        ground: Ground,
        changes: Sequence[Change],
        works: Callable[[Job], bool],
        tries_max: int = TRIES_MAX,
    ) -> None:
        self._job = job
        self._ground = ground
        self._changes = [part for change in changes for part in _split(change, job, ground)]
        self._works = works
        self._tries_left = tries_max

    def run(self, base: Candidate) -> list[Candidate]:
        """Return what helps on top of *base*, cheapest first: single changes, or pairs if no single one does."""
        found = self._singles(base) or self._pairs(base)
        return sorted(found, key=lambda candidate: candidate.cost)

    def _singles(self, base: Candidate) -> list[Candidate]:
        found = [self._least(base, change) for change in self._changes]
        return [candidate for candidate in found if candidate is not None]

    def _pairs(self, base: Candidate) -> list[Candidate]:
        """Return pairs that help together, each change at its least while the other is as great as it may be."""
        found: list[Candidate] = []
        pairs = itertools.combinations(self._changes, 2)
        for one, other in sorted(pairs, key=lambda pair: pair[0].cost + pair[1].cost):
            if one.name == other.name:
                continue
            if len(found) >= _PAIRS_MAX or self._tries_left <= 0:
                break
            candidate = self._least_pair(base, one, other)
            if candidate is not None:
                found.append(candidate)
        return found

    def _least(self, base: Candidate, change: Change) -> Candidate | None:
        """Return the least of a change that helps, or None."""
        values = change.values(self._job, self._ground)

        def helps(place: int) -> bool:
            return self._look(change.apply(base.job, values[place]))

        place = find_first(len(values), helps)
        if place is None and change.is_bounded:
            place = find_first_of_some(len(values), helps)
        if place is None:
            return None
        return base.add(change, values[place], change.cost + change.span * (place + 1) / (len(values) + 1))

    def _least_pair(self, base: Candidate, one: Change, other: Change) -> Candidate | None:
        greatest = other.values(self._job, self._ground)[-1]
        first = self._least(replace(base, job=other.apply(base.job, greatest)), one)
        if first is None:
            return None
        change, value = first.parts[-1]
        return self._least(replace(first, job=change.apply(base.job, value)), other)

    def _look(self, job: Job) -> bool:
        self._tries_left -= 1
        return self._tries_left >= 0 and self._works(job)


def _split(change: Change, job: Job, ground: Ground) -> Iterator[Change]:
    """Yield the change, one for each value where these have no order; nothing when it is none for the job."""
    values = change.values(job, ground)
    if change.is_monotone:
        yield from (change,) if values else ()
        return
    for value in values:
        yield replace(change, values=lambda _job, _ground, value=value: (value,))


def find_first_of_some(count: int, holds: Callable[[int], bool]) -> int | None:
    """Return the first place that holds, where the last ones do not; None if none of 0, 1, 3, 7, ... does."""
    tried = itertools.takewhile(lambda place: place < count, ((1 << power) - 1 for power in itertools.count()))
    known = next((place for place in tried if holds(place)), None)
    return None if known is None else find_first(known + 1, holds)


def find_first(count: int, holds: Callable[[int], bool]) -> int | None:
    """Return the first place that holds, where all after it do too; None if not even the last one does."""
    if not count or not holds(count - 1):
        return None
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
