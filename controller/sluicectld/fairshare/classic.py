"""The classic fair-share factor: F = 2^(-UE / S / d), and its depth-oblivious variant F = 2^(-R / d).

S: the association's part of the whole cluster's shares, the parts of all levels multiplied.  U: its part of the whole
cluster's usage.  d: FairShareDampeningFactor.  UE, the effective usage, charges an association with a part of what its
siblings used, by its shares:

    UE = U                                                  below the root
    UE = U + (UE of the account - U) * shares / siblings' shares    elsewhere

Depth-oblivious, R is U/S below the root, and elsewhere R of the account times rl^k, where rl is U/S over that of
all siblings together, and k = 1 / (1 + (5 ln R of the account)^2), but 1 when both ratios lie on the same side of 1.
An association without shares has the factor 0; a user with `parent` shares has its account's numbers.
Source: Slurm's documentation, "Classic Fairshare Algorithm" and "Depth-Oblivious Fair-share Factor".
"""

import math

from .tree import Association, Branch, ShareResult, build_tree, walk

#: How fast the depth-oblivious k falls when the account is away from its target.
_STEEPNESS = 5.0


class _Numbers:
    """norm_shares and norm_usage are of the whole cluster; ratio is UE / S, or R."""

    __slots__ = ("effective_usage", "norm_shares", "norm_usage", "ratio")

    def __init__(self, norm_shares: float, norm_usage: float, effective_usage: float, ratio: float) -> None:
        self.norm_shares = norm_shares
        self.norm_usage = norm_usage
        self.effective_usage = effective_usage
        self.ratio = ratio


def compute_classic(
    associations: list[Association], dampening: float = 1.0, is_depth_oblivious: bool = False
) -> list[ShareResult]:
    """Return the result of each association but the root, parents before children; accounts have a factor too."""
    root = build_tree(associations)
    used = 1.0 if root.usage else 0.0
    numbers = {root: _Numbers(1.0, used, used, used)}
    for branch in (root, *walk(root)):
        shares, usage = branch.share_of_level()
        level = (shares, usage / root.usage if root.usage else 0.0)
        for child in branch.children:
            numbers[child] = _numbers_of(child, branch, root, numbers[branch], level, is_depth_oblivious)
    return [_result(branch, numbers[branch], dampening) for branch in walk(root)]


def _result(branch: Branch, numbers: _Numbers, dampening: float) -> ShareResult:
    return ShareResult(
        account=branch.association.account,
        user=branch.association.user,
        partition=branch.association.partition,
        depth=branch.depth,
        shares=branch.association.shares,
        norm_shares=numbers.norm_shares,
        usage=branch.usage,
        norm_usage=numbers.norm_usage,
        effective_usage=numbers.effective_usage,
        fair_share=2.0 ** -(numbers.ratio / dampening) if numbers.norm_shares else 0.0,
    )


def _numbers_of(
    branch: Branch, parent: Branch, root: Branch, above: _Numbers, level: tuple[int, float], is_depth_oblivious: bool
) -> _Numbers:
    """level: shares and normalised usage of all siblings together."""
    if branch.association.shares is None:
        return above
    level_shares, level_usage = level
    part = branch.shares / level_shares if level_shares else 0.0
    norm_shares = above.norm_shares * part
    norm_usage = branch.usage / root.usage if root.usage else 0.0
    effective = norm_usage if parent is root else norm_usage + (above.effective_usage - norm_usage) * part
    if not norm_shares:
        return _Numbers(0.0, norm_usage, effective, math.inf)
    if not is_depth_oblivious:
        return _Numbers(norm_shares, norm_usage, effective, effective / norm_shares)
    ratio = norm_usage / norm_shares
    if parent is not root:
        # The siblings' shares together are the account's own.
        siblings_ratio = level_usage / above.norm_shares
        ratio = _oblivious_ratio(above.ratio, ratio / siblings_ratio if siblings_ratio else 0.0)
    return _Numbers(norm_shares, norm_usage, norm_usage, ratio)


def _oblivious_ratio(above: float, local: float) -> float:
    """Return R from the account's and the local usage ratio."""
    if not above or not local:
        return 0.0
    log_above = math.log(above)
    exponent = 1.0 if log_above * math.log(local) > 0 else 1 / (1 + (_STEEPNESS * log_above) ** 2)
    return above * math.pow(local, exponent)
