"""What stands where on a node: CPUs in cores and sockets, units near CPUs, shards on GPUs, and what is withheld.

CPU numbers run through threads, cores and sockets in this order; unit numbers run through all types of a name
(gpu 0-1 a100, gpu 2-3 h100).  A node whose CPUs are not sockets x cores x threads is one socket of single CPUs.

Source: CONTRACT sections 16.2 and 16.4; withheld cores are the last of each socket in turn, the last socket first.
"""

from functools import cached_property, lru_cache

from sluice import cpuset
from sluice.errors import InvalidRequest
from sluice.model.node import GresPlace, Node

from .snapshot import GresFree, NodeFree

#: Resources that are parts of a GPU: a GPU is given whole or in such parts, never both.
SHARING_NAMES = frozenset({"shard", "mps"})
#: More units than this have no identity: a mask of them would be larger than all else of a node.
_NUMBERED_MAX = 4096


class Row:
    """The units of one name and type.  near: (units, CPUs) that stand together, only where that is known."""

    __slots__ = ("is_counted", "name", "near", "total", "type")

    def __init__(self, name: str, kind: str, total: int, is_counted: bool, near: tuple[tuple[int, int], ...]) -> None:
        self.name = name
        self.type = kind
        #: A mask, or a number if is_counted.
        self.total = total
        self.is_counted = is_counted
        self.near = near


class Layout:
    """The layout of nodes of equal configuration."""

    def __init__(self, node: Node) -> None:
        has_topology = node.cpus == node.sockets * node.cores_per_socket * node.threads_per_core
        self._threads = node.threads_per_core if has_topology else 1
        socket_cpus = node.cpus // node.sockets if has_topology else node.cpus
        #: CPUs of each socket.
        self.sockets = tuple(
            ((1 << socket_cpus) - 1) << first for first in range(0, node.cpus, socket_cpus) if socket_cpus
        )
        #: CPUs that jobs may get.
        self.cpus = ((1 << node.cpus) - 1) & ~self._withheld(node)
        self.memory_mib = max(node.memory_mib - node.mem_spec_limit_mib, 0)
        self.rows = _rows(node)
        self.sharing_rows = tuple(place for place, row in enumerate(self.rows) if row.name in SHARING_NAMES)

    def _withheld(self, node: Node) -> int:
        if not node.cpu_spec_list:
            return self.system_cpus(node.core_spec_count)
        try:
            return cpuset.parse(node.cpu_spec_list)
        except InvalidRequest:
            return 0

    def system_cpus(self, cores: int) -> int:
        """Return the CPUs that stay with the system when so many cores do."""
        return last_cores(self.sockets, cores, self._threads)

    @cached_property
    def has_near(self) -> bool:
        """Is it known of some units which CPUs are near them?"""
        return any(cpus & self.cpus != self.cpus for row in self.rows for _, cpus in row.near)

    @cached_property
    def parts(self) -> tuple[tuple[int, int, int], ...]:
        """Return (row, its units, GPU bit): which shards are parts of which GPU."""
        gpus = 0
        for row in self.rows:
            if row.name == "gpu":
                gpus |= row.total
        bits = [1 << number for number in cpuset.numbers(gpus)]
        found: list[tuple[int, int, int]] = []
        for place in self.sharing_rows:
            row = self.rows[place]
            blocks = [units for units, _ in row.near]
            if len(blocks) != len(bits):
                blocks = _spread_evenly(row.total, len(bits))
            found += [(place, units, bit) for units, bit in zip(blocks, bits, strict=True) if units]
        return tuple(found)

    def usable(self, units: tuple[int, ...]) -> tuple[int, ...]:
        """Return the free units that may be given: no GPU that is given in parts, no part of a GPU that is given."""
        if not self.sharing_rows:
            return units
        free_gpus = 0
        for row, free in zip(self.rows, units, strict=True):
            if row.name == "gpu":
                free_gpus |= free
        usable = list(units)
        whole = free_gpus
        in_parts: dict[int, int] = {}
        for place, block, bit in self.parts:
            if not free_gpus & bit:
                usable[place] &= ~block
            elif units[place] & block != block:
                whole &= ~bit
                in_parts[bit] = place
        for place, block, bit in self.parts:
            # A GPU given in parts of one kind has none of another.
            if in_parts.get(bit, place) != place:
                usable[place] &= ~block
        return tuple(free & whole if row.name == "gpu" else free for row, free in zip(self.rows, usable, strict=True))

    def count(self, units: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many units of each row may be given."""
        return tuple(
            free if row.is_counted else free.bit_count()
            for row, free in zip(self.rows, self.usable(units), strict=True)
        )


@lru_cache(maxsize=4096)
def _layout_of(*fields: object) -> Layout:
    node = Node(name="", **dict(zip(_LAYOUT_FIELDS, fields, strict=True)))  # type: ignore[arg-type]
    return Layout(node)


_LAYOUT_FIELDS = (
    "cpus",
    "sockets",
    "cores_per_socket",
    "threads_per_core",
    "memory_mib",
    "gres",
    "core_spec_count",
    "cpu_spec_list",
    "mem_spec_limit_mib",
    "gres_places",
)


def layout_of(node: Node) -> Layout:
    """Return the layout of the node; nodes of equal configuration share it."""
    return _layout_of(*[getattr(node, field) for field in _LAYOUT_FIELDS])


def compute_idle(node: Node) -> NodeFree:
    """Return the node with nothing taken."""
    layout = layout_of(node)
    gres = tuple([GresFree(row.name, row.type, row.total, row.total, row.is_counted) for row in layout.rows])
    return NodeFree(node, layout.cpus, layout.memory_mib, gres)


def find_whole_units(mask: int, unit: int) -> int:
    """Return the CPUs of *mask* whose unit of so many CPUs is wholly free."""
    if unit == 1:
        return mask
    starts = mask & _first_of_units(-(-mask.bit_length() // unit), unit)
    done = 1
    while done < unit:
        step = min(done, unit - done)
        mask &= mask >> step
        done += step
    return (starts & mask) * ((1 << unit) - 1)


@lru_cache(maxsize=1024)
def _first_of_units(units: int, unit: int) -> int:
    return ((1 << units * unit) - 1) // ((1 << unit) - 1)


def last_cores(sockets: tuple[int, ...], count: int, threads: int) -> int:
    """Return the CPUs of so many cores: the last of each socket in turn, the last socket first."""
    left = [cpuset.numbers(socket)[::-threads] for socket in reversed(sockets)]
    taken = 0
    while count and any(left):
        for tops in left:
            if tops and count:
                taken |= ((1 << threads) - 1) << (tops.pop(0) - threads + 1)
                count -= 1
    return taken


def _rows(node: Node) -> tuple[Row, ...]:
    rows = []
    first_by_name: dict[str, int] = {}
    threads = node.threads_per_core if node.cpus == node.sockets * node.cores_per_socket * node.threads_per_core else 1
    for item in node.gres:
        places = [
            each
            for each in node.gres_places
            if each.name == item.name and (not item.type or each.type in ("", item.type))
        ]
        if item.count > _NUMBERED_MAX or any(each.is_counted for each in places):
            rows.append(Row(item.name, item.type, item.count, True, ()))
            continue
        first = first_by_name.get(item.name, 0)
        first_by_name[item.name] = first + item.count
        total = ((1 << item.count) - 1) << first
        rows.append(Row(item.name, item.type, total, False, _near(places, total, node.cpus, threads)))
    return tuple(rows)


def _near(places: list[GresPlace], total: int, cpus: int, threads: int) -> tuple[tuple[int, int], ...]:
    """Return (units, CPUs) for each place; places that do not add up to the units tell nothing."""
    if sum(each.count for each in places) != total.bit_count():
        return ()
    found = []
    left = total
    for each in places:
        units = cpuset.lowest(left, each.count)
        left ^= units
        found.append((units, _cpus_of_cores(each.cores, threads) or (1 << cpus) - 1))
    return tuple(found)


def _cpus_of_cores(cores: str, threads: int) -> int:
    try:
        return sum(((1 << threads) - 1) << core * threads for core in cpuset.numbers(cpuset.parse(cores)))
    except InvalidRequest:
        return 0


def _spread_evenly(total: int, blocks: int) -> list[int]:
    if not blocks:
        return []
    base, more = divmod(total.bit_count(), blocks)
    found = []
    for number in range(blocks):
        units = cpuset.lowest(total, base + (number < more))
        total ^= units
        found.append(units)
    return found
