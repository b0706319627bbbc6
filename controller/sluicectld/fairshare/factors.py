"""From associations to the fair-share factor of each: which algorithm, by PriorityFlags."""

from sluice.model.base import Record
from sluice.model.priority import AssociationKey, PrioritySetup

from .classic import compute_classic
from .fair_tree import compute_fair_tree
from .tree import Association, ShareResult


class FairShareRules(Record, frozen=True, kw_only=True):
    """What of the configuration the factors depend on."""

    is_fair_tree: bool = True
    is_depth_oblivious: bool = False
    dampening: float = 1.0


def fair_share_rules_of(setup: PrioritySetup) -> FairShareRules:
    """Return the rules of a configuration; DEPTH_OBLIVIOUS implies NO_FAIR_TREE."""
    is_depth_oblivious = "DEPTH_OBLIVIOUS" in setup.flags
    return FairShareRules(
        is_fair_tree=not is_depth_oblivious and "NO_FAIR_TREE" not in setup.flags,
        is_depth_oblivious=is_depth_oblivious,
        dampening=setup.dampening,
    )


def compute_share_results(associations: list[Association], rules: FairShareRules) -> list[ShareResult]:
    """Return the numbers of each association, as sshare lists them."""
    if rules.is_fair_tree:
        return compute_fair_tree(associations)
    return compute_classic(associations, rules.dampening, rules.is_depth_oblivious)


def compute_fair_shares(associations: list[Association], rules: FairShareRules) -> dict[AssociationKey, float]:
    """Return the factor of every user association."""
    results = compute_share_results(associations, rules)
    return {each.key: each.fair_share for each in results if each.user and each.fair_share is not None}
