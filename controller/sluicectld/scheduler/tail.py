"""The tail of the queue: behind the jobs that are planned only starts are looked for, many jobs in one question.

What this finds is what decide.py's walk would find one by one: the first job in the order of the queue that fits now
starts, and those before it, which did not fit, can't fit after it.  Only jobs whose start depends on nothing but what
is free on one node are asked together; at every other one the tail stops, and the walk looks at it.
"""

from collections.abc import Iterable
from typing import Any

from .matches import UNASKED
from .memory import Scene, find_match
from .snapshot import Policy
from .standing import Entry


class Tail:
    """A run of plain jobs."""

    def __init__(self, scene: Scene, policy: Policy, entries: Iterable[Entry]) -> None:
        self._tracks = scene.timeline.tracks
        self._asks: list[Any] = []
        matches, asks = scene.matches, self._asks
        for job, partition in entries:
            match = matches.get((job.id, partition.name))
            if match is None or match.job is not job or match.partition is not partition:
                match = find_match(scene, job, partition, policy)
            ask = match.known_ask
            if ask is UNASKED:
                ask = match.find_ask()
            if ask is None:
                break
            asks.append(ask)

    def __len__(self) -> int:
        return len(self._asks)

    def find_start(self, first: int) -> int | None:
        """Return the index of the first job, *first* or later, that fits now; None when there is none."""
        asks = self._asks[first:] if first else self._asks
        index = first + self._tracks.first_ask(asks)
        return index if index < len(self._asks) else None
