"""A waiting job before the pools: when licenses and limits let it run, and with which of the licenses that would do.

What the job takes at least is known before it is placed; what it takes is known when its nodes are.  Jobs of one shape
with the same member are one claimant: what was planned for one of them is where the search for the next one begins.
"""

from sluice.model.job import Job

from .levels import Kind, Take
from .limits.gate import Gate
from .limits.licenses import Licenses, options_of
from .pools import Claim, Claims, Pools, Use
from .shapes import Shape
from .tracks import NEVER


class Claimant:
    """Equal jobs in one pass; a shape and, where there are limits, the member that they apply to."""

    def __init__(self, pools: Pools, gate: Gate, job: Job, shape: Shape) -> None:
        self._pools = pools
        self._gate = gate
        self._shape = shape
        self._member = gate.find_member(job, shape)
        #: What it takes at least, for each of the licenses that would do.
        self.least: list[Claims] = []
        for licenses in options_of(shape.needs):
            demand = gate.find_demand(shape) if self._member is not None else None
            self.least.append(self._claims(Use(licenses, self._member, demand, shape.view.reservation)))
        #: Limits may stand against it that its twins need not have against them.
        self.is_personal = self._member is not None and bool(self._member.rules or self._member.refusals)
        #: As in shapes.py, for this member only.
        self.may_plan = True
        self.planned_at = 0.0
        self.planned_count = 0

    def use(self, takes: list[tuple[Kind, Take]], licenses: Licenses) -> Use:
        """Return what one of the jobs takes that is placed like this."""
        demand = self._gate.find_taken(self._shape, takes, licenses) if self._member is not None else None
        return Use(licenses, self._member, demand, self._shape.view.reservation)

    def earliest(self, from_at: float) -> float:
        """Return the first moment, *from_at* or later, at which one of the jobs may start; NEVER if there is none."""
        if self._member is not None and self._gate.is_barred(self._member, self._gate.find_demand(self._shape)):
            return NEVER
        return min([self._pools.earliest(claims, self._shape.duration_s, from_at) for claims in self.least])

    def settle(self, takes: list[tuple[Kind, Take]], at: float) -> tuple[Use | None, float]:
        """Return what a job takes that is placed like this and starts then; None if it may not, and when it may."""
        next_at = NEVER
        for licenses in options_of(self._shape.needs):
            use = self.use(takes, licenses)
            if use.member is not None and use.demand is not None and self._gate.is_barred(use.member, use.demand):
                continue
            may_at = self._pools.earliest(self._claims(use), self._shape.duration_s, at)
            if may_at <= at:
                return use, at
            next_at = min(next_at, may_at)
        return None, next_at

    def find_lack(self, at: float, use: Use | None = None) -> Claim | None:
        """Return what keeps a job from starting then, of all that is known beforehand.  use: if it is placed."""
        until_at = at + self._shape.duration_s
        lack = None
        for claims in self.least if use is None else [self._claims(use)]:
            lack = self._pools.find_lack(claims, at, until_at)
            if lack is None:
                return None
        return lack

    def next_change(self, at: float) -> float:
        """Return the first moment after *at* at which another number is left for it; NEVER if there is none."""
        return min([self._pools.next_change(claims, at) for claims in self.least])

    def falls_after(self, at: float) -> list[float]:
        """Return the moments after which less may be left for it than before."""
        return [fall for claims in self.least for fall in self._pools.falls_after(claims, at)]

    def _claims(self, use: Use) -> Claims:
        return self._pools.claims_of(use, self._shape.view)
