"""Associations as a tree: who shares with whom, and what each account used in all.

An account whose shares are `parent` takes no part: its children count as children of the nearest account above that
has shares of its own.  A user whose shares are `parent` stays where it is and stands for its account.

Invariant: sums do not depend on the order of the associations, so neither does any factor.
"""

import math
from collections.abc import Iterable, Iterator

from sluice.model.base import Record
from sluice.model.priority import AssociationKey

#: The account above all others; it need not be among the associations.
ROOT = "root"


class Association(Record, frozen=True, kw_only=True):
    """An account, or a user (perhaps in one partition) of an account, with its shares and its decayed usage.

    parent: the account that an account belongs to.  shares: None for `parent`.  usage: billing seconds of its own jobs.
    """

    account: str
    user: str = ""
    partition: str = ""
    parent: str = ROOT
    shares: int | None = 1
    usage: float = 0.0

    @property
    def key(self) -> AssociationKey:
        return self.account, self.user, self.partition


class ShareResult(Record, frozen=True, kw_only=True):
    """What the algorithms say of one association: the columns of sshare.

    norm_shares: of the siblings' (Fair Tree) or of the whole cluster's (classic).  norm_usage: of the whole cluster's.
    effective_usage: what norm_shares is compared with.  None: the algorithm has no such number.
    """

    account: str
    user: str = ""
    partition: str = ""
    depth: int = 0
    shares: int | None = 1
    norm_shares: float = 0.0
    usage: float = 0.0
    norm_usage: float = 0.0
    effective_usage: float = 0.0
    fair_share: float | None = None
    level_fair_share: float | None = None

    @property
    def key(self) -> AssociationKey:
        return self.account, self.user, self.partition


class Branch:
    """An association in the tree.  usage, user_count: with all below it.  depth: as configured."""

    __slots__ = ("association", "children", "depth", "usage", "user_count")

    def __init__(self, association: Association, depth: int) -> None:
        self.association = association
        self.depth = depth
        self.children: list[Branch] = []
        self.usage = 0.0
        self.user_count = 0

    @property
    def is_user(self) -> bool:
        return bool(self.association.user)

    @property
    def shares(self) -> int:
        """Shares among the siblings; 0 for `parent`, which does not count there."""
        return self.association.shares or 0

    def share_of_level(self) -> tuple[int, float]:
        """Return the shares and the usage of the children together."""
        return sum(child.shares for child in self.children), math.fsum(child.usage for child in self.children)


def build_tree(associations: Iterable[Association]) -> Branch:
    """Return the root; an account whose parent is not among the associations hangs below it.

    Raises ValueError for accounts that are above each other.
    """
    known = sorted(associations, key=lambda each: each.key)
    accounts = {each.account: each for each in known if not each.user}
    root = Branch(accounts.get(ROOT, Association(account=ROOT)), 0)
    branches = {ROOT: root}
    for each in known:
        if each.user:
            above, depth = _nearest_above(each.account, accounts)
            holder = _branch_of(above, accounts, branches)
            holder.children.append(Branch(each, depth + 1))
        elif each.account != ROOT:
            _branch_of(each.account, accounts, branches)
    _add_up(root)
    return root


def walk(root: Branch) -> Iterator[Branch]:
    """Yield every branch but the root, parents before children."""
    waiting = list(reversed(root.children))
    while waiting:
        branch = waiting.pop()
        yield branch
        waiting.extend(reversed(branch.children))


def _branch_of(name: str, accounts: dict[str, Association], branches: dict[str, Branch]) -> Branch:
    """Return the account's branch, made with all above it; a dissolved account keeps none but a leaf for its usage."""
    branch = branches.get(name)
    if branch is None:
        account = accounts[name]
        above, depth = _nearest_above(account.parent, accounts)
        branch = branches[name] = Branch(account, depth + 1)
        _branch_of(above, accounts, branches).children.append(branch)
    return branch


def _nearest_above(name: str, accounts: dict[str, Association]) -> tuple[str, int]:
    """Return the nearest account from *name* upwards that has shares of its own, and the depth of *name*."""
    nearest = ""
    depth = 0
    while name != ROOT and name in accounts:
        if not nearest and accounts[name].shares is not None:
            nearest = name
        name = accounts[name].parent
        depth += 1
        if depth > len(accounts):
            raise ValueError(f"account {name!r} is above itself")
    return nearest or ROOT, depth


def _add_up(root: Branch) -> None:
    for branch in reversed([root, *walk(root)]):
        branch.usage = math.fsum((branch.association.usage, *(child.usage for child in branch.children)))
        branch.user_count = branch.is_user + sum(child.user_count for child in branch.children)
