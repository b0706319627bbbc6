"""Dealing the CPUs of a step to its tasks, over sockets and cores.  Pure.

block    the next CPUs in order, through one socket after the other
cyclic   each task from the next socket
fcyclic  each CPU from the next socket

The same words again say in which order the CPUs of one socket go: block through the threads of a core first, cyclic
from core to core as tasks go, fcyclic as CPUs do.

Invariant: a CPU is dealt once, or the dealing begins anew with all of them.
"""

from __future__ import annotations

from typing import NamedTuple

from sluice.distribution import Distribution
from sluiced.binding.topology import Place


class Limits(NamedTuple):
    """How many tasks may share a core or a socket; 0: any number."""

    per_core: int = 0
    per_socket: int = 0


NO_LIMITS = Limits()


class NotEnough(Exception):
    """The CPUs are used up."""


def deal(
    places: dict[int, Place], ntasks: int, size: int, distribution: Distribution, limits: Limits = NO_LIMITS
) -> list[list[int]]:
    """Return for each task the numbers of *size* of the CPUs.  Raises NotEnough.

    places: the CPUs to deal, by number, in order.
    """
    dealer = _Dealer(places, size, distribution, limits)
    return [dealer.take() for _ in range(ntasks)]


def deal_again(places: dict[int, Place], ntasks: int, size: int, distribution: Distribution) -> list[list[int]]:
    """Return as deal() does; when the CPUs are used up, tasks share them from the first one on."""
    dealer = _Dealer(places, size, distribution, NO_LIMITS)
    return [dealer.take(is_refilled=True) for _ in range(ntasks)]


class _Dealer:
    def __init__(self, places: dict[int, Place], size: int, distribution: Distribution, limits: Limits) -> None:
        self._places = places
        self._size = size
        self._distribution = distribution
        self._limits = limits
        self._sockets = list(dict.fromkeys(place.socket for place in places.values()))
        self._next = 0
        self._refill()

    def _refill(self) -> None:
        self._left: dict[int, list[int]] = {
            socket: self._order([number for number, place in self._places.items() if place.socket == socket])
            for socket in self._sockets
        }
        self._tasks_by_core: dict[int, int] = {}
        self._tasks_by_socket: dict[int, int] = {}

    def _order(self, numbers: list[int]) -> list[int]:
        """Return the CPUs of a socket in the order in which they are dealt."""
        if self._distribution.cores == "block":
            return numbers
        chunk = 1 if self._distribution.cores == "fcyclic" else self._size
        seen: dict[int, int] = {}
        keys = {}
        for number in numbers:
            core = self._places[number].core
            keys[number] = (seen.get(core, 0) // chunk, core)
            seen[core] = seen.get(core, 0) + 1
        return sorted(numbers, key=lambda number: keys[number])

    def take(self, is_refilled: bool = False) -> list[int]:
        """Return the CPUs of the next task."""
        taken: list[int] = []
        while len(taken) < self._size:
            socket = self._socket(self._size - len(taken))
            if socket is None:
                if not is_refilled or not self._places:
                    raise NotEnough
                self._refill()
                continue
            left = self._left[socket]
            count = 1 if self._distribution.sockets == "fcyclic" else self._size - len(taken)
            taken += left[:count]
            del left[:count]
        self._close(taken)
        return taken

    def _socket(self, wanted: int) -> int | None:
        """Return the socket that the next CPUs come from."""
        is_block = self._distribution.sockets == "block"
        turn = self._sockets if is_block else self._sockets[self._next :] + self._sockets[: self._next]
        able = [socket for socket in turn if self._left[socket]]
        if self._distribution.sockets == "cyclic":
            # A task stays on one socket where one has room for it.
            able = [socket for socket in able if len(self._left[socket]) >= wanted] or able
        if not able:
            return None
        self._next = (self._sockets.index(able[0]) + 1) % len(self._sockets)
        return able[0]

    def _close(self, taken: list[int]) -> None:
        """Withhold the rest of cores and sockets that have as many tasks as they may."""
        for counts, limit, level in (
            (self._tasks_by_core, self._limits.per_core, "core"),
            (self._tasks_by_socket, self._limits.per_socket, "socket"),
        ):
            for group in {getattr(self._places[number], level) for number in taken}:
                counts[group] = counts.get(group, 0) + 1
                if limit and counts[group] >= limit:
                    for socket, left in self._left.items():
                        self._left[socket] = [n for n in left if getattr(self._places[n], level) != group]
