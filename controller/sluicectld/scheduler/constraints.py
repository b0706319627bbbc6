"""Feature expressions that speak of the whole allocation: counts of nodes, and nodes that are all alike.

a*4 wants four nodes with a; [a*2&b*1] counts of each; [a|b] nodes that all have a, or all have b.  Whether one node
suits an expression is feature_expr's to say.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from sluice import feature_expr
from sluice.errors import InvalidRequest

from .cover import find_cover
from .place import OfferOf

Tree = tuple[Any, ...]


class Group(msgspec.Struct, frozen=True):
    """At least so many nodes that suit the tree."""

    tree: Tree
    count: int


def parse_constraint(text: str) -> Tree:
    """Return the expression's tree; one that can't be read names a feature that no node has."""
    if not text:
        return ()
    try:
        return feature_expr.parse(text)
    except InvalidRequest:
        return ("name", text)


def compute_groups(tree: Tree) -> tuple[Group, ...]:
    """Return the counts that the expression asks for."""
    return tuple(Group(part, count) for part, count in feature_expr.counts(tree)) if tree else ()


def compute_alternatives(tree: Tree) -> tuple[Tree, ...]:
    """Return the trees of which one must suit all nodes; nothing for expressions with a single way."""
    ways = feature_expr.ways(tree) if tree else []
    return tuple(ways) if len(ways) > 1 else ()


def force_groups(
    groups: Sequence[Group],
    suits: Callable[[Tree, int], bool],
    candidates: Sequence[int],
    offer_of: OfferOf,
    required: frozenset[int],
    nodes_max: int = 0,
) -> frozenset[int] | None:
    """Return the nodes that fill every count, first ones first, with those required anyway; None when too few suit.

    A node counts for everything that it suits.  nodes_max: 0 for any number.
    """
    forced = set(required)
    for group in groups:
        missing = group.count - sum(1 for each in forced if suits(group.tree, each))
        suiting = (each for each in candidates if each not in forced and suits(group.tree, each) and offer_of(each))
        chosen = list(itertools.islice(suiting, max(missing, 0)))
        if len(chosen) < missing:
            return None
        forced.update(chosen)
    if nodes_max and len(forced) > nodes_max:
        suited = [
            (each, tuple(suits(group.tree, each) for group in groups))
            for each in candidates
            if each in required or offer_of(each)
        ]
        cover = find_cover([group.count for group in groups], suited, required)
        return frozenset(cover) if cover is not None and len(cover) <= nodes_max else None
    return frozenset(forced)
