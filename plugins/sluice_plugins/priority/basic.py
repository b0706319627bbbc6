"""PriorityType=priority/basic: the order of arrival."""

from collections.abc import Mapping

from sluice.model.priority import (
    Candidates,
    JobPriority,
    PriorityContext,
    PrioritySetup,
    compute_arrival_priority,
)
from sluice_plugins.interfaces import PriorityFactor


class Basic:
    """Heeds no factor."""

    def prepare(self, setup: PrioritySetup, factors: Mapping[str, PriorityFactor]) -> "ArrivalRule":
        return ArrivalRule()


class ArrivalRule:
    """Each job has one less than the one before it."""

    is_lasting = True

    def compute(self, candidates: Candidates, context: PriorityContext) -> list[float]:
        return [compute_arrival_priority(job) for job in candidates.jobs]

    def explain(self, candidates: Candidates, context: PriorityContext) -> list[JobPriority]:
        return [
            JobPriority(
                job_id=job.id,
                user=standing.user,
                account=standing.account,
                qos=standing.qos,
                partition=standing.partition,
                priority=compute_arrival_priority(job),
            )
            for job, standing in zip(candidates.jobs, candidates.standings, strict=True)
        ]
