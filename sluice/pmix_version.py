"""The versions of PMIx that there may be on nodes, as --mpi names them: pmix_v4.

Without a version a step takes what the node's libpmix is.  Source: Slurm's names for --mpi=list.
"""

from __future__ import annotations

#: Those whose layouts are known (sluiced/pmi/libpmix.py).
MAJORS = (4, 5)
NAMES = tuple([f"pmix_v{major}" for major in MAJORS])


def major_of(mpi: str) -> int | None:
    """Return the version that an --mpi type asks for; None: any, or it is not PMIx at all."""
    return MAJORS[NAMES.index(mpi)] if mpi in NAMES else None
