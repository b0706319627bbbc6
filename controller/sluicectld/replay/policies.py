"""Backfill policies by the names that papers give them, as fields of the scheduler's policy.

A named policy is the pure one: it looks at every job and as far ahead as need be.  A configuration's own policy keeps
its bounds.
"""

from msgspec.structs import replace

from sluicectld.scheduler.snapshot import Policy

#: More jobs than any trace has, and more seconds: stands for "no bound" where a count is wanted.
_UNBOUNDED = 10**9
_UNBOUNDED_S = 1e10

NAMES = ("fcfs", "easy", "easy-sjbf", "conservative", "hybrid", "predict")


def policy_named(name: str, base: Policy, reservations: int) -> Policy:
    """Return *base* with what *name* says about backfill, unbounded.  reservations: planned starts of "hybrid"."""
    unbounded = replace(
        base,
        is_backfilling=True,
        backfill_jobs_max=_UNBOUNDED,
        backfill_node_looks_max=_UNBOUNDED,
        backfill_window_s=_UNBOUNDED_S,
        starts_max=_UNBOUNDED,
        planned_per_shape_max=_UNBOUNDED,
    )
    match name:
        case "fcfs":
            return replace(unbounded, is_backfilling=False)
        case "easy":
            return replace(unbounded, planned_max=1)
        case "easy-sjbf":
            return replace(unbounded, planned_max=1, is_shortest_first=True)
        case "conservative":
            return replace(unbounded, planned_max=_UNBOUNDED, keeps_promises=True)
        case "hybrid":
            return replace(unbounded, planned_max=reservations)
        case "predict":
            return replace(unbounded, planned_max=1, is_predicting=True)
        case _:
            raise AssertionError(f"no policy is called {name!r}")
