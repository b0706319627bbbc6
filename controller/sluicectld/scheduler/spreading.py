"""Placement of --spread-job: as many nodes as there are tasks, and as many tasks on each of them as on the others.

Source: CONTRACT section 2.2; the sbatch manual's words on --spread-job.
"""

from collections.abc import Callable, Sequence

from .needs import Needs


def spread_out(
    candidates: Sequence[int], offer_of: Callable[[int], int], needs: Needs, required: frozenset[int]
) -> list[tuple[int, int]] | None:
    """Return (position, tasks) in configuration order, or None when the candidates can't hold the request."""
    useful = [each for each in candidates if offer_of(each)]
    if not required.issubset(useful):
        return None
    nodes = min(needs.nodes_max or len(useful), len(useful), max(needs.tasks, needs.nodes_min, len(required)))
    # On fewer nodes than there are, the ones with most room come first unless all have enough.
    share = -(-needs.tasks // nodes) if nodes else 0
    useful.sort(key=lambda each: (each not in required, -min(offer_of(each), share)))
    chosen = sorted(useful[:nodes])
    if nodes < needs.nodes_min or sum(map(offer_of, chosen)) < needs.tasks:
        richest = sorted(useful, key=lambda each: (each not in required, -offer_of(each)))
        chosen = sorted(richest[:nodes])
        if nodes < needs.nodes_min or sum(map(offer_of, chosen)) < needs.tasks:
            return None
    return deal_evenly([(each, offer_of(each)) for each in chosen], max(needs.tasks, nodes))


def deal_evenly(chosen: Sequence[tuple[int, int]], tasks: int) -> list[tuple[int, int]]:
    """Return the tasks by node: as even as the offers allow, earlier nodes with one more."""
    dealt = dict.fromkeys([position for position, _ in chosen], 0)
    open_nodes = list(chosen)
    while tasks and open_nodes:
        each_gets, more = divmod(tasks, len(open_nodes))
        for place, (position, offer) in enumerate(open_nodes):
            part = min(offer - dealt[position], each_gets + (place < more))
            dealt[position] += part
            tasks -= part
        open_nodes = [(position, offer) for position, offer in open_nodes if dealt[position] < offer]
    return list(dealt.items())
