"""Factors of who asks: the association's own priority, the QOS's, and what its usage leaves it of its shares.

A job whose association or QOS is not in the tables has 0.
Source: Slurm's documentation of the multifactor plugin; NO_NORMAL_* of PriorityFlags.
"""

from collections.abc import Mapping
from typing import TypeVar

from sluice.model.priority import AssociationKey, PriorityContext, Standing

_Number = TypeVar("_Number", int, float)


class AssociationFactor:
    """The priority of the association, against the largest of all."""

    def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float:
        number = _of_association(context.tables.association_priorities, standing)
        return float(number) if context.setup.is_raw("ASSOC") else _part(number, context.association_priority_max)


class QosFactor:
    """The priority of the QOS, against the largest of all."""

    def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float:
        number = context.tables.qos_priorities.get(standing.qos, 0)
        return float(number) if context.setup.is_raw("QOS") else _part(number, context.qos_priority_max)


class FairShareFactor:
    """What the fair-share algorithm found for the association."""

    def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float:
        return float(_of_association(context.tables.fair_shares, standing))


def _of_association(table: Mapping[AssociationKey, _Number], standing: Standing) -> _Number | int:
    """Return the number of the partition's own association, or of the one for every partition."""
    found = table.get((standing.account, standing.user, standing.partition))
    return table.get((standing.account, standing.user, ""), 0) if found is None else found


def _part(number: int, largest: int) -> float:
    return min(max(number / largest, 0.0), 1.0) if largest > 0 else 0.0
