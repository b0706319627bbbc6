"""The fewest nodes that fill several counts at once: [a*2&b*1] on two nodes when one of them has both.

Nodes that suit the same counts are alike, so the search is over how many of each sort are taken.

Invariant: no smaller set of the given nodes fills the counts, unless the search was cut at its bound.
"""

from collections.abc import Sequence

#: Which of the counts a node suits.
Sort = tuple[bool, ...]
#: Numbers of nodes by sort that are looked at.
_STEPS_MAX = 20_000


def find_cover(
    counts: Sequence[int], suited: Sequence[tuple[int, Sort]], required: frozenset[int] = frozenset()
) -> set[int] | None:
    """Return a smallest set of nodes with the required ones, in which each count is filled; first ones first."""
    positions: dict[Sort, list[int]] = {}
    missing = list(counts)
    for position, sort in suited:
        if position in required:
            missing = [left - fits for left, fits in zip(missing, sort, strict=True)]
        elif any(sort):
            positions.setdefault(sort, []).append(position)
    # Nodes that serve many counts come first: what they leave is filled by the others.
    sorts = sorted(positions, key=lambda sort: -sum(sort))
    numbers = _Search([(sort, len(positions[sort])) for sort in sorts]).run(tuple(max(left, 0) for left in missing))
    if numbers is None:
        return None
    chosen = set(required)
    for sort, number in zip(sorts, numbers, strict=True):
        chosen.update(positions[sort][:number])
    return chosen


class _Search:
    """Depth first over the sorts, the most of each first; stops at what can not beat the best."""

    def __init__(self, sorts: list[tuple[Sort, int]]) -> None:
        self._sorts = sorts
        self._best: tuple[int, ...] | None = None
        self._steps = 0

    def run(self, missing: tuple[int, ...]) -> tuple[int, ...] | None:
        self._look(missing, ())
        return self._best

    def _look(self, missing: tuple[int, ...], taken: tuple[int, ...]) -> None:
        self._steps += 1
        least = sum(taken) + max(missing, default=0)
        if self._steps > _STEPS_MAX or (self._best is not None and least >= sum(self._best)):
            return
        if not any(missing):
            self._best = taken + (0,) * (len(self._sorts) - len(taken))
            return
        if len(taken) == len(self._sorts):
            return
        sort, available = self._sorts[len(taken)]
        useful = max((left for left, fits in zip(missing, sort, strict=True) if fits), default=0)
        for number in range(min(available, useful), -1, -1):
            left = tuple(max(have - number, 0) if fits else have for have, fits in zip(missing, sort, strict=True))
            self._look(left, (*taken, number))
