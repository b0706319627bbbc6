"""Which CPUs of a node a job gets: whole units, over its sockets in turn or on few of them, near its units if it can.

Source: CONTRACT section 16.1 (CR_CORE_DEFAULT_DIST_BLOCK): cores are given cyclically over the sockets by default, on
as few sockets as possible when asked.
"""

from collections.abc import Sequence

import msgspec

from sluice import cpuset

from .layout import find_whole_units


class CpuRequest(msgspec.Struct, frozen=True):
    """What is asked of one node's CPUs.

    unit: CPUs given together.  count: in CPUs.  near: CPUs to take first, 0 for any; is_strict: no others.
    must_hit: of each of these masks at least one unit.  socket_units: units by task count on one socket, in the order
    of the tasks: the whole number of tasks is dealt to sockets; empty: tasks need not know of sockets.
    """

    unit: int
    count: int
    near: int = 0
    is_strict: bool = False
    must_hit: tuple[int, ...] = ()
    is_block: bool = False
    socket_units: tuple[int, ...] = ()
    tasks: int = 0


def pick_cpus(sockets: Sequence[int], depths: Sequence[int], request: CpuRequest) -> int | None:
    """Return the CPUs, or None.  depths: CPUs that may be had, the best ones first (free ones, shared ones)."""
    zones = _zones(sockets, depths, request)
    taken = 0
    for wanted in request.must_hit:
        if not taken & wanted:
            first = next((units for zone in zones if (units := _touching(zone & ~taken, wanted, request.unit))), 0)
            if not first:
                return None
            taken |= cpuset.lowest(first, request.unit)
    if request.socket_units:
        dealt = _deal_tasks(sockets, zones, taken, request)
        if dealt is None:
            return None
        taken |= dealt
    for zone in zones:
        missing = request.count - taken.bit_count()
        if missing <= 0:
            break
        taken |= spread(zone & ~taken, -(-missing // request.unit), sockets, request.unit, request.is_block)
    return taken if taken.bit_count() >= request.count else None


def spread(free: int, units: int, sockets: Sequence[int], unit: int, is_block: bool) -> int:
    """Return so many units of *free* (wholly free ones), or all: of the sockets in turn, or of few."""
    if units * unit >= free.bit_count():
        return free
    if len(sockets) == 1:
        return cpuset.lowest(free, units * unit)
    by_socket = [here for socket in sockets if (here := free & socket)]
    return _pack(by_socket, units, unit) if is_block else _turn(by_socket, units, unit)


def _pack(by_socket: list[int], units: int, unit: int) -> int:
    """Take the fullest socket that holds all, else the emptiest ones first."""
    taken = 0
    while units > 0:
        enough = [here for here in by_socket if here.bit_count() >= units * unit]
        chosen = min(enough, key=int.bit_count) if enough else max(by_socket, key=int.bit_count)
        part = cpuset.lowest(chosen, units * unit)
        taken |= part
        units -= part.bit_count() // unit
        by_socket.remove(chosen)
    return taken


def _turn(by_socket: list[int], units: int, unit: int) -> int:
    taken = 0
    while units > 0:
        each = max(units // len(by_socket), 1)
        left = []
        for here in by_socket:
            part = cpuset.lowest(here, min(each, units) * unit) if units > 0 else 0
            taken |= part
            units -= part.bit_count() // unit
            if here ^ part:
                left.append(here ^ part)
        by_socket = left
    return taken


def _zones(sockets: Sequence[int], depths: Sequence[int], request: CpuRequest) -> list[int]:
    """Return masks of whole units, best ones first, no CPU in two of them."""
    zones = []
    so_far = done = 0
    every = 0
    for socket in sockets:
        every |= socket
    for depth in depths:
        so_far |= depth
        whole = find_whole_units(so_far, request.unit) & ~done
        done |= whole
        if not request.near:
            zones.append(whole)
            continue
        near = _touching(whole, request.near, request.unit)
        zones.append(near)
        if not request.is_strict:
            zones.append(whole ^ near)
    return zones


def _touching(whole: int, wanted: int, unit: int) -> int:
    """Return the units of *whole* (wholly free ones) that have a CPU in *wanted*."""
    if unit == 1:
        return whole & wanted
    found = 0
    left = whole & wanted
    while left:
        first = ((left & -left).bit_length() - 1) // unit * unit
        block = ((1 << unit) - 1) << first
        found |= block
        left &= ~block
    return found


def _deal_tasks(sockets: Sequence[int], zones: Sequence[int], taken: int, request: CpuRequest) -> int | None:
    """Return the CPUs of all tasks, each socket with no more of them than it holds."""
    free = taken
    for zone in zones:
        free |= zone
    rooms = [(free & socket).bit_count() // request.unit for socket in sockets]
    most = [sum(1 for units in request.socket_units if units <= room) for room in rooms]
    if sum(most) < request.tasks:
        return None
    order = sorted(range(len(sockets)), key=lambda each: not sockets[each] & request.near)
    tasks = [0] * len(sockets)
    left = request.tasks
    while left:
        for each in order:
            part = min(most[each] - tasks[each], left, left if request.is_block else 1)
            tasks[each] += part
            left -= part
    dealt = 0
    for socket, count in zip(sockets, tasks, strict=True):
        missing = (request.socket_units[count - 1] if count else 0) * request.unit - (taken & socket).bit_count()
        for zone in zones:
            if missing <= 0:
                break
            part = cpuset.lowest(zone & socket & ~taken, missing)
            dealt |= part
            missing -= part.bit_count()
    return dealt
