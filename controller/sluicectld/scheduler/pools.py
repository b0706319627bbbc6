"""What is on no node, over time: licenses, and the room below limits over all who run together (GrpTRES, MaxJobs).

A pool is what jobs have of a license, or what the jobs of a holder of limits have of a TRES, or how many they are.
Running jobs leave it at their expected end; what starts or is planned in a pass takes its part for its whole limit.
Only counts that fall when jobs end are pools: budgets of TRES minutes and wall time come back by decay, at no time that
can be told.  A pool is made when it is first asked for, so that a pass pays for those that somebody waits for.

Invariant: whoever was planned holds all pools that he was found to fit into, for as long as he may run.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sluice.model.usage import Holder, Usage

from .departures import expect_ends
from .limits.book import LimitBook, Member
from .limits.licenses import Licenses
from .limits.rules import COUNTED, Rule
from .limits.tres import Demand, compute_allocated
from .reservations import LicenseClosure, View
from .snapshot import Policy, RunningJob, Snapshot
from .steps import Steps
from .tracks import NEVER

_NOTHING = Usage()


class Pool(NamedTuple):
    """license: its name; with a reservation, as far as the jobs in that one have it.

    holder: or all jobs of a holder of limits, counted; with a TRES, what they have of it.
    """

    license: str = ""
    reservation: str = ""
    holder: Holder | None = None
    tres: str = ""


class Use(NamedTuple):
    """What a job takes of pools.  member: None where there are no limits."""

    licenses: Licenses = ()
    member: Member | None = None
    demand: Demand | None = None
    reservation: str = ""

    def amount(self, pool: Pool) -> int:
        """Return how much it takes of a pool."""
        if pool.holder is None:
            is_other = pool.reservation and pool.reservation != self.reservation
            return 0 if is_other else sum([count for name, count in self.licenses if name == pool.license])
        if self.member is None or self.demand is None or pool.holder not in self.member.holders:
            return 0
        return self.demand.tres.get(pool.tres, 0) if pool.tres else 1


class Claim(NamedTuple):
    """So much is wanted of a pool that holds no more than its capacity.

    rule: whose limit it is.  closures: when reservations keep some of the license for themselves.
    """

    pool: Pool
    amount: int
    capacity: int
    rule: Rule | None = None
    closures: tuple[LicenseClosure, ...] = ()


Claims = tuple[Claim, ...]


class Booking(NamedTuple):
    """A use from when until when; job_id: of a job that is planned, 0 for one that starts."""

    use: Use
    from_at: float
    until_at: float
    job_id: int = 0


class Pools:
    """The pools of one pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy, book: LimitBook) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._book = book
        self._now_at = snapshot.now_at
        self._steps: dict[Pool, Steps] = {}
        #: With what reservations keep; good until one of their pools changes.
        self._closed: dict[tuple[Pool, tuple[LicenseClosure, ...]], Steps] = {}
        self._by_holder: dict[Holder, list[Pool]] = {}
        #: Everything that was added, for pools that are made later.
        self._bookings: list[Booking] = []
        self._planned = 0
        self._running: Sequence[RunningJob] | None = None
        #: Until when running jobs have how many of a license, and in which reservation.
        self._holds: dict[str, list[tuple[float, int, str]]] | None = None
        self._demands_by_member: dict[Member, list[tuple[float, Demand]]] | None = None

    @property
    def has_plans(self) -> bool:
        """May something be kept that is free now?"""
        return self._planned > 0

    # --- what a pass adds and takes out again

    def add(self, booking: Booking) -> None:
        """Take what a job uses out for as long as it stays."""
        self._bookings.append(booking)
        self._planned += bool(booking.job_id)
        self._change(booking, 1)

    def remove(self, booking: Booking) -> None:
        """Undo add()."""
        self._bookings.remove(booking)
        self._planned -= bool(booking.job_id)
        self._change(booking, -1)

    def _change(self, booking: Booking, sign: int) -> None:
        if not self._steps:
            return
        for pool in self._pools_of(booking.use):
            self._steps[pool].add(booking.from_at, booking.until_at, sign * booking.use.amount(pool))
        if booking.use.licenses:
            self._closed.clear()

    def _pools_of(self, use: Use) -> Iterable[Pool]:
        """Return the pools, of those that were made, that the use takes something of."""
        named = [Pool(license=name, reservation=each) for name, _ in use.licenses for each in {"", use.reservation}]
        held = use.member.holders if use.member is not None else ()
        return [pool for pool in named if pool in self._steps] + [
            pool for holder in held for pool in self._by_holder.get(holder, ())
        ]

    # --- questions

    def claims_of(self, use: Use, view: View) -> Claims:
        """Return what has to be free for the use.  view: how reservations look to the job."""
        found = [
            Claim(Pool(name), count, self._capacity(name), closures=_closures_of(view, name))
            for name, count in use.licenses
        ]
        for rule, _ in use.member.rules if use.member is not None else ():
            if rule.measure in COUNTED:
                pool = Pool(holder=rule.holder, tres=rule.tres)
                amount = use.amount(pool)
                if amount:
                    found.append(Claim(pool, amount, rule.limit, rule))
        return tuple(found)

    def earliest(self, claims: Claims, duration_s: float, from_at: float) -> float:
        """Return the first moment, *from_at* or later, from which on all claims are met for so long; NEVER if none."""
        at = from_at
        while True:
            later = at
            for claim in claims:
                later = self._over_time(claim).earliest(claim.capacity - claim.amount, duration_s, later)
                if later == NEVER:
                    return NEVER
            if later == at:
                return at
            at = later

    def next_change(self, claims: Claims, at: float) -> float:
        """Return the first moment after *at* at which one of the pools has another number taken; NEVER if none."""
        return min([self._over_time(claim).next_change(at) for claim in claims], default=NEVER)

    def find_lack(self, claims: Claims, from_at: float, until_at: float) -> Claim | None:
        """Return the first claim that can't be met all the time."""
        for claim in claims:
            if self._over_time(claim).peak(from_at, until_at) + claim.amount > claim.capacity:
                return claim
        return None

    def find_keepers(self, claim: Claim, from_at: float, until_at: float) -> list[Booking]:
        """Return the planned jobs that take something of the pool in the interval, the first to start first."""
        found = [
            booking
            for booking in self._bookings
            if booking.job_id
            and booking.from_at < until_at
            and from_at < booking.until_at
            and booking.use.amount(claim.pool)
        ]
        return sorted(found, key=lambda booking: (booking.from_at, booking.job_id))

    def falls_after(self, claims: Claims, at: float) -> list[float]:
        """Return the moments after *at* at which the planned jobs take something of these pools."""
        pools = [claim.pool for claim in claims]
        ahead = [booking for booking in self._bookings if booking.from_at > at]
        begins = [booking.from_at for booking in ahead if any(booking.use.amount(pool) for pool in pools)]
        return begins + [closure.from_at for claim in claims for closure in claim.closures if closure.from_at > at]

    # --- pools as they are made

    def _over_time(self, claim: Claim) -> Steps:
        """Return what is taken of the claim's pool, or kept from it."""
        if not claim.closures:
            return self._steps_of(claim.pool)
        key = claim.pool, claim.closures
        closed = self._closed.get(key)
        if closed is None:
            closed = self._steps_of(claim.pool).copy()
            for closure in claim.closures:
                own = self._steps_of(Pool(closure.license, closure.reservation))
                for from_at, until_at, count in own.intervals(closure.from_at, closure.until_at):
                    closed.add(from_at, until_at, max(closure.count - count, 0))
            self._closed[key] = closed
        return closed

    def _steps_of(self, pool: Pool) -> Steps:
        steps = self._steps.get(pool)
        if steps is None:
            steps = self._steps[pool] = self._make_license(pool) if pool.holder is None else self._make_limit(pool)
            for booking in self._bookings:
                steps.add(booking.from_at, booking.until_at, booking.use.amount(pool))
        return steps

    def _make_license(self, pool: Pool) -> Steps:
        holds = self._read_holds().get(pool.license, ())
        ends = [(end_at, count) for end_at, count, name in holds if pool.reservation in ("", name)]
        return Steps(self._now_at, 0, ends)

    def _make_limit(self, pool: Pool) -> Steps:
        assert pool.holder is not None, "of a license"
        self._by_holder.setdefault(pool.holder, []).append(pool)
        usage = self._snapshot.usage.get(pool.holder, _NOTHING)
        used = usage.tres.get(pool.tres, 0) if pool.tres else usage.jobs
        ends = [
            (end_at, demand.tres.get(pool.tres, 0) if pool.tres else 1)
            for member, demands in self._read_demands().items()
            if pool.holder in member.holders
            for end_at, demand in demands
        ]
        # Nobody knows when the rest of what is used comes back.
        return Steps(self._now_at, used - sum(count for _, count in ends), ends)

    def _capacity(self, name: str) -> int:
        """Return how many of a license there are."""
        held = sum([count for _, count, _ in self._read_holds().get(name, ())])
        return self._snapshot.licenses_free.get(name, 0) + held

    def _read_holds(self) -> dict[str, list[tuple[float, int, str]]]:
        if self._holds is None:
            self._holds = {}
            for running in self._read_running():
                for name, count in running.allocation.licenses:
                    self._holds.setdefault(name, []).append((_end_of(running), count, running.reservation))
        return self._holds

    def _read_running(self) -> Sequence[RunningJob]:
        """Return the running jobs with the ends that are expected of them."""
        if self._running is None:
            running = expect_ends(self._snapshot)
            if running is not self._snapshot.running:
                ids = {each.job_id for each in self._snapshot.running}
                running = [each for each in running if each.job_id in ids]
            self._running = running
        return self._running

    def _read_demands(self) -> dict[Member, list[tuple[float, Demand]]]:
        """Return what running jobs have, and until when, by those whose limits see them."""
        if self._demands_by_member is None:
            found: dict[Member, list[tuple[float, Demand]]] = {}
            for running in self._read_running():
                job, partition = running.job, self._snapshot.partitions.get(running.partition)
                if job is not None and partition is not None:
                    weights, is_max = partition.billing_weights, self._policy.is_billing_max
                    demand = compute_allocated(running.allocation, job.limit_s, weights, is_max)
                    member = self._book.find_member(job.spec, partition)
                    found.setdefault(member, []).append((_end_of(running), demand))
            self._demands_by_member = found
        return self._demands_by_member


def _end_of(running: RunningJob) -> float:
    return NEVER if running.expected_end_at is None else running.expected_end_at


def _closures_of(view: View, name: str) -> tuple[LicenseClosure, ...]:
    return tuple([each for each in view.license_closures if each.license == name])
