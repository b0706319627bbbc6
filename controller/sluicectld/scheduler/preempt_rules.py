"""Who may be preempted by whom, how, and which victims go first: the preempt plugin's answers for whole groups of jobs.

All jobs of a partition with the same QOS are one contender; what the plugin says of two contenders is asked once a
pass.  What concerns single jobs is here: priorities, exempt times, reservations, whether a job can be requeued.

A heterogeneous job may be preempted by whoever may preempt each of its components: in the gentlest way that one of
them allows, with the longest grace, when all have run long enough.  Its priority is that of its dearest component, the
work that is lost is everybody's; whether it can be requeued says its leader.

Source: the manuals of slurm.conf (PreemptMode, PreemptParameters, PreemptExemptTime) and sacctmgr.
"""

import heapq
from collections.abc import Iterator, Mapping

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptMode
from sluice.model.qos import Qos
from sluice_plugins.interfaces import Contender, PreemptRight, VictimCost

from .limits.book import LimitBook, Member
from .preempt_victims import Parts, Rank, Victim, began_at, gather_victims, record_of
from .snapshot import Policy, RunningJob, Snapshot

#: Victims that are considered for one job at most: the cheapest ones.
_VICTIMS_MAX = 5000
#: The gentlest first.
_MODES = (PreemptMode.SUSPEND, PreemptMode.REQUEUE, PreemptMode.CANCEL)
#: Whose a job is, or each of its components.
Contenders = tuple[Contender, ...]
Ranked = list[tuple[Rank, Parts]]


class Rights:
    """The rights of one snapshot.  priorities: by job id, where they are not those of the records."""

    def __init__(self, snapshot: Snapshot, policy: Policy, priorities: Mapping[int, int], book: LimitBook) -> None:
        assert policy.preempt_plugin is not None, "nobody preempts"
        self._plugin = policy.preempt_plugin
        self._setup = policy.preempt
        self._snapshot = snapshot
        self._priorities = priorities
        self._book = book
        self._contenders: dict[Member, Contender] = {}
        self._known: dict[tuple[object, ...], Contender] = {}
        self._rights: dict[tuple[int, int], PreemptRight | None] = {}
        self._ranked: dict[tuple[int, ...], tuple[Contenders, Ranked]] | None = None
        self._found: dict[tuple[tuple[int, int] | None, str], list[Victim]] = {}
        self._flexible = frozenset(each.name for each in snapshot.reservations if each.has("FLEX"))

    def victims_for(self, job: Job, partition: Partition, reservation: str = "") -> list[Victim]:
        """Return whom the job may preempt in the partition, now or later, cheapest first; not to be changed."""
        key = self.standing_of(job, partition), reservation
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._find_victims(job, partition, reservation)
        return found

    def _find_victims(self, job: Job, partition: Partition, reservation: str) -> list[Victim]:
        preemptor = self._contender(job, partition)
        lists = []
        for victims, ranked in self._running_by_contenders():
            right = self._right(preemptor, victims)
            if right is not None:
                lists.append(list(self._victims(job, reservation, victims, right, ranked)))
        found: list[Victim] = []
        for each in heapq.merge(*lists, key=_rank_of):
            found.append(each)
            if len(found) == _VICTIMS_MAX:
                break
        return found

    def standing_of(self, job: Job, partition: Partition) -> tuple[int, int] | None:
        """Return what tells the job from others as a preemptor; None when it may preempt nobody who runs."""
        preemptor = self._contender(job, partition)
        rights = [self._right(preemptor, victims) for victims, _ in self._running_by_contenders()]
        if not any(rights):
            return None
        has_priority = any(right is not None and right.needs_priority for right in rights)
        return id(preemptor), self._priority(job) if has_priority else 0

    def is_victim(self, parts: Parts, job: Job, partition: str, mode: PreemptMode) -> bool:
        """May the job still preempt the running one, or all of these components, in this way, now?"""
        home = self._snapshot.partitions.get(partition)
        if home is None or parts not in gather_victims(parts):
            return False
        contenders = self._contenders_of(parts)
        right = self._right(self._contender(job, home), contenders)
        if right is None:
            return False
        # Which reservation the job would be in was decided by the pass; reservations have not changed since.
        found = self._victims(job, None, contenders, right, [((), parts)])
        return any(each.mode is mode and each.eligible_at <= self._snapshot.now_at for each in found)

    def _victims(
        self, job: Job, reservation: str | None, contenders: Contenders, right: PreemptRight, ranked: Ranked
    ) -> Iterator[Victim]:
        """reservation: the one that the job would be in; None: that is not asked."""
        own_priority = self._priority(job)
        grace_s = max(self._plugin.grace_s(each, self._setup) for each in contenders)
        exempt_s = [self._plugin.exempt_s(each, self._setup) for each in contenders]
        for rank, parts in ranked:
            priority = self._priority_of(parts)
            if self._is_exempt(priority) or (right.needs_priority and priority >= own_priority):
                continue
            if reservation is not None and not all(self._is_open(each, reservation) for each in parts):
                continue
            mode = self._mode(record_of(parts[0]), right.mode)
            if mode is PreemptMode.SUSPEND:
                yield Victim(parts[0].job_id, parts, mode, 0.0, rank, 0.0)
                continue
            ends = [began_at(record_of(part)) + each_s for part, each_s in zip(parts, exempt_s, strict=True)]
            yield Victim(parts[0].job_id, parts, mode, grace_s, rank, max(ends))

    def _is_exempt(self, priority: int) -> bool:
        least = self._setup.min_exempt_priority
        return least is not None and priority >= least

    def _is_open(self, running: RunningJob, reservation: str) -> bool:
        """May jobs of the reservation, "" for none, have its place?  Others' are kept for their users."""
        return running.reservation in ("", reservation) or running.reservation in self._flexible

    def _mode(self, job: Job, mode: PreemptMode) -> PreemptMode:
        if mode is not PreemptMode.REQUEUE:
            return mode
        may = self._setup.requeues if job.spec.can_requeue is None else job.spec.can_requeue
        return mode if may and job.spec.is_batch else PreemptMode.CANCEL

    def _running_by_contenders(self) -> list[tuple[Contenders, Ranked]]:
        if self._ranked is None:
            self._ranked = {}
            for parts in gather_victims(self._snapshot.running):
                contenders = self._contenders_of(parts)
                entry = self._ranked.setdefault(tuple(map(id, contenders)), (contenders, []))
                entry[1].append((self._plugin.rank(self._cost(parts), self._setup), parts))
            for _, ranked in self._ranked.values():
                ranked.sort(key=_first)
        return list(self._ranked.values())

    def _cost(self, parts: Parts) -> VictimCost:
        now_at = self._snapshot.now_at
        lost = [max(now_at - began_at(record_of(part)), 0.0) * part.allocation.cpu_count for part in parts]
        first = record_of(parts[0])
        return VictimCost(first.id, self._priority_of(parts), began_at(first), sum(lost))

    def _priority_of(self, parts: Parts) -> int:
        return max([self._priority(record_of(part)) for part in parts])

    def _priority(self, job: Job) -> int:
        return self._priorities.get(job.id, job.priority)

    def _partition_of(self, job: Job) -> Partition:
        return self._snapshot.partitions.get(job.partition) or Partition(name=job.partition)

    def _right(self, preemptor: Contender, victims: Contenders) -> PreemptRight | None:
        if len(victims) == 1:
            return self._right_over(preemptor, victims[0])
        rights = [right for victim in victims if (right := self._right_over(preemptor, victim)) is not None]
        if len(rights) < len(victims):
            return None
        mode = min([right.mode for right in rights], key=_MODES.index)
        return PreemptRight(mode, any(right.needs_priority for right in rights))

    def _right_over(self, preemptor: Contender, victim: Contender) -> PreemptRight | None:
        key = id(preemptor), id(victim)
        if key not in self._rights:
            self._rights[key] = self._plugin.may_preempt(preemptor, victim, self._setup)
        return self._rights[key]

    def _contenders_of(self, parts: Parts) -> Contenders:
        records = [record_of(part) for part in parts]
        return tuple([self._contender(record, self._partition_of(record)) for record in records])

    def _contender(self, job: Job, partition: Partition) -> Contender:
        """Return the one object for all jobs that stand alike."""
        member = self._book.find_member(job.spec, partition)
        contender = self._contenders.get(member)
        if contender is None:
            qos: Qos | None = self._book.qos.get(member.qos)
            key = partition.name, member.qos, *(each.name for each in member.qoses)
            contender = self._known.setdefault(key, Contender(partition, qos, member.qoses))
            self._contenders[member] = contender
        return contender


def _rank_of(victim: Victim) -> Rank:
    return victim.rank


def _first(pair: tuple[Rank, Parts]) -> Rank:
    return pair[0]
