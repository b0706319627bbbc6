"""What an allocation is charged with in a second: its billing TRES, from the partition's TRESBillingWeights.

Without weights it is the CPUs.  Otherwise each weighted TRES is added, or, by PriorityFlags, MAX_TRES: the largest of
what lies on the nodes plus what is global; MAX_TRES_GRES: the same, with GRES added instead of compared.
Source: Slurm's documentation of TRESBillingWeights and PriorityFlags.
"""

from collections.abc import Mapping

#: TRES on no node: they are added whatever the flags say.
_GLOBAL = ("license/", "bb/")


def compute_billing(
    tres: Mapping[str, int], weights: Mapping[str, float], flags: frozenset[str] = frozenset()
) -> float:
    """Return the billing of *tres*.  Names are compared in lower case, as the configuration keeps them."""
    if not weights:
        return float(tres.get("cpu", 0))
    charges = {name: weights[name.lower()] * count for name, count in tres.items() if name.lower() in weights}
    if "MAX_TRES" not in flags and "MAX_TRES_GRES" not in flags:
        return sum(charges.values())
    added = (*_GLOBAL, "gres/") if "MAX_TRES_GRES" in flags else _GLOBAL
    compared = [charge for name, charge in charges.items() if not name.startswith(added)]
    return max(compared, default=0.0) + sum(charge for name, charge in charges.items() if name.startswith(added))
