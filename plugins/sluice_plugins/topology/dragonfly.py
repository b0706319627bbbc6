"""topology/dragonfly: few groups, used evenly, because every two groups are joined by a link of their own.

A group is a switch with nodes; switches above them change nothing.  A job that one group holds gets one group; a
larger one gets the fewest that hold it, a node of each in turn, so that no link between them carries most.

Source: Kim, Dally, Scott, Abts 2008, section 3, on why traffic between few groups must be spread.
"""

import itertools
from collections.abc import Iterator, Sequence

from sluice import hostlist
from sluice.model.topology import Topology
from sluice_plugins.interfaces import TopologyRequest, UnitView

from .leaves import LeafOffers, number_leaves, single_leaves


class Dragonfly:
    """Places by groups."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> "DragonflyMap":
        return DragonflyMap(topology, nodes)


class DragonflyMap:
    is_arranging = True

    def __init__(self, topology: Topology, nodes: Sequence[str]) -> None:
        self._nodes = nodes
        self._groups = [unit for unit in topology.units if unit.nodes]
        self._leaf_of = number_leaves([unit.nodes for unit in self._groups], nodes)

    def arrange(
        self, positions: Sequence[int], offers: Sequence[int], request: TopologyRequest
    ) -> Iterator[Sequence[int]]:
        found = LeafOffers(self._leaf_of, positions, offers, request)
        if not positions or not found.has_required:
            return
        yield from single_leaves(found)
        chosen = found.choose(found.nodes)
        if chosen is not None and not 0 < request.switches_max < len(chosen):
            yield _in_turn([found.members(leaf) for leaf in chosen])
        if not request.switches_max:
            yield positions

    def address(self, position: int) -> tuple[str, str]:
        node, leaf = self._nodes[position], self._leaf_of[position]
        if leaf >= len(self._groups):
            return node, "node"
        return f"{self._groups[leaf].name}.{node}", "switch.node"

    def views(self) -> Sequence[UnitView]:
        return [
            UnitView(
                unit.name,
                (
                    ("SwitchName", unit.name),
                    ("Level", "0"),
                    ("LinkSpeed", str(unit.link_speed)),
                    ("Nodes", hostlist.fold(unit.nodes)),
                ),
                unit.nodes,
            )
            for unit in self._groups
        ]


def _in_turn(groups: Sequence[Sequence[int]]) -> list[int]:
    """Return one of each group, again and again."""
    return [each for turn in itertools.zip_longest(*groups) for each in turn if each is not None]
