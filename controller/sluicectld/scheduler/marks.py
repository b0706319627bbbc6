"""What sets nodes apart that are at the same level: whose they are, what is reserved, what a request leaves out.

Nodes of equal level and equal marks are one group for every question about counts (funnel.py, holders.py).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import IntFlag

from .needs import Needs
from .place import sum_of_best
from .shapes import Shape
from .working import WorkingCopy


class Mark(IntFlag):
    """What sets a node apart that is at the same level as others."""

    EXCLUDED = 1
    #: Not of the job's own reservation.
    OUTSIDE = 2
    #: Of another user, alone.
    FOREIGN = 4
    #: Others have reserved it, or the part that is free.
    RESERVED = 8
    #: The partition has as many CPUs there as it may.
    CAPPED = 16


def find_free(shape: Shape, working: WorkingCopy, now_at: float) -> list[int]:
    """Return the candidates that have something free for the job until it would end, plans left out of account."""
    threshold, marks = threshold_of(shape.needs), find_marks(shape, working, now_at)
    return [each for each in shape.candidates if each not in marks and shape.offer(working.levels[each]) >= threshold]


def find_marks(shape: Shape, working: WorkingCopy, now_at: float) -> dict[int, int]:
    """Return what sets nodes apart from others, by position, where something does."""
    marks = find_fixed_marks(shape, working)
    if shape.uid is not None:
        uid, is_alone = shape.uid, shape.needs.is_user_exclusive
        owned = working.uids_by_position.keys() | working.owner_by_position.keys()
        _add(marks, (each for each in owned if working.is_foreign(each, uid, is_alone)), Mark.FOREIGN)
    until_at = now_at + shape.duration_s
    if shape.access is not None:
        standing = [each for each in shape.view.closures if not each.cpus and each.meets(now_at, until_at)]
        _add(marks, frozenset[int]().union(*(each.positions for each in standing)), Mark.RESERVED)
    if shape.is_capped or (shape.access is not None and shape.access.is_cutting):
        _add(marks, _find_cut(shape, working, now_at, until_at), Mark.RESERVED if shape.access else Mark.CAPPED)
    return marks


def is_short_unmarked(shape: Shape, working: WorkingCopy, marks: Mapping[int, int]) -> bool:
    """Does the request need nodes that have marks: could the others not hold it even if they were idle?"""
    needs, threshold = shape.needs, threshold_of(shape.needs)
    if any(position in marks for position in shape.required):
        return True
    offers: Counter[int] = Counter()
    for position in shape.candidates:
        if position not in marks:
            offers[shape.offer(shape.cut_idle(working.idle_level(position)))] += 1
    useful = Counter({offer: count for offer, count in offers.items() if offer >= max(threshold, 1)})
    nodes = useful.total()
    return nodes < needs.nodes_min or sum_of_best(useful, needs.nodes_max or nodes) < needs.tasks


def _find_cut(shape: Shape, working: WorkingCopy, from_at: float, until_at: float) -> Iterator[int]:
    """Yield the nodes of use of which so much is kept that they are of none."""
    threshold = threshold_of(shape.needs)
    for position in shape.candidates:
        level = working.levels[position]
        if shape.offer(level) >= threshold > shape.offer(shape.cut(level, position, from_at, until_at)):
            yield position


def find_fixed_marks(shape: Shape, working: WorkingCopy) -> dict[int, int]:
    """Return what of it is the request's own and its reservation's, whatever runs."""
    marks = dict.fromkeys(working.positions_of(shape.needs.excluded_nodes), int(Mark.EXCLUDED))
    inside = shape.view.positions
    if inside is not None:
        _add(marks, set(range(len(working.levels))).difference(inside), Mark.OUTSIDE)
    return marks


def _add(marks: dict[int, int], positions: Iterable[int], mark: Mark) -> None:
    for position in positions:
        marks[position] = marks.get(position, 0) | mark


def threshold_of(needs: Needs) -> int:
    """Return how many tasks a node must hold to be of use."""
    return needs.tasks if needs.is_single_node and not needs.is_overcommitted else max(needs.node_tasks_min, 1)
