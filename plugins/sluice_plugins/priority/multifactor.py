"""PriorityType=priority/multifactor: the sum of weight times factor over all factors that have a weight.

The site's own numbers and the TRES come in as they are: the first have no weight, each TRES has its own.  Without any
weight it is the order of arrival.

What candidates share is computed once: a pass costs by distinct standings and sizes, and little for each job.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sluice.model.job import Job
from sluice.model.priority import Asked, Candidates, JobPriority, PriorityContext, PrioritySetup, Standing
from sluice_plugins.interfaces import JobFactor, PriorityFactor, PriorityRule, SizeFactor, StandingFactor

from .basic import ArrivalRule
from .size import compute_tres_factors

#: The factor whose number an administrator sets; it is added without a weight.
_SITE = "site"

_Shared = TypeVar("_Shared", Standing, Asked)


class Multifactor:
    """Weighs the factors that it is given."""

    def prepare(self, setup: PrioritySetup, factors: Mapping[str, PriorityFactor]) -> PriorityRule:
        if not setup.weights and not setup.tres_weights and not setup.site_factor:
            return ArrivalRule()
        return WeightedRule(setup, factors)


class WeightedRule:
    """Sums up weighted factors."""

    is_lasting = False

    def __init__(self, setup: PrioritySetup, factors: Mapping[str, PriorityFactor]) -> None:
        self._weights = setup.weights | {name: 1 for name in (_SITE, setup.site_factor) if name}
        self._tres_weights = setup.tres_weights
        self._unweighted = (_SITE, setup.site_factor)
        self._of_standing: dict[str, StandingFactor] = {}
        self._of_asked: dict[str, SizeFactor] = {}
        self._of_job: dict[str, JobFactor] = {}
        for name, factor in factors.items():
            if isinstance(factor, StandingFactor):
                self._of_standing[name] = factor
            elif isinstance(factor, SizeFactor):
                self._of_asked[name] = factor
            else:
                self._of_job[name] = factor

    def compute(self, candidates: Candidates, context: PriorityContext) -> list[float]:
        by_standing = _sum_up(candidates.standings, lambda standing: self._sum_of_standing(standing, context))
        by_asked = _sum_up(candidates.asked, lambda asked: self._sum_of_asked(asked, context))
        pairs = zip(candidates.standings, candidates.asked, strict=True)
        sums = [by_standing[id(standing)] + by_asked[id(asked)] for standing, asked in pairs]
        for name, factor in self._of_job.items():
            weight = self._weights[name]
            numbers = factor.compute_of_jobs(candidates.jobs, context)
            sums = [so_far + weight * number for so_far, number in zip(sums, numbers, strict=True)]
        return sums

    def explain(self, candidates: Candidates, context: PriorityContext) -> list[JobPriority]:
        rows = zip(
            candidates.jobs, candidates.standings, candidates.asked, self.compute(candidates, context), strict=True
        )
        return [self._explain(*row, context) for row in rows]

    def _sum_of_standing(self, standing: Standing, context: PriorityContext) -> float:
        factors = self._of_standing.items()
        return sum(self._weights[name] * factor.compute_of_standing(standing, context) for name, factor in factors)

    def _sum_of_asked(self, asked: Asked, context: PriorityContext) -> float:
        factors = self._of_asked.items()
        weighted = sum(self._weights[name] * factor.compute_of_asked(asked, context) for name, factor in factors)
        if not self._tres_weights:
            return weighted
        by_tres = compute_tres_factors(asked, context).items()
        return weighted + sum(self._tres_weights[name] * number for name, number in by_tres)

    def _explain(
        self, job: Job, standing: Standing, asked: Asked, number: float, context: PriorityContext
    ) -> JobPriority:
        factors = {name: factor.compute_of_standing(standing, context) for name, factor in self._of_standing.items()}
        factors |= {name: factor.compute_of_asked(asked, context) for name, factor in self._of_asked.items()}
        factors |= {name: factor.compute_of_jobs((job,), context)[0] for name, factor in self._of_job.items()}
        site = sum(factors.pop(name, 0.0) for name in self._unweighted)
        tres_factors = compute_tres_factors(asked, context)
        return JobPriority(
            job_id=job.id,
            user=standing.user,
            account=standing.account,
            qos=standing.qos,
            partition=standing.partition,
            priority=int(number),
            site=int(site),
            factors=factors,
            weighted={name: self._weights[name] * factor for name, factor in factors.items()},
            tres_factors=tres_factors,
            tres_weighted={name: self._tres_weights[name] * factor for name, factor in tres_factors.items()},
        )


def _sum_up(records: Sequence[_Shared], sum_of: Callable[[_Shared], float]) -> dict[int, float]:
    """Return the sum of each distinct record, by its identity."""
    return {key: sum_of(record) for key, record in dict(zip(map(id, records), records, strict=True)).items()}
