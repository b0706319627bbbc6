"""A step over several components of a heterogeneous job: its ranks go on from component to component."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from sluice import cpuset
from sluice.model.step import Step


def as_one(parts: Sequence[Step]) -> list[Step]:
    """Return the steps of the components, each of which counts from 0, with their ranks in the whole step."""
    first_rank = 0
    shifted = []
    for step in parts:
        nodes = tuple(replace(node, ranks=cpuset.format(cpuset.parse(node.ranks) << first_rank)) for node in step.nodes)
        shifted.append(replace(step, nodes=nodes))
        first_rank += step.ntasks
    return shifted
