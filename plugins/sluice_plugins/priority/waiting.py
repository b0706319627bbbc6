"""Factors of the job alone: how long it has waited, and the number that an administrator gave it."""

from collections.abc import Sequence

from sluice.model.job import Job
from sluice.model.priority import PriorityContext


class AgeFactor:
    """Waiting time over PriorityMaxAge, from eligibility on; with ACCRUE_ALWAYS from submission on."""

    def compute_of_jobs(self, jobs: Sequence[Job], context: PriorityContext) -> list[float]:
        now_at, max_age_s = context.now_at, context.setup.max_age_s
        if max_age_s <= 0:
            return [0.0] * len(jobs)
        if "ACCRUE_ALWAYS" in context.setup.flags:
            since = [job.submitted_at for job in jobs]
        else:
            since = [now_at if job.eligible_at is None else job.eligible_at for job in jobs]
        # No min() and max(): they would double the time, which matters for a hundred thousand jobs.
        full_at = now_at - max_age_s
        return [1.0 if at <= full_at else (now_at - at) / max_age_s if at < now_at else 0.0 for at in since]


class SiteFactor:
    """What an administrator set; it is added to the priority as it is."""

    def compute_of_jobs(self, jobs: Sequence[Job], context: PriorityContext) -> list[float]:
        numbers = context.tables.site_factors
        return [float(numbers.get(job.id, 0)) for job in jobs] if numbers else [0.0] * len(jobs)
