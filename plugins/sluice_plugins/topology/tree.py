"""topology/tree: a job gets the lowest switch that holds it, and of its leaves as few as can be.

Of equally low switches the one that needs fewest leaves is taken, then the one with the least left over.  Nodes that
no switch connects are never in one job, as Slurm has it; a job on one node may get any.

TopologyParam: TopoOptional asks for all this only where --switches is given; Dragonfly uses the leaf switches as
topology/dragonfly does; RouteTree and SwitchAsNodeRank are about other things than placement and change nothing here.
Source: Slurm 22.05, observed: one node comes from the smallest leaf that has one, three of leaves with 4, 3 and 2 from
the second, and five from the first and the second, which one switch connects.
"""

from collections.abc import Iterator, Sequence

from sluice import hostlist
from sluice.model.topology import Topology, TopologyUnit
from sluice_plugins.interfaces import TopologyMap, UnitView

from .dragonfly import DragonflyMap
from .leaf_map import LeafMap
from .leaves import LeafOffers, single_leaves


class Tree:
    """Places by a hierarchy of switches."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> TopologyMap:
        if "dragonfly" in topology.parameters:
            return DragonflyMap(topology, nodes)
        return TreeMap(topology, nodes)


class Switches:
    """The switches with their levels: 0 for those with nodes, else one more than the highest below."""

    def __init__(self, units: Sequence[TopologyUnit]) -> None:
        self.units = units
        self.by_name = {unit.name: unit for unit in units}
        self.parents = {child: unit.name for unit in units for child in unit.children}
        self._levels: dict[str, int] = {}
        self._nodes: dict[str, tuple[str, ...]] = {}

    def level(self, name: str) -> int:
        known = self._levels.get(name)
        if known is None:
            children = self.by_name[name].children
            known = self._levels[name] = 1 + max(map(self.level, children)) if children else 0
        return known

    def nodes(self, name: str) -> tuple[str, ...]:
        """Return the nodes at the switch or below it."""
        known = self._nodes.get(name)
        if known is None:
            unit = self.by_name[name]
            below = [node for child in unit.children for node in self.nodes(child)]
            known = self._nodes[name] = (*unit.nodes, *below)
        return known

    def leaves(self, name: str) -> list[str]:
        """Return the names of the leaf switches at or below the switch."""
        children = self.by_name[name].children
        return [leaf for child in children for leaf in self.leaves(child)] if children else [name]

    def views(self) -> list[UnitView]:
        return [self._view(unit) for unit in self.units]

    def _view(self, unit: TopologyUnit) -> UnitView:
        nodes = self.nodes(unit.name)
        fields = [
            ("SwitchName", unit.name),
            ("Level", str(self.level(unit.name))),
            ("LinkSpeed", str(unit.link_speed)),
            ("Nodes", hostlist.fold(nodes)),
        ]
        if unit.children:
            fields.append(("Switches", hostlist.fold(unit.children)))
        return UnitView(unit.name, tuple(fields), nodes)


class TreeMap(LeafMap):
    def __init__(self, topology: Topology, nodes: Sequence[str]) -> None:
        super().__init__([unit for unit in topology.units if not unit.children], nodes)
        self._switches = Switches(topology.units)
        self._is_optional = "topooptional" in topology.parameters
        self._upper = self._number_upper(topology.units)

    def _number_upper(self, units: Sequence[TopologyUnit]) -> list[list[list[int]]]:
        """Return the leaves below each switch, level by level from the second on."""
        number_by_name = {unit.name: number for number, unit in enumerate(self._leaves)}
        by_level: dict[int, list[list[int]]] = {}
        for unit in units:
            if unit.children:
                below = [number_by_name[leaf] for leaf in self._switches.leaves(unit.name)]
                by_level.setdefault(self._switches.level(unit.name), []).append(below)
        return [by_level[level] for level in sorted(by_level)]

    def _arrange(self, found: LeafOffers) -> Iterator[Sequence[int]]:
        if self._is_optional and not found.request.switches_max:
            yield found.positions
            return
        yield from single_leaves(found)
        for switches in self._upper:
            yield from self._arrange_level(switches, found)

    def _arrange_level(self, switches: list[list[int]], found: LeafOffers) -> Iterator[Sequence[int]]:
        most = found.request.switches_max
        held = []
        for leaves in switches:
            chosen = found.choose(leaves)
            if chosen is not None and not 0 < most < len(chosen):
                held.append((found.rank(chosen, leaves), leaves))
        held.sort()
        for (_, best), _ in held:
            yield found.gather(best)
        if not most:
            # What only some nodes can share (GPUs of the whole job) may need more leaves than tasks do.
            for (_, best), leaves in held:
                rest = [leaf for leaf in leaves if leaf in found.nodes and leaf not in best]
                if rest:
                    yield found.gather([*best, *rest])

    def address(self, position: int) -> tuple[str, str]:
        node = self._nodes[position]
        leaf = self._leaf_of[position]
        if leaf >= len(self._leaves):
            return node, "node"
        top = max(map(self._switches.level, self._switches.by_name))
        parts = [""] * (top + 1)
        name: str | None = self._leaves[leaf].name
        while name is not None:
            parts[top - self._switches.level(name)] = name
            name = self._switches.parents.get(name)
        return ".".join([*parts, node]), ".".join([*["switch"] * len(parts), "node"])

    def views(self) -> Sequence[UnitView]:
        return self._switches.views()
