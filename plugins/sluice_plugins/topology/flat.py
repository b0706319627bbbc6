"""topology/flat: every node is as near as any other."""

from collections.abc import Iterator, Sequence

from sluice.model.topology import Topology
from sluice_plugins.interfaces import TopologyRequest, UnitView


class Flat:
    """Leaves the order of the nodes as it is."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> "FlatMap":
        return FlatMap(nodes)


class FlatMap:
    is_arranging = False

    def __init__(self, nodes: Sequence[str]) -> None:
        self._nodes = nodes

    def arrange(
        self, positions: Sequence[int], offers: Sequence[int], request: TopologyRequest
    ) -> Iterator[Sequence[int]]:
        yield positions

    def address(self, position: int) -> tuple[str, str]:
        return self._nodes[position], "node"

    def views(self) -> Sequence[UnitView]:
        return ()
