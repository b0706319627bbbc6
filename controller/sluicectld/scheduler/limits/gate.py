"""What decide() asks of limits: may this job start now, may it once it is placed, and may it hold a planned start?

Jobs of one shape share a demand, so that a question costs two look-ups.  What is asked before a job is placed is the
least that it could take; what it takes is asked again when its nodes are known.
"""

from collections.abc import Iterable, Sequence

from sluice import tres as arithmetic
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.qos import Qos, QosFlag
from sluice.tres import Tres
from sluicectld.scheduler.levels import Kind, Take
from sluicectld.scheduler.shapes import Shape
from sluicectld.scheduler.snapshot import NodeFree, Policy, Snapshot

from .book import Blockers, LimitBook, Member
from .licenses import Licenses
from .partition import relax_partition
from .rules import Rule
from .tres import Demand, add_gres, compute_request, compute_taken


class Gate:
    """The limits of one pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self._policy = policy
        self.book = LimitBook(
            snapshot.associations,
            snapshot.qos,
            snapshot.usage,
            policy.accounting_enforced,
            _totals(snapshot.nodes) if _has_relative(snapshot.qos.values()) else None,
        )
        #: Nothing is ever in the way.
        self.is_open = not (snapshot.associations or snapshot.qos or any(map(_has_lists, snapshot.partitions.values())))
        self._demands: dict[Shape, Demand] = {}
        self._relaxed: dict[tuple[str, frozenset[QosFlag]], Partition] = {}
        self._barred: dict[tuple[Member, Shape], Blockers] = {}

    def relax(self, job: Job, partition: Partition) -> Partition:
        """Return the partition with the bounds that hold for the job's QOS; the same object for the same bounds."""
        if self.is_open:
            return partition
        flags = self.book.find_member(job.spec, partition).flags
        if not flags:
            return partition
        relaxed = self._relaxed.get((partition.name, flags))
        if relaxed is None:
            relaxed = self._relaxed[partition.name, flags] = relax_partition(partition, flags)
        return relaxed

    def find_blockers(self, job: Job, shape: Shape) -> Blockers:
        """Return the limits that keep the job from starting wherever it is placed."""
        if self.is_open:
            return ()
        member = self.book.find_member(job.spec, shape.partition)
        return self._barred.get((member, shape)) or self.book.find_member_blockers(member, self.find_demand(shape))

    def find_placed_blockers(
        self,
        job: Job,
        shape: Shape,
        takes: Sequence[tuple[Kind, Take]],
        licenses: Licenses | None,
        is_lasting: bool = True,
    ) -> Blockers:
        """Return the limits that keep it from starting where it was placed; such jobs are barred for the whole pass.

        is_lasting: False while starts are tried that may be taken back.
        """
        if self.is_open:
            return ()
        member = self.book.find_member(job.spec, shape.partition)
        blockers = self.book.find_member_blockers(member, self.find_taken(shape, takes, licenses or ()))
        if blockers and is_lasting:
            self._barred[member, shape] = blockers
        return blockers

    def add_start(self, job: Job, shape: Shape, takes: Sequence[tuple[Kind, Take]], licenses: Licenses) -> None:
        """Count the job as running."""
        if not self.is_open:
            self.book.add_start(job, shape.partition, self.find_taken(shape, takes, licenses))

    def undo_start(self, job: Job, shape: Shape, takes: Sequence[tuple[Kind, Take]], licenses: Licenses) -> None:
        """Undo add_start()."""
        if not self.is_open:
            self.book.undo_start(job, shape.partition, self.find_taken(shape, takes, licenses))

    def may_reserve(self, job: Job, shape: Shape) -> bool:
        """May the job hold a planned start?"""
        return self.is_open or self.book.may_reserve(job, shape.partition)

    def is_barred(self, member: Member, demand: Demand) -> bool:
        """Does something stand against a job that does not pass as running ones end?"""
        return self.book.is_barred(member, demand)

    def find_used(self, rule: Rule) -> int:
        """Return what is used now of a limit over those who run together."""
        tally = self.book.tally(rule.holder)
        return tally.tres.get(rule.tres, 0) if rule.tres else tally.jobs

    def find_member(self, job: Job, shape: Shape) -> Member | None:
        """Return what limits see of the job; None where there are none."""
        return None if self.is_open else self.book.find_member(job.spec, shape.partition)

    def find_demand(self, shape: Shape) -> Demand:
        """Return the least that a job of the shape takes."""
        demand = self._demands.get(shape)
        if demand is None:
            weights, is_max = shape.partition.billing_weights, self._policy.is_billing_max
            demand = self.book.intern(compute_request(shape.needs, shape.limit_s, weights, is_max))
            self._demands[shape] = demand
        return demand

    def find_taken(self, shape: Shape, takes: Sequence[tuple[Kind, Take]], licenses: Licenses) -> Demand:
        """Return what it takes where it is placed."""
        weights, is_max = shape.partition.billing_weights, self._policy.is_billing_max
        return self.book.intern(compute_taken(takes, shape.limit_s, licenses, weights, is_max))


def _has_lists(partition: Partition) -> bool:
    return bool(partition.allow_accounts or partition.deny_accounts or partition.allow_qos or partition.deny_qos)


def _has_relative(qos: Iterable[Qos]) -> bool:
    return any(QosFlag.RELATIVE in each.flags for each in qos)


def _totals(nodes: Iterable[NodeFree]) -> Tres:
    """Return what the cluster has."""
    totals: Tres = {}
    for free in nodes:
        counts = {"cpu": free.node.cpus, "mem": free.node.memory_mib, "node": 1, "billing": free.node.cpus}
        for item in free.node.gres:
            add_gres(counts, item.name, item.type, item.count)
        totals = arithmetic.add(totals, counts)
    return totals
