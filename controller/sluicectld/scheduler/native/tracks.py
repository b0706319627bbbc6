"""The tracks of tracks.py over the compiled functions."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sluicectld.scheduler.task_rows import Row, TaskRows
from sluicectld.scheduler.tracks import NEVER, Move

from .library import ffi, lib

_unpack: Callable[[Any, int], Any] = ffi.unpack


class NativeTracks:
    """The tracks of so many nodes; what each method does is said in tracks.AnyTracks."""

    def __init__(self, nodes: int, width: int) -> None:
        self._tracks = ffi.gc(lib.tracks_new(nodes, width), lib.tracks_free)
        self._width = width
        # What the asks point to has to live as long as they do.
        self._asks: WeakKeyDictionary[Any, tuple[TaskRows, Any]] = WeakKeyDictionary()
        # Looked up once: these are called most.
        self._change = lib.tracks_change
        self._first = lib.tracks_first
        self._earliest = lib.tracks_earliest
        self._earlier = lib.tracks_earlier
        # The addresses of the results never change.
        self._positions = lib.tracks_positions(self._tracks)
        self._offers = lib.tracks_offers(self._tracks)

    @property
    def looks(self) -> int:
        count: int = lib.tracks_looks(self._tracks)
        return count

    @staticmethod
    def make_row(row: Row) -> Any:
        return ffi.new("int64_t[]", row)

    @staticmethod
    def make_positions(positions: Sequence[int]) -> Any:
        return ffi.new("int32_t[]", positions)

    def begin(self, now_at: float) -> None:
        lib.tracks_begin(self._tracks, now_at)

    def set(self, position: int, kind: int, full: Row, actual: Row) -> None:
        lib.tracks_set(self._tracks, position, kind, full, actual)

    def actual(self, position: int) -> Row:
        return tuple(_unpack(lib.tracks_actual(self._tracks, position), self._width))

    def steps(self, position: int) -> tuple[list[float], list[Row]]:
        count, width = lib.tracks_count(self._tracks, position), self._width
        numbers = _unpack(lib.tracks_rows(self._tracks, position), count * width)
        rows = [tuple(numbers[first : first + width]) for first in range(0, count * width, width)]
        return _unpack(lib.tracks_at(self._tracks, position), count), rows

    def change(
        self, positions: Sequence[int], from_at: float, until_at: float, row: Any, move: Move, is_held: bool
    ) -> None:
        if len(positions) == 1:
            self._change(self._tracks, positions[0], from_at, until_at, row, move, is_held)
        else:
            count = len(positions)
            lib.tracks_change_all(self._tracks, positions, count, from_at, until_at, row, move, is_held)

    def first_now(self, task_rows: TaskRows, candidates: Any, start: int, until_at: float, tasks: int) -> int:
        count = len(candidates)
        index: int = self._first(self._tracks, _native(task_rows), candidates, count, start, until_at, tasks)
        return index

    def make_ask(self, rows: TaskRows, candidates: Any, tasks: int, duration_s: float) -> Any:
        ask = ffi.new("Ask *", (_native(rows), candidates, len(candidates), tasks, duration_s))
        self._asks[ask] = (rows, candidates)
        return ask

    def first_ask(self, asks: Sequence[Any]) -> int:
        index: int = lib.tracks_first_ask(self._tracks, asks, len(asks))
        return index

    def collect_now(
        self, task_rows: TaskRows, candidates: Any, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        return self._collect(task_rows, candidates, 0.0, until_at, True, tasks, nodes)

    def collect_at(
        self, task_rows: TaskRows, candidates: Any, at: float, until_at: float, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        return self._collect(task_rows, candidates, at, until_at, False, tasks, nodes)

    def _collect(
        self, task_rows: TaskRows, candidates: Any, at: float, until_at: float, is_now: bool, tasks: int, nodes: int
    ) -> tuple[list[int], list[int]]:
        count = len(candidates)
        found = lib.tracks_collect(
            self._tracks, _native(task_rows), candidates, count, 0, at, until_at, is_now, tasks, nodes
        )
        return _unpack(self._positions, found), _unpack(self._offers, found)

    def earliest(
        self, task_rows: TaskRows, candidates: Any, tasks: int, duration_s: float, from_at: float
    ) -> tuple[float, int] | None:
        count = len(candidates)
        at: float = self._earliest(self._tracks, _native(task_rows), candidates, count, tasks, duration_s, from_at)
        return (at, self._positions[0]) if at < NEVER else None

    def moves_earlier(self, ask: Any, position: int, at: float, row: Any) -> bool:
        earliest_at: float = self._earlier(self._tracks, ask, position, at, row)
        return earliest_at < at

    def sweep(
        self, task_rows: TaskRows, candidates: Any, tasks: int, nodes: int, duration_s: float, from_at: float
    ) -> Iterator[float]:
        native = _native(task_rows)
        lib.tracks_sweep(self._tracks, native, candidates, len(candidates), duration_s, from_at)
        while (at := lib.tracks_next(self._tracks, native, tasks, nodes, duration_s, from_at)) < NEVER:
            yield at


def _native(task_rows: TaskRows) -> Any:
    """Return the rows as the compiled functions take it, with what they point to."""
    if task_rows.native is None:
        tasks = [ffi.new("int32_t[]", each) for each in task_rows.tasks]
        rows = [ffi.new("int64_t[]", [number for row in each for number in row]) for each in task_rows.rows]
        counts = ffi.new("int32_t[]", [len(each) for each in task_rows.tasks])
        tables = ffi.new("int32_t *[]", tasks), ffi.new("int64_t *[]", rows)
        values = {"count": counts, "tasks": tables[0], "rows": tables[1]}
        native = ffi.new("TaskRows *", values | {"least": task_rows.least, "is_alone": task_rows.is_alone})
        task_rows.native = (native, tasks, rows, counts, tables)
    return task_rows.native[0]
