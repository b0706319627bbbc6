"""What one pass hands on to the next: the priorities that it found and, where they outlive it, its planned starts.

The controller does it from pass to pass, and the history's replay once more; so where decisions hang on it, the journal
names the passes that it comes from.
"""

from msgspec.structs import replace

from .plan import Plan
from .snapshot import Policy, Snapshot


def hand_on(snapshot: Snapshot, last: Plan, policy: Policy, is_freed: bool) -> Snapshot:
    """Return what a pass sees after *last*.  is_freed: something came back that the last one could not use."""
    promised = last.planned if policy.keeps_promises else {}
    return replace(snapshot, priorities=last.priorities, promised=promised, is_freed=is_freed)


def is_formative(plan: Plan, snapshot: Snapshot, policy: Policy) -> bool:
    """Would passes after this one decide otherwise without it?  snapshot: what it saw."""
    if policy.keeps_promises:
        promised = snapshot.promised
        return bool(plan.starts) or plan.planned != promised or list(plan.planned) != list(promised)
    return "INCR_ONLY" in policy.priority.flags and plan.priorities != snapshot.priorities
