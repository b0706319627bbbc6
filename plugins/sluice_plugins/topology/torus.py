"""topology/torus3d and topology/ring: a job gets the smallest box that holds it, edges being joined.

Boxes are tried by volume, then by surface (the less of it, the less foreign traffic crosses the job), then by their
sizes; of equal boxes the first corner wins.  A box may hold nodes that others use.  A ring is a torus of one
dimension: its boxes are stretches of neighbours.  How many boxes are tried is bounded; after that the job takes what
there is, first choice first, as one that needs nodes of several tori does.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

from sluice import hostlist
from sluice.model.topology import Topology, TopologyUnit
from sluice_plugins.interfaces import TopologyRequest, UnitView

from .boxes import Grid, Size, rank_boxes

#: Sizes of boxes that one request tries on one torus.
_BOXES_MAX = 64
#: Corners of one size that are given to the caller: the first nearly always holds.
_CORNERS_MAX = 4


class Torus3d:
    """Places by boxes."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> "TorusMap":
        return TorusMap(topology, nodes)


class Ring:
    """Places by stretches of a ring."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> "TorusMap":
        return TorusMap(topology, nodes)


class TorusMap:
    is_arranging = True

    def __init__(self, topology: Topology, nodes: Sequence[str]) -> None:
        self._nodes = nodes
        self._units = topology.units
        position_by_node = {name: position for position, name in enumerate(nodes)}
        #: The position at each place; -1 where the node is not known here.
        self._tori: list[tuple[Size, list[int]]] = [
            (_size_of(unit), [position_by_node.get(name, -1) for name in unit.nodes]) for unit in topology.units
        ]
        self._places = {
            position: (unit, place)
            for unit, (_, places) in enumerate(self._tori)
            for place, position in enumerate(places)
            if position >= 0
        }

    def arrange(
        self, positions: Sequence[int], offers: Sequence[int], request: TopologyRequest
    ) -> Iterator[Sequence[int]]:
        offer_by_position = dict(zip(positions, offers, strict=True))
        if not request.required.issubset(offer_by_position):
            return
        best: list[tuple[tuple[int, int, int], list[int]]] = []
        for number in range(len(self._tori)):
            found = self._find_box(number, offer_by_position, request)
            if found:
                best.append(((found[0][0], found[0][1], number), found[0][2]))
                best += [((volume, surface, number), places) for volume, surface, places in found[1:]]
        best.sort()
        rank = {position: place for place, position in enumerate(positions)}
        for _, box in best:
            yield sorted(box, key=rank.__getitem__)
        yield positions

    def _find_box(
        self, number: int, offers: dict[int, int], request: TopologyRequest
    ) -> list[tuple[int, int, list[int]]]:
        """Return (volume, surface, offering nodes) of the smallest boxes of one torus that have enough."""
        size, places = self._tori[number]
        tasks = [offers.get(position, 0) for position in places]
        nodes = [1 if offer else 0 for offer in tasks]
        most = max(tasks, default=0)
        if sum(nodes) < request.nodes_min or sum(tasks) < request.tasks:
            return []
        volume_min = max(request.nodes_min, -(-request.tasks // most), len(request.required), 1)
        node_grid = Grid(size, nodes)
        task_grid = Grid(size, tasks) if most > 1 else node_grid
        for box in itertools.islice(rank_boxes(size, volume_min), _BOXES_MAX):
            corners = set(task_grid.find(box, request.tasks))
            holding = (corner for corner in node_grid.find(box, request.nodes_min) if corner in corners)
            surface = box[0] * box[1] + box[1] * box[2] + box[0] * box[2]
            found = []
            for corner in itertools.islice(self._with_required(holding, node_grid, box, places, request), _CORNERS_MAX):
                members = [places[each] for each in node_grid.places(box, corner) if tasks[each]]
                found.append((math.prod(box), surface, members))
            if found:
                return found
        return []

    def _with_required(
        self, corners: Iterator[int], grid: Grid, box: Size, places: list[int], request: TopologyRequest
    ) -> Iterator[int]:
        if not request.required:
            yield from corners
            return
        for corner in corners:
            if request.required.issubset(places[each] for each in grid.places(box, corner)):
                yield corner

    def address(self, position: int) -> tuple[str, str]:
        node = self._nodes[position]
        if position not in self._places:
            return node, "node"
        unit = self._units[self._places[position][0]]
        return f"{unit.name}.{node}", f"{unit.kind}.node"

    def views(self) -> Sequence[UnitView]:
        return [_view(unit) for unit in self._units]


def _size_of(unit: TopologyUnit) -> Size:
    rows, columns, depth = unit.dimensions or (1, 1, len(unit.nodes))
    return rows, columns, depth


def _view(unit: TopologyUnit) -> UnitView:
    fields = [(f"{unit.kind.capitalize()}Name", unit.name), ("Nodes", hostlist.fold(unit.nodes))]
    if unit.dimensions:
        fields.append(("Size", "x".join(map(str, unit.dimensions))))
    return UnitView(unit.name, tuple(fields), unit.nodes)
