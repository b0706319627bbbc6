"""What maps of nodes in groups have in common: every node has a leaf, and lists of candidates are made by leaves.

Which lists, and in which order, is the plugin's: _arrange().
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from sluice.model.topology import TopologyUnit
from sluice_plugins.interfaces import TopologyRequest, UnitView

from .leaves import LeafOffers, number_leaves


class LeafMap(ABC):
    """leaves: the groups.  A node that is in none of them is a leaf of its own, above those by number."""

    is_arranging = True
    #: What a group is called in a node's address.
    leaf_word: ClassVar[str] = "switch"

    def __init__(self, leaves: Sequence[TopologyUnit], nodes: Sequence[str]) -> None:
        self._nodes = nodes
        self._leaves = leaves
        self._leaf_of = number_leaves([unit.nodes for unit in leaves], nodes)

    def arrange(
        self, positions: Sequence[int], offers: Sequence[int], request: TopologyRequest
    ) -> Iterator[Sequence[int]]:
        found = LeafOffers(self._leaf_of, positions, offers, request)
        if positions and found.has_required:
            yield from self._arrange(found)

    @abstractmethod
    def _arrange(self, found: LeafOffers) -> Iterator[Sequence[int]]:
        """Yield lists of candidates, the best first; there are some, and the required ones are among them."""

    def address(self, position: int) -> tuple[str, str]:
        node, leaf = self._nodes[position], self._leaf_of[position]
        if leaf >= len(self._leaves):
            return node, "node"
        return f"{self._leaves[leaf].name}.{node}", f"{self.leaf_word}.node"

    @abstractmethod
    def views(self) -> Sequence[UnitView]: ...
