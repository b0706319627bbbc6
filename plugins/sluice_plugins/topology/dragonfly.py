"""topology/dragonfly: few groups, used evenly, because every two groups are joined by a link of their own.

A group is a switch with nodes; switches above them change nothing.  A job that one group holds gets one group; a
larger one gets the fewest that hold it, a node of each in turn, so that no link between them carries most.

Source: Kim, Dally, Scott, Abts 2008, section 3, on why traffic between few groups must be spread.
"""

import itertools
from collections.abc import Iterator, Sequence

from sluice import hostlist
from sluice.model.topology import Topology
from sluice_plugins.interfaces import UnitView

from .leaf_map import LeafMap
from .leaves import LeafOffers, single_leaves


class Dragonfly:
    """Places by groups."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> "DragonflyMap":
        return DragonflyMap(topology, nodes)


class DragonflyMap(LeafMap):
    def __init__(self, topology: Topology, nodes: Sequence[str]) -> None:
        super().__init__([unit for unit in topology.units if unit.nodes], nodes)

    def _arrange(self, found: LeafOffers) -> Iterator[Sequence[int]]:
        most = found.request.switches_max
        yield from single_leaves(found)
        chosen = found.choose(found.nodes)
        if chosen is not None and not 0 < most < len(chosen):
            yield _in_turn([found.members(leaf) for leaf in chosen])
        if not most:
            yield found.positions

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
            for unit in self._leaves
        ]


def _in_turn(groups: Sequence[Sequence[int]]) -> list[int]:
    """Return one of each group, again and again."""
    return [each for turn in itertools.zip_longest(*groups) for each in turn if each is not None]
