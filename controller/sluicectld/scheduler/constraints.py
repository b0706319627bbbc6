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
        return feature_expr.parse(text.rstrip("&| "))
    except InvalidRequest:
        return ("name", text)


def compute_groups(tree: Tree) -> tuple[Group, ...]:
    """Return the counts that the expression asks for."""
    if not tree or feature_expr.is_plain(tree):
        return ()
    if tree[0] == "count":
        return (Group(tree[1], tree[2]),)
    if tree[0] == "match":
        return compute_groups(tree[1])
    return tuple(group for part in tree[1:] if tree[0] == "and" for group in compute_groups(part))


def compute_alternatives(tree: Tree) -> tuple[Tree, ...]:
    """Return the trees of which one must suit all nodes: the parts of [a|b], nothing for other expressions."""
    if tree and tree[0] == "match" and tree[1][0] == "or":
        return tuple(tree[1][1:])
    return ()


def force_groups(
    groups: Sequence[Group],
    suits: Callable[[Tree, int], bool],
    candidates: Sequence[int],
    offer_of: OfferOf,
    required: frozenset[int],
) -> frozenset[int] | None:
    """Return the nodes that fill every count, first ones first, with those required anyway; None when too few suit."""
    forced = set(required)
    for group in groups:
        # A node that was chosen for one count serves the next one too.
        missing = group.count - sum(1 for each in forced if suits(group.tree, each))
        suiting = (each for each in candidates if each not in forced and suits(group.tree, each) and offer_of(each))
        chosen = list(itertools.islice(suiting, max(missing, 0)))
        if len(chosen) < missing:
            return None
        forced.update(chosen)
    return frozenset(forced)
