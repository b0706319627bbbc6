"""Which nodes a request gets, and how many tasks each of them holds.

Candidates come in placement order (lowest weight, then configuration order) with an offer each: how many tasks they
can hold.  One node that holds all is taken first; else nodes are filled in order, each chosen node holding at least one
task.  A request that allows a range of node counts gets as many as it allows.  Exact CPUs and units are working.py's.

Source: what Slurm 22.05 with select/cons_tres does, observed: -N2 -n6 on nodes of 4 gives 4,2; -n6 with 1, 3, 4
CPUs free gives 1,3,2; -N2 -n5 there takes the first and the third.
Invariant: the first set in placement order that holds the request is chosen; all of it or nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from .needs import Needs
from .spreading import deal_evenly, spread_out

#: Tasks that the node at a position can hold; 0: it is of no use.
OfferOf = Callable[[int], int]
#: (position, tasks) in configuration order.
Placement = list[tuple[int, int]]


def place(candidates: Sequence[int], offer_of: OfferOf, needs: Needs, required: frozenset[int]) -> Placement | None:
    """Return the nodes and their tasks, or None when the candidates can't hold the request."""
    if needs.is_contiguous:
        return _place_contiguous(sorted(candidates), offer_of, needs, required)
    if needs.is_spread:
        return spread_out(candidates, offer_of, needs, required)
    if required:
        if not required.issubset(candidates) or not all(offer_of(position) for position in required):
            return None
        candidates = order_around(candidates, required)
    elif needs.nodes_min == 1 and (needs.nodes_max <= 1 or not is_ranged(needs)):
        single = find_single(candidates, offer_of, needs.tasks)
        if single is not None or needs.is_single_node:
            return None if single is None else [(single, needs.tasks)]
    chosen = _fill_in_order(candidates, offer_of, needs, len(required))
    return None if chosen is None else distribute(sorted(chosen), needs)


def place_named(named: Mapping[int, int], offer_of: OfferOf, needs: Needs) -> Placement | None:
    """Return the named tasks on their nodes, and no others: -m arbitrary says where each rank is."""
    if len(named) < needs.nodes_min or any(offer_of(position) < tasks for position, tasks in named.items()):
        return None
    return sorted(named.items())


def find_single(candidates: Sequence[int], offer_of: OfferOf, tasks: int) -> int | None:
    """Return the first node that holds all tasks."""
    return next((position for position in candidates if offer_of(position) >= tasks), None)


def is_ranged(needs: Needs) -> bool:
    """Were a minimum and a larger maximum of nodes asked?  Then more nodes are better."""
    return needs.is_ranged and needs.nodes_max > needs.nodes_min


def order_around(candidates: Sequence[int], required: frozenset[int]) -> list[int]:
    """Return the required nodes, then those after them, then those before them, nearest first."""
    last = max(required)
    others = [position for position in candidates if position not in required]
    after = [position for position in others if position > last]
    return [*sorted(required), *after, *sorted((each for each in others if each < last), reverse=True)]


def distribute(chosen: Sequence[tuple[int, int]], needs: Needs) -> Placement:
    """Return the tasks per node: each node is filled in turn, one task kept back for every node after it."""
    left = max(needs.tasks, len(chosen))
    if needs.is_even and not needs.is_overcommitted:
        return deal_evenly(chosen, left)
    placement = []
    for place_number, (position, offer) in enumerate(chosen):
        nodes_left = len(chosen) - place_number
        tasks = -(-left // nodes_left) if needs.is_overcommitted else min(offer, left - (nodes_left - 1))
        placement.append((position, tasks))
        left -= tasks
    return placement


def _fill_in_order(
    candidates: Sequence[int], offer_of: OfferOf, needs: Needs, required_count: int
) -> list[tuple[int, int]] | None:
    nodes_max = needs.nodes_max or max(needs.tasks, required_count)
    wanted = nodes_max if is_ranged(needs) else max(needs.nodes_min, required_count)
    if needs.has_task_count:
        wanted = min(wanted, needs.tasks)
    chosen: list[tuple[int, int]] = []
    total = 0
    for position in candidates:
        offer = offer_of(position)
        if offer:
            chosen.append((position, offer))
            total += offer
            if len(chosen) >= wanted and total >= needs.tasks:
                return chosen
            if len(chosen) >= nodes_max:
                break
    else:
        # Every candidate was taken: fewer nodes than wished are enough if they hold all.
        return chosen if len(chosen) >= needs.nodes_min and total >= needs.tasks else None
    offers = [(position, offer) for position in candidates if (offer := offer_of(position))]
    return _first_set(offers, needs.tasks, (max(needs.nodes_min, required_count), nodes_max), required_count)


def _first_set(
    offers: Sequence[tuple[int, int]], tasks: int, nodes_range: tuple[int, int], required_count: int
) -> list[tuple[int, int]] | None:
    """Return the first set of at most nodes_max nodes that holds all tasks: a node is passed over when the best of the
    later ones could not make up for it.
    """
    nodes_min, nodes_max = nodes_range
    later = Counter([offer for _, offer in offers])
    if sum_of_best(later, nodes_max) < tasks:
        return None
    chosen: list[tuple[int, int]] = []
    missing = tasks
    for place_number, (position, offer) in enumerate(offers):
        later[offer] -= 1
        is_forced = place_number < required_count
        if is_forced or offer + sum_of_best(later, nodes_max - len(chosen) - 1) >= missing:
            chosen.append((position, offer))
            missing -= offer
            if missing <= 0 and len(chosen) >= nodes_min:
                return chosen
            if len(chosen) == nodes_max:
                return None
    return None


def sum_of_best(counts: Mapping[int, int], nodes: int) -> int:
    """Return how many tasks so many nodes hold, the best ones.  counts: how many nodes offer so many tasks."""
    total = 0
    for offer in sorted(counts, reverse=True):
        taken = min(counts[offer], nodes)
        total += taken * offer
        nodes -= taken
        if not nodes:
            break
    return total


def _place_contiguous(
    candidates: Sequence[int], offer_of: OfferOf, needs: Needs, required: frozenset[int]
) -> Placement | None:
    """Return the shortest run of neighbours that holds the request, the first of equally short ones."""
    best: list[tuple[int, int]] | None = None
    run: list[tuple[int, int]] = []
    for position in candidates:
        if run and position != run[-1][0] + 1:
            run = []
        offer = offer_of(position)
        run = [*run, (position, offer)] if offer else []
        while run and (0 < needs.nodes_max < len(run) or _holds(run[1:], needs, required)):
            run = run[1:]
        if _holds(run, needs, required) and (best is None or len(run) < len(best)):
            best = run
    return None if best is None else distribute(best, needs)


def _holds(run: Sequence[tuple[int, int]], needs: Needs, required: frozenset[int]) -> bool:
    if len(run) < needs.nodes_min or (needs.nodes_max and len(run) > needs.nodes_max):
        return False
    return sum(offer for _, offer in run) >= needs.tasks and required <= {position for position, _ in run}
