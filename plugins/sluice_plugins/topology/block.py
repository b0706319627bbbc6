"""topology/block: blocks of nodes, and blocks together in doublings of the base block's size.

A job that one block holds gets one block.  A larger one gets the smallest group of neighbouring blocks that holds it,
of the sizes that BlockSizes names, and in it as few blocks as can be; what fits none of them takes what there is.
With --segment=n every n nodes of the job lie in one block, and the segments in few blocks.

Source: the manuals of Slurm 24.11: topology.conf on topology/block, sbatch on --segment.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from sluice import hostlist
from sluice.model.topology import Topology
from sluice_plugins.interfaces import UnitView

from .leaf_map import LeafMap
from .leaves import LeafOffers, single_leaves


class Block:
    """Places by blocks and their doublings."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> "BlockMap":
        return BlockMap(topology, nodes)


class BlockMap(LeafMap):
    leaf_word = "block"

    def __init__(self, topology: Topology, nodes: Sequence[str]) -> None:
        super().__init__(topology.units, nodes)
        self._sizes = topology.block_sizes
        #: Blocks of each group, for each size above the base block's, and last all of them.
        self._levels = [self._groups_of(size) for size in self._sizes[1:]]
        self._levels.append([list(range(len(self._leaves)))])

    def _groups_of(self, size: int) -> list[list[int]]:
        count = size // self._sizes[0]
        numbers = range(len(self._leaves))
        return [list(numbers[first : first + count]) for first in range(0, len(numbers), count)]

    def _arrange(self, found: LeafOffers) -> Iterator[Sequence[int]]:
        if found.request.segment:
            yield from self._arrange_segments(found)
            return
        most = found.request.switches_max
        yield from single_leaves(found)
        for groups in self._levels:
            chosen = [leaves for group in groups if (leaves := found.choose(group)) is not None]
            held = sorted(found.rank(leaves) for leaves in chosen if not 0 < most < len(leaves))
            for _, best in held:
                yield found.gather(best)
        if not most:
            yield found.positions

    def _arrange_segments(self, found: LeafOffers) -> Iterator[Sequence[int]]:
        segment = found.request.segment
        segments = {leaf: found.nodes[leaf] // segment for leaf in found.nodes}
        singles = [[leaf] for leaf in found.nodes]
        for groups in [singles, *self._levels]:
            held = [chosen for group in groups if (chosen := _take_segments(group, segments, found)) is not None]
            held.sort(key=lambda chosen: (chosen[0], chosen[1]))
            for _, _, positions in held:
                yield positions

    def views(self) -> Sequence[UnitView]:
        views = [
            _view("BlockName", unit.name, number, unit.nodes, self._sizes[0] if self._sizes else len(unit.nodes))
            for number, unit in enumerate(self._leaves)
        ]
        index = len(views)
        for size, groups in zip(self._sizes[1:], self._levels, strict=False):
            for group in groups:
                members = [self._leaves[number] for number in group]
                name = hostlist.fold(unit.name for unit in members)
                nodes = tuple(node for unit in members for node in unit.nodes)
                views.append(_view("AggregatedBlock", name, index, nodes, size))
                index += 1
        return views


def _view(key: str, name: str, index: int, nodes: tuple[str, ...], size: int) -> UnitView:
    fields = ((key, name), ("BlockIndex", str(index)), ("Nodes", hostlist.fold(nodes)), ("BlockSize", str(size)))
    return UnitView(name, fields, nodes)


def _take_segments(
    group: Sequence[int], segments: dict[int, int], found: LeafOffers
) -> tuple[int, int, list[int]] | None:
    """Return (blocks used, nodes left in them, the nodes) for whole segments in few blocks of the group, or None.

    Blocks of required nodes come first, then those with most segments; the last is the smallest that is enough.
    """
    request = found.request
    segment = request.segment
    known = [leaf for leaf in group if segments.get(leaf)]
    if not found.required_leaves.issubset(known):
        return None
    first = Counter(found.leaf_of(each) for each in request.required)
    kept = {leaf: -(-count // segment) for leaf, count in first.items()}
    if any(kept[leaf] > segments[leaf] for leaf in kept):
        return None
    wanted = max(-(-request.nodes_min // segment), sum(kept.values()))
    while wanted <= sum(segments[leaf] for leaf in known):
        counts = _share_segments(known, segments, kept, wanted)
        positions = [each for leaf, count in counts.items() for each in found.best(leaf, count * segment)]
        if request.nodes_max and len(positions) > request.nodes_max:
            return None
        if found.tasks_of(positions) >= request.tasks:
            left = sum(found.nodes[leaf] for leaf in counts) - len(positions)
            return len(counts), left, positions
        wanted += 1
    return None


def _share_segments(
    known: Sequence[int], segments: dict[int, int], kept: dict[int, int], wanted: int
) -> dict[int, int]:
    """Return segments by block: those kept for required nodes, more in the same blocks, then in the largest others."""
    counts = dict(kept)
    missing = wanted - sum(kept.values())
    for leaf in kept:
        more = min(segments[leaf] - kept[leaf], missing)
        counts[leaf] += more
        missing -= more
    order = sorted((leaf for leaf in known if leaf not in kept), key=lambda leaf: -segments[leaf])
    for place, leaf in enumerate(order):
        if not missing:
            break
        if segments[leaf] >= missing:
            enough = [each for each in order[place:] if segments[each] >= missing]
            leaf = min(enough, key=segments.__getitem__)
        counts[leaf] = min(segments[leaf], missing)
        missing -= counts[leaf]
    return counts
