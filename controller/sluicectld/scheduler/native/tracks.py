"""The tracks of tracks.py over the compiled functions."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sluicectld.scheduler.tracks import NEVER, UNKNOWN, LevelMap

from .library import ffi, lib

_unpack: Callable[[Any, int], Any] = ffi.unpack


class NativeTracks:
    """The tracks of so many nodes; what each method does is said in tracks.AnyTracks."""

    def __init__(self, nodes: int) -> None:
        self._tracks = ffi.gc(lib.tracks_new(nodes), lib.tracks_free)
        self._now_at = 0.0
        self._change = lib.tracks_change
        self._first = lib.tracks_first
        self._earliest = lib.tracks_earliest
        # The addresses of the results never change.
        self._positions = lib.tracks_positions(self._tracks)
        self._offers = lib.tracks_offers(self._tracks)
        self._missing = lib.tracks_missing(self._tracks)

    @property
    def looks(self) -> int:
        count: int = lib.tracks_looks(self._tracks)
        return count

    @staticmethod
    def make_table(size: int) -> Any:
        return ffi.new("int32_t[]", [UNKNOWN] * size)

    @staticmethod
    def make_positions(positions: Sequence[int]) -> Any:
        return ffi.new("int32_t[]", positions)

    def begin(self, now_at: float) -> None:
        self._now_at = now_at
        lib.tracks_reset_looks(self._tracks)
        lib.tracks_begin(self._tracks, now_at)

    def set(self, position: int, actual: int, times: Sequence[float], levels: Sequence[int]) -> None:
        lib.tracks_set(self._tracks, position, actual, times, levels, len(times))

    def actual(self, position: int) -> int:
        level: int = lib.tracks_actual(self._tracks, position)
        return level

    def steps(self, position: int) -> tuple[list[float], list[int]]:
        count = lib.tracks_count(self._tracks, position)
        times = _unpack(lib.tracks_at(self._tracks, position), count)
        return times, _unpack(lib.tracks_level(self._tracks, position), count)

    def hold(self, position: int, until_at: float, moves: LevelMap) -> None:
        while self._change(self._tracks, position, self._now_at, until_at, 1, moves.values, moves.size):
            self._fill(moves)

    def plan(self, position: int, from_at: float, until_at: float, moves: LevelMap) -> None:
        while self._change(self._tracks, position, from_at, until_at, 0, moves.values, moves.size):
            self._fill(moves)

    def collect_now(
        self, offers: LevelMap, candidates: Any, start: int, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        return self._collect(offers, candidates, start, 0.0, until_at, 1, tasks, nodes)

    def collect_at(
        self, offers: LevelMap, candidates: Any, at: float, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        return self._collect(offers, candidates, 0, at, until_at, 0, tasks, nodes)

    def _collect(
        self,
        offers: LevelMap,
        candidates: Any,
        start: int,
        at: float,
        until_at: float,
        is_now: int,
        tasks: int,
        nodes: int,
    ) -> tuple[list[int], list[int]]:
        count = len(candidates)
        collect: Callable[..., int] = lib.tracks_collect
        while collect(
            self._tracks, offers.values, offers.size, candidates, count, start, at, until_at, is_now, tasks, nodes
        ):
            self._fill(offers)
        found = lib.tracks_found(self._tracks)
        return _unpack(self._positions, found), _unpack(self._offers, found)

    def first_now(self, offers: LevelMap, candidates: Any, start: int, until_at: float, tasks: int) -> int:
        count = len(candidates)
        while True:
            index: int = self._first(
                self._tracks, offers.values, offers.size, candidates, count, start, until_at, tasks
            )
            if index >= 0:
                return index
            self._fill(offers)

    def earliest(
        self, offers: LevelMap, candidates: Any, tasks: int, duration_s: float, from_at: float
    ) -> tuple[float, int] | None:
        count = len(candidates)
        while True:
            at = self._earliest(self._tracks, offers.values, offers.size, candidates, count, tasks, duration_s, from_at)
            if at < NEVER:
                return at, self._positions[0]
            if not math.isnan(at):
                return None
            self._fill(offers)

    def sweep(
        self, offers: LevelMap, candidates: Any, tasks: int, nodes: int, duration_s: float, from_at: float
    ) -> Iterator[float]:
        count = len(candidates)
        while lib.tracks_sweep(self._tracks, offers.values, offers.size, candidates, count, duration_s, from_at):
            self._fill(offers)
        while True:
            at = lib.tracks_next(self._tracks, offers.values, offers.size, tasks, nodes, duration_s, from_at)
            if at < NEVER:
                yield at
            elif math.isnan(at):
                self._fill(offers)
            else:
                return

    def _fill(self, table: LevelMap) -> None:
        missing = _unpack(self._missing, lib.tracks_missing_count(self._tracks))
        for level in missing:
            if level >= table.size or table.values[level] < 0:
                table.fill(level)
        assert missing, f"nothing is missing; {UNKNOWN} stands for it"
