"""What a request gets on a node whose free CPU and unit numbers are known: the numbers themselves.

offer.py asks here wherever counts would promise too much: units near CPUs, parts of GPUs, shared CPUs, tasks by socket.

Invariant: what pick() returns is free at the level, and is all that so many tasks need.
"""

from collections.abc import Iterator

from .demand import Share, charged_for, cpus_for, gpu_count, memory_for, units_for, units_wanted
from .levels import Level, Take
from .masks import FreeMasks, TakenMasks, shareable
from .needs import Needs
from .pick_cpus import CpuRequest, pick_cpus
from .pick_units import UnitChoice, Wanted, choose_by_socket, choose_units, without

#: Only CPUs near the units, then others too.
_STRICTNESS = {"enforce": (True,), "prefer": (True, False), "ignore": (False,)}


def pick(level: Level, needs: Needs, tasks: int, share: Share = ()) -> Take | None:
    """Return what so many tasks take from the node, or None when it does not have that."""
    free = level.free
    assert free is not None, "not an exact level"
    depths = shareable(free, needs.sharing_in, needs.sharers_max)
    if needs.core_spec:
        kept = level.kind.layout.system_cpus(needs.core_spec)
        depths = [depth & ~kept for depth in depths]
    choices = list(_choices(level, free, needs, tasks, share))
    for is_strict in _STRICTNESS[needs.binding]:
        for choice in choices:
            cpus = pick_cpus(level.kind.layout.sockets, depths, _cpu_request(level, needs, tasks, choice, is_strict))
            if cpus is not None:
                take = _take(level, needs, tasks, cpus, choice)
                if _is_allowed(level, needs, take):
                    return take
    return None


def count_exactly(level: Level, needs: Needs, most: int) -> int:
    """Return how many tasks, at most *most*, the node holds."""
    if most <= 0 or pick(level, needs, most) is not None:
        return max(most, 0)
    low, high = 0, most - 1
    while low < high:
        middle = (low + high + 1) // 2
        if pick(level, needs, middle) is not None:
            low = middle
        else:
            high = middle - 1
    return low


def take_exactly(level: Level, needs: Needs, tasks: int, share: Share = ()) -> Take | None:
    """Return what the job takes: for so many tasks, or where only more of them work out, for those."""
    for count in range(tasks, needs.tasks + 1):
        take = pick(level, needs, count, share)
        if take is not None:
            return take
    return None


def _choices(level: Level, free: FreeMasks, needs: Needs, tasks: int, share: Share) -> Iterator[UnitChoice]:
    layout = level.kind.layout
    usable = layout.usable(free.units)
    wanted = units_wanted(needs, tasks, share)
    if needs.gres_per_socket and layout.has_near:
        yield from _socket_choices(level, needs, usable, wanted)
    elif not wanted:
        yield UnitChoice((0,) * len(usable))
    else:
        yield from choose_units(layout, usable, wanted)


def _socket_choices(level: Level, needs: Needs, usable: tuple[int, ...], wanted: Wanted) -> Iterator[UnitChoice]:
    layout = level.kind.layout
    per_socket = [(item, item.count) for item in needs.gres_per_socket]
    count = max(needs.sockets_min, 1)
    chosen = choose_by_socket(layout, usable, per_socket, layout.sockets, count)
    if chosen is None:
        return
    units, sockets = chosen
    # The sum over the sockets stands among what is wanted of the node, last before the tasks' own.
    first = len(needs.gres_per_node) - len(needs.gres_per_socket)
    others = [*wanted[:first], *wanted[len(needs.gres_per_node) :]]
    rest = without(layout, usable, units)
    for choice in choose_units(layout, rest, others) if others else (UnitChoice((0,) * len(usable)),):
        together = tuple(one | other for one, other in zip(units, choice.units, strict=True))
        yield UnitChoice(together, sockets)


def _cpu_request(level: Level, needs: Needs, tasks: int, choice: UnitChoice, is_strict: bool) -> CpuRequest:
    kind = level.kind
    count = cpus_for(kind, needs, tasks, _gpus(level, choice))
    if needs.is_whole_shared:
        count = max(count, kind.full.cpus)
    socket_units: tuple[int, ...] = ()
    if needs.socket_tasks_max:
        most = min(needs.socket_tasks_max, tasks)
        socket_units = tuple([units_for(kind, needs, number) for number in range(1, most + 1)])
    near = choice.near if needs.binding != "ignore" else 0
    must_hit = choice.groups if needs.binding == "enforce" or needs.gres_per_socket else ()
    return CpuRequest(kind.unit, count, near, is_strict, must_hit, needs.is_block, socket_units, tasks)


def _take(level: Level, needs: Needs, tasks: int, cpus: int, choice: UnitChoice) -> Take:
    kind = level.kind
    units = choice.units
    if needs.is_exclusive:
        cpus = kind.layout.cpus
        units = _all_units(level, choice)
    gres = tuple(
        each if is_counted else each.bit_count() for each, is_counted in zip(units, kind.is_counted, strict=True)
    )
    gpus = gpu_count(kind, gres)
    charged = charged_for(kind, needs, cpus.bit_count(), tasks, gpus)
    memory_mib = memory_for(kind, needs, charged, gpus)
    masks = TakenMasks(cpus, units, needs.sharing_in)
    return Take(cpus.bit_count(), memory_mib, gres, masks, charged=charged)


def _is_allowed(level: Level, needs: Needs, take: Take) -> bool:
    if take.memory_mib > level.memory_mib:
        return False
    return not needs.node_cpus_max or needs.is_exclusive or take.cpus <= needs.node_cpus_max


def _all_units(level: Level, choice: UnitChoice) -> tuple[int, ...]:
    """Return every unit of the node; its GPUs whole unless parts of them were asked."""
    layout = level.kind.layout
    in_parts = any(choice.units[place] for place in layout.sharing_rows)
    units = []
    for place, row in enumerate(layout.rows):
        is_part = place in layout.sharing_rows
        is_chosen = in_parts and (is_part or row.name == "gpu")
        units.append(choice.units[place] if is_chosen else 0 if is_part else row.total)
    return tuple(units)


def _gpus(level: Level, choice: UnitChoice) -> int:
    rows = zip(level.kind.layout.rows, choice.units, strict=True)
    return sum(units.bit_count() for row, units in rows if row.name == "gpu")
