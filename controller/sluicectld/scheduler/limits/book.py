"""The book of limits: who uses what, which rules hold for a job, and what of them stands against it.

A pass asks find_blockers() and tells add_start(), so that starts within one pass count at once.  Everything about a job
that matters here is its member (user, account, QOS, partition) and its demand; what was found for one pair holds for
every job with it until the use of one of its holders changes.  What blocks goes on blocking while jobs only start.

Invariant: a tally has what its holder's jobs have, each counted once, though the QOS of job and partition be the same.
"""

from collections.abc import Mapping

from sluice.model.association import Association
from sluice.model.job import Job
from sluice.model.limits import CommonLimits
from sluice.model.partition import Partition
from sluice.model.qos import Qos, QosFlag
from sluice.model.reason import Blocker, Reason
from sluice.model.request import JobSpec
from sluice.model.usage import Holder, HolderKind, Usage
from sluice.tres import Tres

from .excess import Terms, find_excess
from .partition import find_list_blocker
from .rules import COUNTED, Measure, Rule, compute_rules, order_qoses
from .tally import Tally
from .tree import Associations, AssociationTree, allowed_qos, compute_qos
from .tres import Demand

#: Of AccountingStorageEnforce: what makes limits count.
LIMITS, ASSOCIATIONS, QOS, SAFE = "limits", "associations", "qos", "safe"
ALL_ENFORCED = frozenset((LIMITS, ASSOCIATIONS, QOS))
_NOT_AT_START = (Measure.SUBMITTED, Measure.ACCRUING)
Blockers = tuple[Blocker, ...]


class Member:
    """The jobs of one user in one account with one QOS in one partition: what limits see of them.

    qoses: in the order of precedence.  flags: of all of them.  refusals: what stands against every such job.
    """

    __slots__ = (
        "accrue_rules",
        "chain",
        "flags",
        "holders",
        "min_priority",
        "qos",
        "qoses",
        "refusals",
        "rules",
        "submit_rules",
        "tallies",
        "terms",
        "user",
        "watched",
    )

    def __init__(self, user: str, chain: tuple[Association, ...], qos: str, qoses: tuple[Qos, ...]) -> None:
        self.user = user
        self.chain = chain
        self.qos = qos
        self.qoses = qoses
        self.flags = frozenset().union(*(each.flags for each in qoses)) if qoses else frozenset[QosFlag]()
        limits: list[CommonLimits] = [*(each.limits for each in qoses), *(each.limits for each in chain)]
        thresholds = [each.min_priority_threshold for each in limits]
        self.min_priority = next((each for each in thresholds if each is not None and each >= 0), 0)
        self.terms = Terms()
        #: Those asked at the start, and those over submitted jobs, with what their holders use.
        self.rules: tuple[tuple[Rule, Tally], ...] = ()
        self.submit_rules: tuple[tuple[Rule, Tally], ...] = ()
        #: Those over pending jobs that gain priority by age.
        self.accrue_rules: tuple[Rule, ...] = ()
        #: Over whom its use is added up.
        self.holders: frozenset[Holder] = frozenset()
        #: Of all its holders, and those of them that the rules look at.
        self.tallies: tuple[Tally, ...] = ()
        self.watched: tuple[Tally, ...] = ()
        self.refusals: Blockers = ()

    @property
    def may_reserve(self) -> bool:
        """May its jobs hold planned starts, as far as its QOS say?"""
        return QosFlag.NO_RESERVE not in self.flags

    @property
    def stamp(self) -> int:
        """Grows whenever a tally changes that a rule looks at: versions only grow."""
        return sum([tally.version for tally in self.watched])


class LimitBook:
    """associations, qos: the tables.  usage: of each holder, who uses nothing may be left out.

    enforced: the words of AccountingStorageEnforce.  totals: of the cluster, for QOS with relative limits.
    """

    def __init__(
        self,
        associations: Associations,
        qos: Mapping[str, Qos],
        usage: Mapping[Holder, Usage] | None = None,
        enforced: frozenset[str] = ALL_ENFORCED,
        totals: Tres | None = None,
    ) -> None:
        self.tree = AssociationTree(associations)
        self.qos = qos
        self.enforced = enforced
        self._has_tables = bool(associations) or bool(qos)
        self._usage = usage or {}
        self._totals = totals
        self._tallies: dict[Holder, Tally] = {}
        self._members: dict[tuple[str, str, str, str], Member] = {}
        self._demands: dict[tuple[object, ...], Demand] = {}
        self._found: dict[tuple[Member, Demand], tuple[int, Blockers]] = {}

    # --- asking

    def find_blocker(self, job: Job, partition: Partition, demand: Demand) -> Blocker | None:
        """Return the first limit that keeps the job from starting, in the order of precedence."""
        return next(iter(self.find_blockers(job, partition, demand)), None)

    def find_blockers(self, job: Job, partition: Partition, demand: Demand) -> Blockers:
        """Return every limit that keeps the job from starting."""
        return self.find_member_blockers(self.find_member(job.spec, partition), demand)

    def find_member_blockers(self, member: Member, demand: Demand) -> Blockers:
        """Return the same for any job of the member; quick when it was asked before."""
        if not member.rules:
            return member.refusals
        key, stamp = (member, demand), member.stamp
        known = self._found.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        terms = member.terms
        found = [find_excess(rule, tally, demand, terms) for rule, tally in member.rules]
        blockers = (*member.refusals, *[blocker for blocker in found if blocker is not None])
        self._found[key] = (stamp, blockers)
        return blockers

    def is_barred(self, member: Member, demand: Demand) -> bool:
        """Does something stand against a job that does not pass as running ones end?"""
        lasting = [pair for pair in member.rules if pair[0].measure not in COUNTED]
        return bool(member.refusals) or any(find_excess(*pair, demand, member.terms) for pair in lasting)

    def may_reserve(self, job: Job, partition: Partition) -> bool:
        """May the job hold a planned start?  Not with NoReserve, nor below MinPrioThreshold."""
        member = self.find_member(job.spec, partition)
        return member.may_reserve and job.priority >= member.min_priority

    def find_member(self, spec: JobSpec, partition: Partition) -> Member:
        """Return what limits see of a job in a partition."""
        key = (spec.user, spec.account, spec.qos, partition.name)
        member = self._members.get(key)
        if member is None:
            member = self._members[key] = self._new_member(spec, partition)
        return member

    def intern(self, demand: Demand) -> Demand:
        """Return the one object for all equal demands, with which questions are quick."""
        return self._demands.setdefault(demand.key, demand)

    def tally(self, holder: Holder) -> Tally:
        """Return what the holder uses."""
        tally = self._tallies.get(holder)
        if tally is None:
            tally = self._tallies[holder] = Tally(self._usage.get(holder))
        return tally

    def usage(self) -> dict[Holder, Usage]:
        """Return all use as it stands, without holders who use nothing."""
        changed = {holder: tally.usage() for holder, tally in self._tallies.items()}
        return {holder: usage for holder, usage in {**self._usage, **changed}.items() if usage != Usage()}

    # --- counting

    def add_submitted(self, job: Job, partition: Partition, count: int = 1) -> None:
        """Count so many jobs more, each counted until it ends; -count: so many pending ones fewer."""
        for tally in self.find_member(job.spec, partition).tallies:
            tally.add_submitted(count)

    def add_start(self, job: Job, partition: Partition, demand: Demand, ran_s: float = 0.0) -> None:
        """Count a submitted job as running, for so long already."""
        member = self.find_member(job.spec, partition)
        for tally in member.tallies:
            tally.add_running(demand, member.terms.usage_factor, ran_s)

    def undo_start(self, job: Job, partition: Partition, demand: Demand) -> None:
        """Count a job as submitted that was counted as running."""
        member = self.find_member(job.spec, partition)
        for tally in member.tallies:
            tally.remove_running(demand, member.terms.usage_factor, 0.0)

    def remove(self, job: Job, partition: Partition, demand: Demand, ran_s: float = 0.0) -> None:
        """Take a running job out that has ended after so long; its use so far is not added to the past."""
        member = self.find_member(job.spec, partition)
        for tally in member.tallies:
            tally.remove_running(demand, member.terms.usage_factor, ran_s)
            tally.add_submitted(-1)

    # --- members

    def _new_member(self, spec: JobSpec, partition: Partition) -> Member:
        account = spec.account or self.tree.default_account(spec.user)
        chain = self.tree.chain(account, spec.user, partition.name)
        name = compute_qos(spec.qos, chain, self.qos)
        qos = self.qos.get(name)
        member = Member(spec.user, chain, name, order_qoses(qos, self.qos.get(partition.qos)))
        holders = [Holder(HolderKind.ASSOCIATION, *each.key) for each in chain]
        for each in member.qoses:
            holders.append(Holder(HolderKind.QOS, qos=each.name))
            holders.append(Holder(HolderKind.QOS_USER, user=spec.user, qos=each.name))
            holders.append(Holder(HolderKind.QOS_ACCOUNT, account=account, qos=each.name))
        member.holders = frozenset(holders)
        member.tallies = tuple([self.tally(holder) for holder in holders])
        member.terms = Terms(
            1.0 if qos is None else qos.usage_factor,
            SAFE in self.enforced,
            QosFlag.USAGE_FACTOR_SAFE in member.flags,
        )
        if LIMITS in self.enforced:
            factor = None if qos is None else qos.limit_factor
            rules = compute_rules(chain, member.qoses, spec.user, account, factor, self._totals)
            pairs = [(rule, self.tally(rule.holder)) for rule in rules]
            member.rules = tuple([pair for pair in pairs if pair[0].measure not in _NOT_AT_START])
            # Most holders have no limits, and their use changes with every start.
            member.watched = tuple(dict.fromkeys([tally for _, tally in member.rules]))
            member.submit_rules = tuple([pair for pair in pairs if pair[0].measure is Measure.SUBMITTED])
            member.accrue_rules = tuple([rule for rule in rules if rule.measure is Measure.ACCRUING])
        member.refusals = self._find_refusals(member, account, spec.account, partition)
        return member

    def _find_refusals(self, member: Member, account: str, asked: str, partition: Partition) -> Blockers:
        found = [find_list_blocker(partition, account or asked, member.qos)]
        if self._has_tables and ASSOCIATIONS in self.enforced and not member.chain:
            text = f"user {member.user} has no association with account {account or 'none'}"
            found.append(Blocker(reason=Reason.INVALID_ACCOUNT, text=text))
        if self._has_tables and QOS in self.enforced:
            found.append(self._find_qos_refusal(member))
        if LIMITS in self.enforced:
            found.append(self._find_threshold_blocker(member))
        return tuple([blocker for blocker in found if blocker is not None])

    def _find_qos_refusal(self, member: Member) -> Blocker | None:
        if member.qos not in self.qos:
            text = f"QOS {member.qos} does not exist" if member.qos else f"user {member.user} has no default QOS"
            return Blocker(reason=Reason.INVALID_QOS, text=text)
        allowed = allowed_qos(member.chain)
        if allowed is None or member.qos in allowed:
            return None
        text = f"user {member.user} may use the QOS {', '.join(allowed) or 'none'}, not {member.qos}"
        return Blocker(reason=Reason.INVALID_QOS, text=text)

    def _find_threshold_blocker(self, member: Member) -> Blocker | None:
        for qos in member.qoses:
            if qos.usage_threshold is None or QosFlag.ENFORCE_USAGE_THRESHOLD not in qos.flags or not member.chain:
                continue
            own = Holder(HolderKind.ASSOCIATION, *member.chain[0].key)
            factor = self.tally(own).fair_share_factor
            if factor is not None and factor < qos.usage_threshold:
                text = (
                    f"{own.describe()}: fair-share factor {factor:.4g}, QOS {qos.name} wants {qos.usage_threshold:.4g}"
                )
                return Blocker(reason=Reason.QOS_USAGE_THRESHOLD, text=f"{text} (UsageThreshold)")
        return None
