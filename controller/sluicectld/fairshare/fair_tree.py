"""Fair Tree: every user of the better account goes before every user of the worse one, on each level of the tree.

The level fair-share of an association is its part of the siblings' shares over its part of their usage.  Siblings go
by it, largest first; the tree is walked depth first, and a user's factor is its place in that walk counted from the
end, over the number of users: the first one has 1.

Ties: users with equal numbers share the better place.  The children of accounts with equal numbers are ranked
together, as of one account.  A user that ties with accounts has the place of the best user in them.
A user with `parent` shares stands with its account's own number, so all such users of an account tie.
Source: Slurm's documentation of the algorithm; what it says of ties was compared with sshare of 22.05.
"""

import math
from itertools import groupby
from operator import itemgetter

from .tree import Association, Branch, ShareResult, build_tree, walk

#: Digits that count when two level fair-shares are compared: more would tell equal quotients apart.
_DIGITS = 12


class _Level:
    """What one branch has of its level."""

    __slots__ = ("effective_usage", "fair_share", "norm_shares")

    def __init__(self, norm_shares: float, effective_usage: float) -> None:
        self.norm_shares = norm_shares
        self.effective_usage = effective_usage
        self.fair_share = _divide(norm_shares, effective_usage)


def compute_fair_tree(associations: list[Association]) -> list[ShareResult]:
    """Return the result of each association but the root, parents before children; only users have a factor."""
    root = build_tree(associations)
    levels = _compute_levels(root)
    ranks = _rank(root, levels)
    count = root.user_count
    return [
        ShareResult(
            account=branch.association.account,
            user=branch.association.user,
            partition=branch.association.partition,
            depth=branch.depth,
            shares=branch.association.shares,
            norm_shares=levels[branch].norm_shares,
            usage=branch.usage,
            norm_usage=branch.usage / root.usage if root.usage else 0.0,
            effective_usage=levels[branch].effective_usage,
            fair_share=(count - ranks[branch]) / count if branch.is_user else None,
            level_fair_share=levels[branch].fair_share,
        )
        for branch in walk(root)
    ]


def _compute_levels(root: Branch) -> dict[Branch, _Level]:
    levels = {root: _Level(1.0, 1.0 if root.usage else 0.0)}
    for branch in (root, *walk(root)):
        shares, usage = branch.share_of_level()
        for child in branch.children:
            if child.association.shares is None:
                levels[child] = levels[branch]
            else:
                levels[child] = _Level(_part(child.shares, shares), _part(child.usage, usage))
    return levels


def _rank(root: Branch, levels: dict[Branch, _Level]) -> dict[Branch, int]:
    """Return how many users stand before each user."""
    ranks: dict[Branch, int] = {}
    #: Siblings still to be ranked, and users who share the place of the best of them.  Last in, first out.
    waiting: list[tuple[list[Branch], list[Branch]]] = [(root.children, [])]
    while waiting:
        siblings, joining = waiting.pop()
        groups = _tied_groups(siblings, levels)
        if not groups:
            continue
        users = [each for each in groups[0] if each.is_user] + joining
        children = [child for each in groups[0] for child in each.children]
        waiting.append(([each for group in groups[1:] for each in group], []))
        if children:
            waiting.append((children, users))
        else:
            ranks |= dict.fromkeys(users, len(ranks))
    return ranks


def _tied_groups(siblings: list[Branch], levels: dict[Branch, _Level]) -> list[list[Branch]]:
    """Return the siblings that are or have users, largest level fair-share first, equal ones together."""
    keyed = [(_comparable(levels[each].fair_share), each) for each in siblings if each.user_count]
    keyed.sort(key=itemgetter(0), reverse=True)
    return [[each for _, each in group] for _, group in groupby(keyed, key=itemgetter(0))]


def _comparable(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


def _part(number: float, total: float) -> float:
    return number / total if total else 0.0


def _divide(shares: float, usage: float) -> float:
    """Return shares over usage: nothing without shares, infinity without usage."""
    if not shares:
        return 0.0
    return shares / usage if usage else math.inf
