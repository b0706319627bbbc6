"""Tracks: for every node, what is free on it from when on.

A track has what is free in fact, and steps of what is expected: the first begins now, each later one when something
comes back or is planned.  What should have come back by now and has not is in the steps only: a plan may count on it,
a start may not.  What is free is a row of numbers: CPUs, MiB, jobs that are there, units of each resource.

This is the readable form of native/tracks.c, used where that was not compiled; the tests hold one against the other.

Invariant: steps ascend in time, neighbours differ.
"""

import bisect
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any, Protocol

from .task_rows import Row, TaskRows

NEVER = float("inf")
_JOBS = 2


class Move(IntEnum):
    """What happens to a row."""

    #: A job takes its part.
    TAKE = -1
    #: A take is undone.
    UNDO = 1
    #: A job ends: never more comes back than there is in all, and all of it with the last job.
    RETURN = 2


class AnyTracks(Protocol):
    """What tracks do; positions are those of the nodes in the snapshot."""

    @property
    def looks(self) -> int:
        """How many nodes were looked at since begin(): a measure of work that no clock takes part in."""

    def make_row(self, row: Row) -> Any:
        """Return a row in the form that change() takes."""

    def make_positions(self, positions: Sequence[int]) -> Any:
        """Return the positions in the form that the questions take."""

    def begin(self, now_at: float) -> None:
        """Let time pass: steps that lie behind are gone."""

    def set(self, position: int, kind: int, full: Row, actual: Row) -> None:
        """A node of this kind has so much in all, and so much is free, now and for ever."""

    def actual(self, position: int) -> Row:
        """Return what is free on a node in fact."""

    def steps(self, position: int) -> tuple[list[float], list[Row]]:
        """Return a node's times, and what is free from each of them on."""

    def change(
        self, positions: Sequence[int], from_at: float, until_at: float, row: Any, move: Move, is_held: bool
    ) -> None:
        """Move a job's part of each node during [from_at, until_at); is_held: of what is free in fact, too."""

    def first_now(self, task_rows: TaskRows, candidates: Any, start: int, until_at: float, tasks: int) -> int:
        """Return the index of the first candidate from *start* on that holds so many tasks from now until a moment.

        The number of candidates: there is none.
        """

    def make_ask(self, rows: TaskRows, candidates: Any, tasks: int, duration_s: float) -> Any:
        """Return "so many tasks on one of these, from now on for so long" in the form that first_ask takes."""

    def first_ask(self, asks: Sequence[Any]) -> int:
        """Return the index of the first ask that is met now; the number of asks: none is."""

    def collect_now(
        self, task_rows: TaskRows, candidates: Any, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        """Return the candidates that offer something from now until a moment, and how many tasks each.

        Stops when they hold so many tasks on so many nodes; nodes 0: all of them.
        """

    def collect_at(
        self, task_rows: TaskRows, candidates: Any, at: float, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        """Return the same for [at, until_at)."""

    def earliest(
        self, task_rows: TaskRows, candidates: Any, tasks: int, duration_s: float, from_at: float
    ) -> tuple[float, int] | None:
        """Return when, at or after *from_at*, and at which candidate so many tasks fit for so long first."""

    def moves_earlier(self, ask: Any, position: int, at: float, row: Any) -> bool:
        """Would the ask, planned at a node for a moment to come, fit earlier?  The plan stays only if it would not."""

    def sweep(
        self, task_rows: TaskRows, candidates: Any, tasks: int, nodes: int, duration_s: float, from_at: float
    ) -> Iterator[float]:
        """Yield the moments, ascending, at which so many tasks may fit on so many candidates: never one too few."""


class Tracks:
    """The tracks of so many nodes, in Python."""

    def __init__(self, nodes: int, width: int) -> None:
        self.now_at = 0.0
        self.looks = 0
        self._kinds = [0] * nodes
        self._full: list[Row] = [(0,) * width] * nodes
        self._actual: list[Row] = [(0,) * width] * nodes
        self._times: list[list[float]] = [[] for _ in range(nodes)]
        self._rows: list[list[Row]] = [[] for _ in range(nodes)]

    @staticmethod
    def make_row(row: Row) -> Row:
        return row

    @staticmethod
    def make_positions(positions: Sequence[int]) -> Sequence[int]:
        return positions

    def begin(self, now_at: float) -> None:
        self.now_at = now_at
        self.looks = 0
        for times, rows in zip(self._times, self._rows, strict=True):
            passed = bisect.bisect_right(times, now_at, lo=1) - 1 if times else 0
            del times[:passed], rows[:passed]
            times[:1] = [now_at] if times else []

    def set(self, position: int, kind: int, full: Row, actual: Row) -> None:
        self._kinds[position], self._full[position], self._actual[position] = kind, full, actual
        self._times[position], self._rows[position] = [self.now_at], [actual]

    def actual(self, position: int) -> Row:
        return self._actual[position]

    def steps(self, position: int) -> tuple[list[float], list[Row]]:
        return list(self._times[position]), list(self._rows[position])

    def change(
        self, positions: Sequence[int], from_at: float, until_at: float, row: Row, move: Move, is_held: bool
    ) -> None:
        for position in positions:
            self._change(position, from_at, until_at, row, move, is_held)

    def _change(self, position: int, from_at: float, until_at: float, row: Row, move: Move, is_held: bool) -> None:
        full = self._full[position]
        if is_held:
            self._actual[position] = _moved(self._actual[position], full, row, move)
        times, rows = self._times[position], self._rows[position]
        first = bisect.bisect_right(times, from_at) - 1
        last = bisect.bisect_left(times, until_at)
        if first >= last:
            return
        if times[first] < from_at:
            first, last = first + 1, last + 1
            times.insert(first, from_at)
            rows.insert(first, rows[first - 1])
        if until_at < NEVER and (last == len(times) or times[last] > until_at):
            times.insert(last, until_at)
            rows.insert(last, rows[last - 1])
        for step in range(first, last):
            rows[step] = _moved(rows[step], full, row, move)
        _merge(times, rows, max(first - 1, 0), last)

    def first_now(self, task_rows: TaskRows, candidates: Sequence[int], start: int, until_at: float, tasks: int) -> int:
        for index in range(start, len(candidates)):
            self.looks += 1
            if self._offer_now(task_rows, candidates[index], until_at) >= tasks:
                return index
        return len(candidates)

    @staticmethod
    def make_ask(rows: TaskRows, candidates: Sequence[int], tasks: int, duration_s: float) -> Any:
        return rows, candidates, tasks, duration_s

    def first_ask(self, asks: Sequence[Any]) -> int:
        for index, (rows, candidates, tasks, duration_s) in enumerate(asks):
            if self.first_now(rows, candidates, 0, self.now_at + duration_s, tasks) < len(candidates):
                return index
        return len(asks)

    def collect_now(
        self, task_rows: TaskRows, candidates: Sequence[int], until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        return self._collect(candidates, tasks, nodes, lambda each: self._offer_now(task_rows, each, until_at))

    def collect_at(
        self, task_rows: TaskRows, candidates: Sequence[int], at: float, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        return self._collect(candidates, tasks, nodes, lambda each: self._offer_at(task_rows, each, at, until_at))

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

    def _offer_now(self, task_rows: TaskRows, position: int, until_at: float) -> int:
        actual = task_rows.offer(self._kinds[position], self._actual[position])
        return min(actual, self._offer_at(task_rows, position, self.now_at, until_at)) if actual else 0

    def _offer_at(self, task_rows: TaskRows, position: int, at: float, until_at: float) -> int:
        """Return the least offer of the steps during [at, until_at)."""
        kind, times, rows = self._kinds[position], self._times[position], self._rows[position]
        first = bisect.bisect_right(times, at) - 1
        least = task_rows.offer(kind, rows[first])
        for step in range(first + 1, len(times)):
            if times[step] >= until_at or not least:
                break
            least = min(least, task_rows.offer(kind, rows[step]))
        return least

    def earliest(
        self, task_rows: TaskRows, candidates: Sequence[int], tasks: int, duration_s: float, from_at: float
    ) -> tuple[float, int] | None:
        best: tuple[float, int] | None = None
        for position in candidates:
            if best is not None and best[0] <= from_at:
                break
            self.looks += 1
            at = self._earliest_on(task_rows, position, tasks, duration_s, from_at)
            if at < (NEVER if best is None else best[0]):
                best = (at, position)
        return best

    def _earliest_on(self, task_rows: TaskRows, position: int, tasks: int, duration_s: float, from_at: float) -> float:
        kind, times, rows = self._kinds[position], self._times[position], self._rows[position]
        begin_at: float | None = None
        for step in range(bisect.bisect_right(times, from_at) - 1, len(times)):
            if begin_at is not None and times[step] >= begin_at + duration_s:
                return begin_at
            if task_rows.offer(kind, rows[step]) < tasks:
                begin_at = None
            elif begin_at is None:
                begin_at = max(times[step], from_at)
        return NEVER if begin_at is None else begin_at

    def moves_earlier(self, ask: Any, position: int, at: float, row: Row) -> bool:
        rows, candidates, tasks, duration_s = ask
        self._change(position, at, at + duration_s, row, Move.UNDO, False)
        found = self.earliest(rows, candidates, tasks, duration_s, self.now_at)
        if found is not None and found[0] < at:
            return True
        self._change(position, at, at + duration_s, row, Move.TAKE, False)
        return False

    def sweep(
        self, task_rows: TaskRows, candidates: Sequence[int], tasks: int, nodes: int, duration_s: float, from_at: float
    ) -> Iterator[float]:
        offer_by_position = {
            each: self._offer_at(task_rows, each, from_at, from_at + duration_s) for each in candidates
        }
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
                offer_by_position[position] = self._offer_at(task_rows, position, at, at + duration_s)
                self.looks += 1
                index += 1


def _moved(free: Row, full: Row, row: Row, move: Move) -> Row:
    if move is Move.RETURN and free[_JOBS] <= 1:
        return full
    sign = -1 if move is Move.TAKE else 1
    moved = [have + sign * part for have, part in zip(free, row, strict=True)]
    if move is Move.RETURN:
        moved = list(map(min, moved, full))
    moved[_JOBS] = free[_JOBS] - sign
    return tuple(moved)


def _merge(times: list[float], rows: list[Row], first: int, last: int) -> None:
    """Forget equal neighbours among the steps first..last."""
    for step in range(min(last, len(times) - 1), first, -1):
        if rows[step] == rows[step - 1]:
            del times[step], rows[step]
