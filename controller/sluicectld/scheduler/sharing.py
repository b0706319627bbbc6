"""Placement of requests that ask for resources of the whole job (--gpus): nodes share the total among them.

Nodes are filled in placement order, as tasks are: each gives what it can while one unit is kept back for every node
after it.  Source: observed of Slurm 22.05: -G3 on nodes of two gives 2,1.
"""

from collections.abc import Callable, Sequence

from .demand import Share
from .needs import Needs
from .place import OfferOf, distribute, order_around

ShareOf = Callable[[int], Share]
#: (position, tasks, share) in configuration order.
SharedPlacement = list[tuple[int, int, Share]]


def place_sharing(
    candidates: Sequence[int], offer_of: OfferOf, share_of: ShareOf, needs: Needs, required: frozenset[int]
) -> SharedPlacement | None:
    """Return nodes, tasks and shares, or None when the candidates can't give all that is asked."""
    order = order_around(candidates, required) if required else candidates
    useful = [
        position for position in order if offer_of(position) and (any(share_of(position)) or position in required)
    ]
    if not required <= set(useful):
        return None
    single = _find_single(useful, offer_of, share_of, needs) if needs.nodes_min == 1 and not required else None
    chosen = [single] if single is not None else _fill(useful, offer_of, share_of, needs, len(required))
    if chosen is None:
        # In order it does not work out within the most nodes allowed: the richest nodes first.
        richest = sorted(useful, key=lambda each: (each not in required, -sum(share_of(each)), -offer_of(each)))
        chosen = _fill(richest, offer_of, share_of, needs, len(required))
    return None if chosen is None else _share_out(sorted(chosen), offer_of, share_of, needs)


def _find_single(useful: Sequence[int], offer_of: OfferOf, share_of: ShareOf, needs: Needs) -> int | None:
    wanted = tuple(item.count for item in needs.gres_per_job)
    return next((each for each in useful if offer_of(each) >= needs.tasks and share_of(each) == wanted), None)


def _fill(
    order: Sequence[int], offer_of: OfferOf, share_of: ShareOf, needs: Needs, required_count: int
) -> list[int] | None:
    nodes_max = needs.nodes_max or len(order)
    missing = [item.count for item in needs.gres_per_job]
    tasks = needs.tasks
    chosen: list[int] = []
    for position in order[:nodes_max]:
        chosen.append(position)
        tasks -= offer_of(position)
        missing = [left - given for left, given in zip(missing, share_of(position), strict=True)]
        is_enough = tasks <= 0 and all(left <= 0 for left in missing)
        if is_enough and len(chosen) >= max(needs.nodes_min, required_count):
            return chosen
    return None


def _share_out(chosen: Sequence[int], offer_of: OfferOf, share_of: ShareOf, needs: Needs) -> SharedPlacement:
    tasks_by_position = dict(distribute([(each, offer_of(each)) for each in chosen], needs))
    missing = [item.count for item in needs.gres_per_job]
    placement = []
    for place_number, position in enumerate(chosen):
        # What later nodes can't give must come from here; beyond it, each of them keeps one unit.
        later = [share_of(each) for each in chosen[place_number + 1 :]]
        share = []
        for index, available in enumerate(share_of(position)):
            kept_back = sum(1 for each in later if each[index])
            share.append(max(0, min(available, missing[index] - kept_back)))
            missing[index] -= share[index]
        placement.append((position, tasks_by_position[position], tuple(share)))
    return placement
