"""topology/torus3d and topology/ring: a job gets the smallest box that holds it, edges being joined.

Boxes are tried by volume, then by surface (the less of it, the less foreign traffic crosses the job), then by their
sizes; of equal boxes the first corner wins.  A box may hold nodes that others use.  A ring is a torus of one
dimension: its boxes are stretches of neighbours.  How many of the smallest boxes are tried is bounded; those after
them grow by steps.  A job that needs nodes of several tori takes what there is, first choice first.
"""

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence

from sluice import hostlist
from sluice.model.topology import Topology, TopologyUnit
from sluice_plugins.interfaces import TopologyRequest, UnitView

from .boxes import Grid, Size, Torus, rank_boxes, thin_out

#: Places looked at for one request on one torus, all the smallest boxes together; a few of them are always tried.
_LOOKS_MAX = 500_000
_BOXES_MIN = 16
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
        self._boxes = [rank_boxes(size) for size, _ in self._tori]
        self._shapes: dict[tuple[Size, int], Torus] = {}
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
        torus = self._torus(size, most)
        node_grid = Grid(torus, nodes)
        task_grid = Grid(torus, tasks) if most > 1 else node_grid
        ranked = self._boxes[number]
        large_enough = ranked[bisect.bisect_left(ranked, volume_min, key=math.prod) :]
        boxes = thin_out(large_enough, max(_BOXES_MIN, _LOOKS_MAX // len(places)))
        for box in boxes:
            marks = node_grid.mark(box, request.nodes_min) & task_grid.mark(box, request.tasks)
            members = (
                [places[each] for each in torus.places(box, corner) if tasks[each]]
                for corner in torus.read_corners(marks)
            )
            holding = (each for each in members if not request.required or request.required.issubset(each))
            surface = box[0] * box[1] + box[1] * box[2] + box[0] * box[2]
            found = [(math.prod(box), surface, each) for each in itertools.islice(holding, _CORNERS_MAX)]
            if found:
                return found
        return []

    def _torus(self, size: Size, count_max: int) -> Torus:
        known = self._shapes.get((size, count_max))
        if known is None:
            known = self._shapes[size, count_max] = Torus(size, count_max)
        return known

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
