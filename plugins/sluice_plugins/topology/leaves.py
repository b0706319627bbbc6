"""Nodes in groups (leaf switches, blocks, dragonfly groups): what each has to offer, and which ones a job should get.

One pass over the offers counts nodes and tasks by leaf; everything after it costs by leaves, not by nodes.  Leaves
are numbers; a node that no group has is a leaf of its own.

Invariant: choose() gives leaves that hold the request together whenever all the leaves that it is given do.
"""

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sluice_plugins.interfaces import TopologyRequest

#: Leaves that hold a request, and how good they are: fewer and better filled first, then in placement order.
Ranked = tuple[tuple[int, int, int, int], Sequence[int]]


def number_leaves(groups: Iterable[Sequence[str]], nodes: Sequence[str]) -> list[int]:
    """Return the leaf of each node: its group's number, or one of its own above those."""
    leaf_by_node = {}
    leaf = -1
    for leaf, names in enumerate(groups):
        leaf_by_node.update(dict.fromkeys(names, leaf))
    own = itertools.count(leaf + 1)
    return [leaf_by_node[name] if name in leaf_by_node else next(own) for name in nodes]


class LeafOffers:
    """What the leaves offer to one request."""

    def __init__(
        self, leaf_of: Sequence[int], positions: Sequence[int], offers: Sequence[int], request: TopologyRequest
    ) -> None:
        self.request = request
        self._leaf_of = leaf_of
        self.positions = positions
        self._offers = offers
        self._leaves = list(map(leaf_of.__getitem__, positions))
        #: What every node offers, if all offer the same; 0 if not.
        self.even_offer = offers[0] if len(set(offers)) == 1 else 0
        #: Nodes by leaf, the leaf of the first choice first.
        self.nodes: Counter[int] = Counter(self._leaves)
        self.tasks = self._count_tasks()
        self.required_leaves = frozenset(leaf_of[each] for each in request.required)
        self._rank = {leaf: place for place, leaf in enumerate(self.nodes)}
        self._members: dict[int, tuple[list[int], list[int]]] | None = None
        self._has_gathered = False

    @property
    def has_required(self) -> bool:
        """Do all the required nodes offer something?"""
        return self.request.required.issubset(self.positions) if self.request.required else True

    def holds(self, leaves: Sequence[int]) -> bool:
        """Do the leaves hold the request together?"""
        request = self.request
        nodes, tasks = sum(map(self.nodes.__getitem__, leaves)), sum(map(self.tasks.__getitem__, leaves))
        if nodes < request.nodes_min or tasks < request.tasks or not self.required_leaves.issubset(leaves):
            return False
        if not request.nodes_max or nodes <= request.nodes_max:
            return True
        if self.even_offer:
            return request.nodes_max * self.even_offer >= request.tasks
        return self._best_tasks(leaves) >= request.tasks

    def choose(self, leaves: Iterable[int]) -> list[int] | None:
        """Return few leaves of those that hold the request: the fullest, and last the one that is best filled up.

        Those of required nodes come first.  None: all of them together do not hold it.
        """
        known = [leaf for leaf in leaves if leaf in self._rank]
        if not self.holds(known):
            return None
        value, wanted = self._measure(known)
        order = sorted(known, key=lambda leaf: (leaf not in self.required_leaves, -value[leaf], self._rank[leaf]))
        sums = list(itertools.accumulate(map(value.__getitem__, order)))
        count = min(bisect.bisect_left(sums, wanted) + 1, len(order))
        chosen = self._fit_last(order, max(count, len(self.required_leaves)), value, wanted)
        # Enough by one measure can be too little by the other, or for the most nodes allowed.
        for count in range(len(chosen), len(order) + 1):
            if self.holds(chosen):
                break
            chosen = order[:count]
        return chosen

    def rank(self, leaves: Sequence[int], among: Iterable[int] = ()) -> Ranked:
        """Return the leaves with how good they are; among: what would be broken into by taking them."""
        value, wanted = self._measure(leaves)
        left = sum(map(value.__getitem__, leaves)) - wanted
        first = min(map(self._rank.__getitem__, leaves))
        return (len(leaves), left, sum(self.nodes[leaf] for leaf in among), first), leaves

    def leaf_of(self, position: int) -> int:
        return self._leaf_of[position]

    def members(self, leaf: int) -> Sequence[int]:
        """Return the nodes of the leaf that offer something, first choice first."""
        return self._by_leaf()[leaf][0]

    def gather(self, leaves: Iterable[int]) -> list[int]:
        """Return the nodes of the leaves, leaf by leaf."""
        wanted = tuple(leaves)
        if self._members is None and not self._has_gathered:
            # Most searches take the first list: one look at the leaves' numbers costs less than sorting all nodes.
            self._has_gathered = True
            found: dict[int, list[int]] = {leaf: [] for leaf in wanted}
            is_wanted = list(map(found.__contains__, self._leaves))
            for leaf, position in zip(
                itertools.compress(self._leaves, is_wanted), itertools.compress(self.positions, is_wanted), strict=True
            ):
                found[leaf].append(position)
            return [position for leaf in wanted for position in found[leaf]]
        by_leaf = self._by_leaf()
        return [position for leaf in wanted for position in by_leaf[leaf][0]]

    def best(self, leaf: int, count: int) -> list[int]:
        """Return so many nodes of the leaf: the required ones, then those that hold most, then the first choices."""
        positions, offers = self._by_leaf()[leaf]
        required = self.request.required
        places = sorted(range(len(positions)), key=lambda each: (positions[each] not in required, -offers[each], each))
        return [positions[each] for each in places[:count]]

    def tasks_of(self, positions: Iterable[int]) -> int:
        """Return how many tasks the nodes hold together."""
        offer_by_position = dict(zip(self.positions, self._offers, strict=True))
        return sum(offer_by_position[each] for each in positions)

    def _count_tasks(self) -> Counter[int]:
        if self.even_offer:
            return Counter({leaf: count * self.even_offer for leaf, count in self.nodes.items()})
        tasks: Counter[int] = Counter()
        for leaf, offer in zip(self._leaves, self._offers, strict=True):
            tasks[leaf] += offer
        return tasks

    def _measure(self, leaves: Iterable[int]) -> tuple[Counter[int], int]:
        """Return what is scarcer in the leaves, nodes or tasks, and how much of it is wanted."""
        request = self.request
        nodes = tasks = 0
        for leaf in leaves:
            nodes += self.nodes[leaf]
            tasks += self.tasks[leaf]
        if request.nodes_min * tasks >= request.tasks * nodes:
            return self.nodes, request.nodes_min
        return self.tasks, request.tasks

    def _fit_last(self, order: list[int], count: int, value: Counter[int], wanted: int) -> list[int]:
        """Return *count* leaves: the first of the order, and of the rest the smallest that still makes it enough."""
        kept = order[: count - 1]
        if count <= len(self.required_leaves):
            return order[:count]
        missing = wanted - sum(map(value.__getitem__, kept))
        enough = [leaf for leaf in order[count - 1 :] if value[leaf] >= missing]
        last = min(enough, key=lambda leaf: (value[leaf], self._rank[leaf])) if enough else order[count - 1]
        return [*kept, last]

    def _best_tasks(self, leaves: Iterable[int]) -> int:
        """Return the tasks on at most nodes_max nodes, the required ones among them."""
        request = self.request
        by_leaf = self._by_leaf()
        forced: list[int] = []
        others: list[int] = []
        for leaf in leaves:
            for position, offer in zip(*by_leaf[leaf], strict=True):
                (forced if position in request.required else others).append(offer)
        others.sort(reverse=True)
        return sum(forced) + sum(others[: max(0, request.nodes_max - len(forced))])

    def _by_leaf(self) -> dict[int, tuple[list[int], list[int]]]:
        if self._members is None:
            self._members = {leaf: ([], []) for leaf in self.nodes}
            members = self._members
            for leaf, position, offer in zip(self._leaves, self.positions, self._offers, strict=True):
                positions, offers = members[leaf]
                positions.append(position)
                offers.append(offer)
        return self._members


def single_leaves(offers: LeafOffers) -> Iterator[list[int]]:
    """Yield the nodes of each leaf that holds the request alone, the one with the least left over first."""
    request, even = offers.request, offers.even_offer
    if even and not request.required:
        # All that counts is nodes, which saves ranking thousands of leaves one by one.
        wanted = max(request.nodes_min, -(-request.tasks // even))
        if not request.nodes_max or wanted <= request.nodes_max:
            held = [leaf for leaf, count in offers.nodes.items() if count >= wanted]
            held.sort(key=offers.nodes.__getitem__)
            yield from (offers.gather((leaf,)) for leaf in held)
        return
    ranked = sorted(offers.rank((leaf,)) for leaf in offers.nodes if offers.holds((leaf,)))
    yield from (offers.gather(leaves) for _, leaves in ranked)
