"""Which units of a node a job gets: those that were named by type first, near one another, shards on few GPUs.

Units stand in groups near the same CPUs.  A choice is a set of units with the groups it uses; choices come with the
fewest groups first, so that CPUs can be found near all of them.
"""

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from sluice import cpuset
from sluice.model.request import GresRequest

from .layout import SHARING_NAMES, Layout

#: Sets of so many groups are all tried; of more only the first ones in order.
_GROUPS_MAX = 8
#: What is asked of a node: a resource and how many of it.
Wanted = Sequence[tuple[GresRequest, int]]


class UnitChoice(msgspec.Struct, frozen=True):
    """Units by row (a number for counted rows), and the CPUs near each group of them; empty: near all CPUs."""

    units: tuple[int, ...]
    groups: tuple[int, ...] = ()

    @property
    def near(self) -> int:
        near = 0
        for cpus in self.groups:
            near |= cpus
        return near


def choose_units(layout: Layout, usable: tuple[int, ...], wanted: Wanted) -> Iterator[UnitChoice]:
    """Yield the choices of few groups, then the one over all."""
    groups = _groups(layout, usable, wanted)
    if len(groups) > 1:
        # Of equally many groups the ones with the least to spare: whole groups stay for those who need them.
        order = sorted(groups, key=lambda cpus: _count_near(layout, usable, cpus))
        for subset in _subsets(order):
            units = fill(layout, _restrict(layout, usable, frozenset(subset)), wanted)
            if units is not None:
                yield _choice(layout, units)
    units = fill(layout, usable, wanted)
    if units is not None:
        yield _choice(layout, units)


def choose_by_socket(
    layout: Layout, usable: tuple[int, ...], per_socket: Wanted, sockets: Sequence[int], count: int
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return (units, sockets): so much of each on *count* sockets, on the ones with the least to spare."""
    found = []
    for socket in sockets:
        here = tuple(
            _near_units(free, row.near, socket) if row.near else 0
            for row, free in zip(layout.rows, usable, strict=True)
        )
        units = fill(layout, here, per_socket)
        if units is not None:
            found.append((sum(map(int.bit_count, here)), socket, units))
    if len(found) < count:
        return None
    found = sorted(found)[:count]
    together = [0] * len(usable)
    for _, _, units in found:
        together = [one | other for one, other in zip(together, units, strict=True)]
    if sum(map(int.bit_count, together)) < count * sum(number for _, number in per_socket):
        # Units near several sockets count for one of them.
        return None
    return tuple(together), tuple(socket for _, socket, _ in found)


def fill(layout: Layout, usable: Sequence[int], wanted: Wanted) -> tuple[int, ...] | None:
    """Return units by row for all that is wanted, or None."""
    left, taken = list(usable), [0] * len(usable)
    # Whole GPUs before parts of others; typed requests first: one for any type must not take the only units of one
    # that was named.
    for item, count in sorted(wanted, key=lambda pair: (pair[0].name in SHARING_NAMES, not pair[0].type)):
        for place, row in enumerate(layout.rows):
            if not count or row.name != item.name or item.type not in ("", row.type):
                continue
            if row.is_counted:
                units = part = min(left[place], count)
                left[place] -= part
                taken[place] += part
            else:
                units = _on_few_gpus(layout, place, left[place], count) or cpuset.lowest(left[place], count)
                part = units.bit_count()
                left[place] ^= units
                taken[place] |= units
            count -= part
            if row.name == "gpu":
                _exclude_parts(layout, left, units)
        if count:
            return None
    return tuple(taken)


def without(layout: Layout, usable: Sequence[int], units: Sequence[int]) -> tuple[int, ...]:
    """Return what may still be given of *usable* after *units* (none of them counted) were chosen."""
    left = [have & ~taken if taken else have for have, taken in zip(usable, units, strict=True)]
    for row, taken in zip(layout.rows, units, strict=True):
        if row.name == "gpu":
            _exclude_parts(layout, left, taken)
    return tuple(left)


def _exclude_parts(layout: Layout, left: list[int], gpus: int) -> None:
    for place, block, bit in layout.parts:
        if bit & gpus:
            left[place] &= ~block


def _on_few_gpus(layout: Layout, place: int, free: int, count: int) -> int:
    """Return parts of GPUs: on the fullest GPU that holds all, else on the emptiest first; 0 for whole units."""
    if place not in layout.sharing_rows:
        return 0
    blocks = [here for row, block, _ in layout.parts if row == place and (here := block & free)]
    units = 0
    while count and blocks:
        enough = [here for here in blocks if here.bit_count() >= count]
        chosen = min(enough, key=int.bit_count) if enough else max(blocks, key=int.bit_count)
        part = cpuset.lowest(chosen, count)
        units |= part
        count -= part.bit_count()
        blocks.remove(chosen)
    return units


def _groups(layout: Layout, usable: tuple[int, ...], wanted: Wanted) -> list[int]:
    names = {item.name for item, _ in wanted}
    found = {
        cpus: None
        for row, free in zip(layout.rows, usable, strict=True)
        if row.name in names and not row.is_counted
        for units, cpus in row.near
        if units & free
    }
    return list(found)


def _subsets(groups: list[int]) -> Iterator[tuple[int, ...]]:
    if len(groups) > _GROUPS_MAX:
        yield from (tuple(groups[first : first + size]) for size in (1, 2, 4) for first in range(len(groups)))
        return
    for size in range(1, len(groups) + 1):
        yield from itertools.combinations(groups, size)


def _restrict(layout: Layout, usable: tuple[int, ...], groups: frozenset[int]) -> tuple[int, ...]:
    return tuple(
        sum(units & free for units, cpus in row.near if cpus in groups) if row.near else free
        for row, free in zip(layout.rows, usable, strict=True)
    )


def _choice(layout: Layout, units: tuple[int, ...]) -> UnitChoice:
    used = {
        cpus: None
        for row, taken in zip(layout.rows, units, strict=True)
        if not row.is_counted
        for block, cpus in row.near
        if block & taken
    }
    return UnitChoice(units, tuple(used))


def _count_near(layout: Layout, usable: tuple[int, ...], cpus: int) -> int:
    return sum(
        (units & free).bit_count()
        for row, free in zip(layout.rows, usable, strict=True)
        for units, near in row.near
        if near == cpus
    )


def _near_units(free: int, near: tuple[tuple[int, int], ...], socket: int) -> int:
    return sum(units & free for units, cpus in near if cpus & socket)
