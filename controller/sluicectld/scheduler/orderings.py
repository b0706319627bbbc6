"""In which order nodes are looked at: one table of orderings, each a key that sorts the nodes in placement order.

Placement order (lowest weight, then configuration order) is what every ordering starts from and keeps among equals.

Source: CONTRACT sections 2.2 and 16.1: CR_LLN, pack_serial_at_end, bf_busy_nodes, --prefer.
"""

from collections.abc import Callable, Sequence

from sluice import feature_expr

from .constraints import parse_constraint
from .needs import Needs
from .working import WorkingCopy

#: (position, needs, working copy) -> key; smaller is earlier.
OrderingKey = Callable[[int, Needs, WorkingCopy], int]


def _least_loaded(position: int, needs: Needs, working: WorkingCopy) -> int:
    return -working.levels[position].cpus


def _last_node_first(position: int, needs: Needs, working: WorkingCopy) -> int:
    return -position


def _in_use_first(position: int, needs: Needs, working: WorkingCopy) -> int:
    return 0 if working.levels[position].job_count else 1


def _preferred_first(position: int, needs: Needs, working: WorkingCopy) -> int:
    tree = parse_constraint(needs.preferred_features)
    return 0 if feature_expr.evaluate(tree, working.nodes[position].node.features) else 1


ORDERINGS: dict[str, OrderingKey] = {
    "least_loaded": _least_loaded,
    "last_node_first": _last_node_first,
    "in_use_first": _in_use_first,
    "preferred_first": _preferred_first,
}


def order_by(name: str, candidates: Sequence[int], needs: Needs, working: WorkingCopy) -> list[int]:
    """Return the candidates in this order, equal ones as they were."""
    key = ORDERINGS[name]
    return sorted(candidates, key=lambda position: key(position, needs, working))


def order_candidates(candidates: list[int], needs: Needs, working: WorkingCopy) -> list[int]:
    """Return the candidates as the request and the policy want them looked at; the last ordering weighs most."""
    for name in _names_for(needs, working):
        candidates = order_by(name, candidates, needs, working)
    return candidates


def _names_for(needs: Needs, working: WorkingCopy) -> list[str]:
    names = []
    is_serial = needs.tasks == 1 and needs.cpus_per_task == 1 and not needs.is_exclusive
    if is_serial and working.policy.puts_serial_last:
        names.append("last_node_first")
    if needs.preferred_features:
        names.append("preferred_first")
    return names
