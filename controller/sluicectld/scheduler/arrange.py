"""A topology in one pass: the lists of candidates that a search tries, nearest nodes first.

What is near is the plugin's to say (sluice_plugins.interfaces.TopologyMap); which nodes of a list are taken, and how
many tasks each gets, stays place.py's.  Without a topology a search tries its candidates as they are.

Invariant: every list has candidates only, each once.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from sluice_plugins.interfaces import TopologyMap, TopologyRequest
from sluice_plugins.registry import Network

from .needs import Needs
from .place import OfferOf

#: A position's weight: lower ones are used first.
WeightOf = Callable[[int], int]


class Arranger:
    """The topology of some partitions, for the nodes of one pass."""

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        self._map: TopologyMap = network.map
        known = network.position_by_name
        #: The map's position of each of ours; None: they are the same.
        self._to_map: dict[int, int] | None = None
        self._from_map: dict[int, int] = {}
        if list(names) != network.nodes:
            self._to_map = {ours: known[name] for ours, name in enumerate(names) if name in known}
            self._from_map = {theirs: ours for ours, theirs in self._to_map.items()}
        self._packed: list[int] | None = None

    def begin(self) -> None:
        """Forget what belongs to one pass."""
        self._packed = None

    def lists(
        self, candidates: Sequence[int], offer_of: OfferOf, needs: Needs, required: frozenset[int]
    ) -> Iterator[Sequence[int]]:
        """Yield the lists of candidates to try, best first."""
        found = list(map(offer_of, candidates))
        positions = list(itertools.compress(candidates, found))
        offers = list(filter(None, found))
        request = TopologyRequest(
            needs.tasks, needs.nodes_min, needs.nodes_max, required, needs.switches_max, needs.segment
        )
        return self._arrange(positions, offers, request)

    def packed(self, order: Sequence[int], is_open: Callable[[int], bool], weight_of: WeightOf) -> list[int]:
        """Return the order in which jobs on one node fill the nodes: what is broken into already comes first.

        is_open: has the node anything free?  Computed once a pass: what starts meanwhile goes on where it began.
        """
        if self._packed is None:
            open_ones = [position for position in order if is_open(position)]
            lists = self._arrange(open_ones, [1] * len(open_ones), TopologyRequest(1, 1, 1))
            ranked = dict.fromkeys(itertools.chain(itertools.chain.from_iterable(lists), order))
            self._packed = sorted(ranked, key=weight_of)
        return self._packed

    def _arrange(
        self, positions: Sequence[int], offers: Sequence[int], request: TopologyRequest
    ) -> Iterator[Sequence[int]]:
        to_map = self._to_map
        if to_map is None:
            return self._map.arrange(positions, offers, request)
        # A node that the configuration does not have is near no other.
        known = [
            (to_map[position], offer) for position, offer in zip(positions, offers, strict=True) if position in to_map
        ]
        if not request.required.issubset(to_map):
            return iter(())
        translated = replace(request, required=frozenset(map(to_map.__getitem__, request.required)))
        lists = self._map.arrange([each for each, _ in known], [offer for _, offer in known], translated)
        return (list(map(self._from_map.__getitem__, each)) for each in lists)


def bind_networks(networks: Mapping[str, Network], names: Sequence[str]) -> dict[str, Arranger]:
    """Return an arranger for each topology that changes anything, by the name that partitions give."""
    return {name: Arranger(network, names) for name, network in networks.items() if network.map.is_arranging}


def candidate_lists(
    arranger: Arranger | None,
    candidates: Sequence[int],
    offer_of: OfferOf,
    needs: Needs,
    required: frozenset[int],
) -> Iterator[Sequence[int]] | tuple[Sequence[int], ...]:
    """Return the lists to search, the candidates as they are when nothing arranges them."""
    if arranger is None:
        return (candidates,)
    return arranger.lists(candidates, offer_of, needs, required)
