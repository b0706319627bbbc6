"""How the tasks of a step go to its nodes (-m, the first word).  Pure.

block      consecutive ranks share a node; as many on each as there is room for evenly, or with Pack as many as fit
cyclic     ranks go from node to node
plane=N    N ranks at a time go from node to node
arbitrary  rank i runs on the i-th named node

Each node has at least one task.  Source: CONTRACT section 4; layouts recorded from Slurm 22.05.
"""

from collections.abc import Sequence

from sluice.distribution import Distribution


def deal_ranks(capacities: Sequence[int], ntasks: int, distribution: Distribution) -> list[int]:
    """Return a mask of ranks for each node.

    capacities: how many tasks each node has room for, at least one, in all at least *ntasks* >= nodes.
    """
    assert len(capacities) <= ntasks <= sum(capacities), f"{ntasks} tasks for room {list(capacities)}"
    if distribution.nodes == "cyclic":
        return _deal_planes(capacities, ntasks, 1)
    if distribution.nodes == "plane":
        return _deal_planes(capacities, ntasks, distribution.plane_size)
    return _deal_blocks(_block_counts(capacities, ntasks, bool(distribution.is_packed)))


def arbitrary_ranks(named: Sequence[str], nodes: Sequence[str]) -> list[int]:
    """Return a mask of ranks for each of *nodes*; named: the node of each rank."""
    masks = dict.fromkeys(nodes, 0)
    for rank, name in enumerate(named):
        masks[name] |= 1 << rank
    return list(masks.values())


def _block_counts(capacities: Sequence[int], ntasks: int, is_packed: bool) -> list[int]:
    counts = [1] * len(capacities)
    left = ntasks - len(capacities)
    while left:
        for index, capacity in enumerate(capacities):
            spare = capacity - counts[index]
            take = min(left, spare if is_packed else min(spare, 1))
            counts[index] += take
            left -= take
    return counts


def _deal_blocks(counts: Sequence[int]) -> list[int]:
    masks = []
    first = 0
    for count in counts:
        masks.append(((1 << count) - 1) << first)
        first += count
    return masks


def _deal_planes(capacities: Sequence[int], ntasks: int, size: int) -> list[int]:
    masks = [0] * len(capacities)
    rank = 0
    while rank < ntasks:
        for index, capacity in enumerate(capacities):
            # Enough is kept for every node that has no task yet.
            empty = sum(1 for mask in masks[index + 1 :] if not mask)
            take = min(size, capacity - masks[index].bit_count(), ntasks - rank - empty)
            masks[index] |= ((1 << take) - 1) << rank
            rank += take
    return masks
