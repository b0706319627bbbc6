"""Which CPU and unit numbers are free on a node, and what becomes of them as jobs come and go.

A CPU is free, held by one job alone, or shared by jobs of one partition; of a shared CPU it is known how many jobs are
on it.  Units are given to one job at a time.

Invariant: give_back(take(free, taken), taken) == free.
"""

import msgspec

from .snapshot import Shared


class FreeMasks(msgspec.Struct, frozen=True):
    """What is free: CPUs that nobody has, units (a mask or a number) by row of the node, and shared CPUs."""

    cpus: int
    units: tuple[int, ...] = ()
    shared: Shared = ()


class TakenMasks(msgspec.Struct, frozen=True):
    """What a job takes.  partition: whose jobs may come beside it onto the same CPUs, "" for none."""

    cpus: int
    units: tuple[int, ...] = ()
    partition: str = ""


def take(free: FreeMasks, taken: TakenMasks, is_counted: tuple[bool, ...] = ()) -> FreeMasks:
    """Return what is left after the job came; what it takes has to be there."""
    held = taken.cpus & ~free.cpus
    if held:
        for depth in dict(free.shared).get(taken.partition, ()):
            held &= ~depth
        assert not held, f"CPUs {held:#x} are taken, free are {free.cpus:#x}"
    units = tuple(map(_without, free.units, taken.units, is_counted or (False,) * len(free.units)))
    shared = free.shared
    if taken.partition:
        shared = add_sharer(shared, taken.partition, taken.cpus)
    return FreeMasks(free.cpus & ~taken.cpus, units, shared)


def can_take(free: FreeMasks, taken: TakenMasks, is_counted: tuple[bool, ...] = ()) -> bool:
    """Is what the job would take there?"""
    held = taken.cpus & ~free.cpus
    for depth in dict(free.shared).get(taken.partition, ()):
        held &= ~depth
    counted = is_counted or (False,) * len(free.units)
    units = zip(free.units, taken.units, counted, strict=True)
    return not held and all(wanted <= have if number else not wanted & ~have for have, wanted, number in units)


def give_back(free: FreeMasks, taken: TakenMasks, is_counted: tuple[bool, ...] = ()) -> FreeMasks:
    """Return what is free after the job left; which of its CPUs are shared is known without it."""
    units = tuple(map(_with, free.units, taken.units, is_counted or (False,) * len(free.units)))
    cpus, shared = remove_sharer(free.shared, taken.cpus)
    return FreeMasks(free.cpus | cpus, units, shared)


def lower(one: FreeMasks, other: FreeMasks, is_counted: tuple[bool, ...] = ()) -> FreeMasks:
    """Return what is free under both; a CPU is as crowded as under the worse of them."""
    counted = is_counted or (False,) * len(one.units)
    units = tuple(
        min(mine, its) if number else mine & its
        for mine, its, number in zip(one.units, other.units, counted, strict=True)
    )
    return FreeMasks(one.cpus & other.cpus, units, _more_crowded(one, other))


def shareable(free: FreeMasks, partition: str, jobs_max: int) -> list[int]:
    """Return masks of CPUs that a sharing job may get: free ones, then those with one job, and so on."""
    found = [free.cpus]
    if jobs_max > 1:
        found += dict(free.shared).get(partition, ())[: jobs_max - 1]
    return found


def add_sharer(shared: Shared, partition: str, cpus: int) -> Shared:
    """Return the shared CPUs after one more job came onto *cpus*."""
    depths = list(dict(shared).get(partition, ()))
    alone = cpus
    for depth in depths:
        alone &= ~depth
    moving = alone
    for place, depth in enumerate(depths):
        leaving = depth & cpus
        depths[place] = (depth & ~cpus) | moving
        moving = leaving
    if moving:
        depths.append(moving)
    return _put(shared, partition, depths)


def remove_sharer(shared: Shared, cpus: int) -> tuple[int, Shared]:
    """Return (CPUs that nobody has any more, the shared ones) after one job left *cpus*."""
    freed = cpus
    for partition, known in shared:
        depths = list(known)
        here = 0
        for depth in depths:
            here |= depth
        if not here & cpus:
            continue
        freed = (freed & ~here) | (depths[0] & cpus)
        for place, depth in enumerate(known):
            deeper = known[place + 1] if place + 1 < len(known) else 0
            depths[place] = (depth & ~cpus) | (deeper & cpus)
        shared = _put(shared, partition, depths)
    return freed, shared


def _put(shared: Shared, partition: str, depths: list[int]) -> Shared:
    while depths and not depths[-1]:
        depths.pop()
    others = [entry for entry in shared if entry[0] != partition]
    return tuple(sorted([*others, (partition, tuple(depths))] if depths else others))


def _more_crowded(one: FreeMasks, other: FreeMasks) -> Shared:
    if one.shared == other.shared and one.cpus == other.cpus:
        return one.shared
    mine, its = dict(one.shared), dict(other.shared)
    found: Shared = ()
    for partition in mine.keys() | its.keys():
        my_depths, its_depths = mine.get(partition, ()), its.get(partition, ())
        mine_up_to, its_up_to = one.cpus, other.cpus
        depths = []
        for place in range(max(len(my_depths), len(its_depths))):
            my_depth = my_depths[place] if place < len(my_depths) else 0
            its_depth = its_depths[place] if place < len(its_depths) else 0
            depths.append((my_depth & (its_up_to | its_depth)) | (its_depth & mine_up_to))
            mine_up_to |= my_depth
            its_up_to |= its_depth
        found = _put(found, partition, depths)
    return found


def _without(have: int, taken: int, is_counted: bool) -> int:
    return have - taken if is_counted else have & ~taken


def _with(have: int, given: int, is_counted: bool) -> int:
    return have + given if is_counted else have | given
