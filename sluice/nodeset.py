"""Node sets as bitmaps: one Python integer per set, over a fixed order of node names.

Bit i of a mask is node i of the universe.  Union, intersection, difference and size are then |, &, & ~
and bit_count() at machine speed, also for 100,000 nodes.

Invariant: the universe's order never changes; a changed cluster is a new universe, and masks of different
universes are not compared.
"""

from __future__ import annotations

from sluice import hostlist
from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class NodeUniverse:
    """The node names of a cluster in a fixed order, and the sets of them."""

    __slots__ = ("_index_by_name", "all_mask", "node_names")

    def __init__(self, names: Iterable[str]) -> None:
        #: In the order of the bits.
        self.node_names: tuple[str, ...] = tuple(names)
        self._index_by_name = {name: index for index, name in enumerate(self.node_names)}
        assert len(self._index_by_name) == len(self.node_names), "a node name occurs twice"
        #: The set of all nodes.
        self.all_mask: int = (1 << len(self.node_names)) - 1

    def __len__(self) -> int:
        return len(self.node_names)

    def __contains__(self, name: str) -> bool:
        return name in self._index_by_name

    def index(self, name: str) -> int:
        """Return the bit of node *name*.

        Raises InvalidRequest if there is no such node.
        """
        try:
            return self._index_by_name[name]
        except KeyError:
            raise InvalidRequest(f"node {name[:80]!r} is not in this cluster", code="invalid_node") from None

    def mask(self, names: Iterable[str]) -> int:
        """Return the set of the nodes *names*; duplicates count once.

        Raises InvalidRequest if one is not in this cluster.
        """
        return mask_of(map(self.index, names))

    def names(self, mask: int) -> list[str]:
        """Return the names of *mask* in the order of the universe."""
        if mask == self.all_mask:
            return list(self.node_names)
        return [self.node_names[index] for index in indices(mask)]

    def complement(self, mask: int) -> int:
        """Return the nodes that are not in *mask*."""
        return self.all_mask & ~mask

    def fold(self, mask: int) -> str:
        """Return the hostlist of *mask*."""
        return hostlist.fold(self.names(mask))

    def expand(self, text: str) -> int:
        """Return the set of nodes that the hostlist *text* names.

        Raises InvalidRequest if *text* is no hostlist or names a node that is not in this cluster.
        """
        return self.mask(hostlist.expand(text))


def count(mask: int) -> int:
    """Return how many nodes *mask* has."""
    return mask.bit_count()


def indices(mask: int) -> Iterator[int]:
    """Yield the bits of *mask* in ascending order."""
    # Searching the binary text is linear; taking the lowest bit off an integer copies it each time.
    bits = bin(mask)[:1:-1]
    index = bits.find("1")
    while index >= 0:
        yield index
        index = bits.find("1", index + 1)


def mask_of(some_indices: Iterable[int]) -> int:
    """Return the set of the nodes with these bits."""
    some = list(some_indices)
    if len(some) < 16:
        mask = 0
        for index in some:
            mask |= 1 << index
        return mask
    octets = bytearray(max(some) // 8 + 1)
    for index in some:
        octets[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(octets, "little")


def least(mask: int) -> int:
    """Return the lowest bit of *mask*, -1 if it is empty."""
    return (mask & -mask).bit_length() - 1


def first(mask: int, wanted: int) -> int:
    """Return the *wanted* lowest nodes of *mask*, or all if it has no more."""
    if mask.bit_count() <= wanted:
        return mask
    if wanted <= 0:
        return 0
    for position, index in enumerate(indices(mask), start=1):
        if position == wanted:
            return mask & ((1 << (index + 1)) - 1)
    raise AssertionError("bit_count and indices disagree")
