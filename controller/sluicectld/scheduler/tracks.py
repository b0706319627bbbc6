"""Tracks: for every node, which level it is at from when on.

A track has what is free in fact, and steps of what is expected: the first begins now, each later one when something
comes back or is planned.  What should have come back by now and has not is in the steps only: a plan may count on it,
a start may not.
Levels are numbers here: tables say what a level offers to a request and which level it becomes when a job comes.

This is the readable form of native/tracks.c, used where that was not compiled; the tests hold one against the other.

Invariant: steps ascend in time, neighbours differ.
"""

import bisect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

NEVER = float("inf")
UNKNOWN = -1
_GROWTH = 64


class LevelMap:
    """A number for each level, computed when it is first asked for."""

    __slots__ = ("_compute", "_make", "size", "values")

    def __init__(self, make: Callable[[int], Any], compute: Callable[[int], int]) -> None:
        """make: gives an array of so many UNKNOWN; compute: the number for a level."""
        self._make = make
        self._compute = compute
        self.size = 0
        self.values: Any = make(0)

    def __getitem__(self, level: int) -> int:
        value: int = self.values[level] if level < self.size else UNKNOWN
        return value if value >= 0 else self.fill(level)

    def fill(self, level: int) -> int:
        """Compute the number for the level and keep it."""
        if level >= self.size:
            self._grow(level + 1)
        value = self.values[level] = self._compute(level)
        return value

    def _grow(self, least: int) -> None:
        size = max(least, 2 * self.size, _GROWTH)
        values = self._make(size)
        for level in range(self.size):
            values[level] = self.values[level]
        self.values, self.size = values, size


class AnyTracks(Protocol):
    """What tracks do; positions are those of the nodes in the snapshot."""

    @property
    def looks(self) -> int:
        """How many nodes were looked at since begin(): a measure of work that no clock takes part in."""

    def make_table(self, size: int) -> Any:
        """Return an array for a LevelMap."""

    def make_positions(self, positions: Sequence[int]) -> Any:
        """Return the positions in the form that the questions take."""

    def begin(self, now_at: float) -> None:
        """Let time pass: steps that lie behind are gone."""

    def set(self, position: int, actual: int, times: Sequence[float], levels: Sequence[int]) -> None:
        """Replace what a node has in fact, and its steps."""

    def actual(self, position: int) -> int:
        """Return the level that a node is at in fact."""

    def steps(self, position: int) -> tuple[list[float], list[int]]:
        """Return a node's times and levels."""

    def hold(self, position: int, until_at: float, moves: LevelMap) -> None:
        """Move the level in fact, and those of the steps until a moment."""

    def plan(self, position: int, from_at: float, until_at: float, moves: LevelMap) -> None:
        """Move the levels of the steps during [from_at, until_at)."""

    def first_now(self, offers: LevelMap, candidates: Any, start: int, until_at: float, tasks: int) -> int:
        """Return the index of the first candidate from *start* on that holds so many tasks from now until a moment.

        The number of candidates: there is none.
        """

    def collect_now(
        self, offers: LevelMap, candidates: Any, start: int, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        """Return the candidates from index *start* on that offer something from now until a moment, and their offers.

        Stops when they hold so many tasks on so many nodes; nodes 0: all of them.
        """

    def collect_at(
        self, offers: LevelMap, candidates: Any, at: float, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        """Return the same for [at, until_at)."""

    def earliest(
        self, offers: LevelMap, candidates: Any, tasks: int, duration_s: float, from_at: float
    ) -> tuple[float, int] | None:
        """Return when, at or after *from_at*, and at which candidate so many tasks fit for so long first."""

    def sweep(
        self, offers: LevelMap, candidates: Any, tasks: int, nodes: int, duration_s: float, from_at: float
    ) -> Iterator[float]:
        """Yield the moments, ascending, at which so many tasks may fit on so many candidates: never one too few."""


class Tracks:
    """The tracks of so many nodes, in Python."""

    def __init__(self, nodes: int) -> None:
        self.now_at = 0.0
        self.looks = 0
        self._actual = [0] * nodes
        self._times: list[list[float]] = [[] for _ in range(nodes)]
        self._levels: list[list[int]] = [[] for _ in range(nodes)]

    @staticmethod
    def make_table(size: int) -> list[int]:
        return [UNKNOWN] * size

    @staticmethod
    def make_positions(positions: Sequence[int]) -> Sequence[int]:
        return positions

    def begin(self, now_at: float) -> None:
        self.now_at = now_at
        self.looks = 0
        for times, levels in zip(self._times, self._levels, strict=True):
            passed = bisect.bisect_right(times, now_at, lo=1) - 1 if times else 0
            del times[:passed], levels[:passed]
            times[:1] = [now_at] if times else []

    def set(self, position: int, actual: int, times: Sequence[float], levels: Sequence[int]) -> None:
        self._actual[position] = actual
        self._times[position], self._levels[position] = list(times), list(levels)

    def actual(self, position: int) -> int:
        return self._actual[position]

    def steps(self, position: int) -> tuple[list[float], list[int]]:
        return list(self._times[position]), list(self._levels[position])

    def hold(self, position: int, until_at: float, moves: LevelMap) -> None:
        self._actual[position] = moves[self._actual[position]]
        self.plan(position, self.now_at, until_at, moves)

    def plan(self, position: int, from_at: float, until_at: float, moves: LevelMap) -> None:
        times, levels = self._times[position], self._levels[position]
        first = bisect.bisect_right(times, from_at) - 1
        last = bisect.bisect_left(times, until_at)
        if first >= last:
            return
        if times[first] < from_at:
            first, last = first + 1, last + 1
            times.insert(first, from_at)
            levels.insert(first, levels[first - 1])
        if until_at < NEVER and (last == len(times) or times[last] > until_at):
            times.insert(last, until_at)
            levels.insert(last, levels[last - 1])
        for step in range(first, last):
            levels[step] = moves[levels[step]]
        _merge(times, levels, max(first - 1, 0), last)

    def first_now(self, offers: LevelMap, candidates: Sequence[int], start: int, until_at: float, tasks: int) -> int:
        for index in range(start, len(candidates)):
            self.looks += 1
            if self._offer_now(offers, candidates[index], until_at) >= tasks:
                return index
        return len(candidates)

    def collect_now(
        self, offers: LevelMap, candidates: Sequence[int], start: int, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        chosen = candidates[start:] if start else candidates
        return self._collect(chosen, tasks, nodes, lambda each: self._offer_now(offers, each, until_at))

    def collect_at(
        self, offers: LevelMap, candidates: Sequence[int], at: float, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        return self._collect(candidates, tasks, nodes, lambda each: self._offer_at(offers, each, at, until_at))

    def _collect(
        self, candidates: Sequence[int], tasks: int, nodes: int, offer_of: Callable[[int], int]
    ) -> tuple[list[int], list[int]]:
        positions: list[int] = []
        found: list[int] = []
        total = 0
        for position in candidates:
            self.looks += 1
            offer = offer_of(position)
            if offer:
                positions.append(position)
                found.append(offer)
                total += offer
                if nodes and len(found) >= nodes and total >= tasks:
                    break
        return positions, found

    def _offer_now(self, offers: LevelMap, position: int, until_at: float) -> int:
        actual = offers[self._actual[position]]
        return min(actual, self._offer_at(offers, position, self.now_at, until_at)) if actual else 0

    def _offer_at(self, offers: LevelMap, position: int, at: float, until_at: float) -> int:
        """Return the least offer of the steps during [at, until_at)."""
        times, levels = self._times[position], self._levels[position]
        first = bisect.bisect_right(times, at) - 1
        least = offers[levels[first]]
        for step in range(first + 1, len(times)):
            if times[step] >= until_at or not least:
                break
            least = min(least, offers[levels[step]])
        return least

    def earliest(
        self, offers: LevelMap, candidates: Sequence[int], tasks: int, duration_s: float, from_at: float
    ) -> tuple[float, int] | None:
        best: tuple[float, int] | None = None
        for position in candidates:
            self.looks += 1
            at = self._earliest_on(offers, position, tasks, duration_s, from_at)
            if at < (NEVER if best is None else best[0]):
                best = (at, position)
                if at <= from_at:
                    break
        return best

    def _earliest_on(self, offers: LevelMap, position: int, tasks: int, duration_s: float, from_at: float) -> float:
        times, levels = self._times[position], self._levels[position]
        begin_at: float | None = None
        for step in range(bisect.bisect_right(times, from_at) - 1, len(times)):
            if begin_at is not None and times[step] >= begin_at + duration_s:
                return begin_at
            if offers[levels[step]] < tasks:
                begin_at = None
            elif begin_at is None:
                begin_at = max(times[step], from_at)
        return NEVER if begin_at is None else begin_at

    def sweep(
        self, offers: LevelMap, candidates: Sequence[int], tasks: int, nodes: int, duration_s: float, from_at: float
    ) -> Iterator[float]:
        offer_by_position = {each: self._offer_at(offers, each, from_at, from_at + duration_s) for each in candidates}
        self.looks += len(candidates)
        changes = sorted((at, each) for each in candidates for at in self._times[each][1:] if at > from_at)
        index = 0
        at = from_at
        while True:
            useful = [offer for offer in offer_by_position.values() if offer]
            if sum(useful) >= tasks and len(useful) >= nodes:
                yield at
            if index == len(changes):
                return
            at = changes[index][0]
            while index < len(changes) and changes[index][0] == at:
                position = changes[index][1]
                offer_by_position[position] = self._offer_at(offers, position, at, at + duration_s)
                self.looks += 1
                index += 1


def _merge(times: list[float], levels: list[int], first: int, last: int) -> None:
    """Forget equal neighbours among the steps first..last."""
    for step in range(min(last, len(times) - 1), first, -1):
        if levels[step] == levels[step - 1]:
            del times[step], levels[step]
