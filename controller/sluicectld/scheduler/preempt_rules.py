"""Who may be preempted by whom, how, and which victims go first: the preempt plugin's answers for whole groups of jobs.

All jobs of a partition with the same QOS are one contender; what the plugin says of two contenders is asked once a
pass.  What concerns single jobs is here: priorities, exempt times, reservations, whether a job can be requeued.

Source: the manuals of slurm.conf (PreemptMode, PreemptParameters, PreemptExemptTime) and sacctmgr.
"""

import heapq
from collections.abc import Mapping

import msgspec

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptMode
from sluice.model.qos import Qos
from sluice.model.states import JobState
from sluice_plugins.interfaces import Contender, PreemptRight, VictimCost

from .limits.book import LimitBook, Member
from .snapshot import Policy, RunningJob, Snapshot
from .tracks import NEVER

#: Victims that are considered for one job at most: the cheapest ones.
_VICTIMS_MAX = 5000
Rank = tuple[float, ...]


class Victim(msgspec.Struct, frozen=True, eq=False):
    """A running job that may be preempted, and how."""

    running: RunningJob
    mode: PreemptMode
    grace_s: float
    rank: Rank
    #: From when on it may be.
    eligible_at: float

    @property
    def job_id(self) -> int:
        return self.running.job_id

    @property
    def end_at(self) -> float:
        """When it is expected to end by itself."""
        return NEVER if self.running.expected_end_at is None else self.running.expected_end_at


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
        self._ranked: dict[int, tuple[Contender, list[tuple[Rank, RunningJob]]]] | None = None
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
        for victim, ranked in self._running_by_contender().values():
            right = self._right(preemptor, victim)
            if right is not None:
                lists.append(self._victims(job, reservation, victim, right, ranked))
        found: list[Victim] = []
        for each in heapq.merge(*lists, key=_rank_of):
            found.append(each)
            if len(found) == _VICTIMS_MAX:
                break
        return found

    def standing_of(self, job: Job, partition: Partition) -> tuple[int, int] | None:
        """Return what tells the job from others as a preemptor; None when it may preempt nobody who runs."""
        preemptor = self._contender(job, partition)
        rights = [self._right(preemptor, victim) for victim, _ in self._running_by_contender().values()]
        if not any(rights):
            return None
        has_priority = any(right is not None and right.needs_priority for right in rights)
        return id(preemptor), self._priority(job) if has_priority else 0

    def is_victim(self, running: RunningJob, job: Job, partition: str, mode: PreemptMode) -> bool:
        """May the job still preempt the running one in this way, now?"""
        home = self._snapshot.partitions.get(partition)
        record = running.job
        if home is None or record is None or record.state is not JobState.RUNNING or record.preemption is not None:
            return False
        victim = self._contender(record, self._partition_of(record))
        right = self._right(self._contender(job, home), victim)
        if right is None:
            return False
        # Which reservation the job would be in was decided by the pass; reservations have not changed since.
        found = self._victims(job, running.reservation, victim, right, [((), running)])
        return any(each.mode is mode and each.eligible_at <= self._snapshot.now_at for each in found)

    def _victims(
        self,
        job: Job,
        reservation: str,
        victim: Contender,
        right: PreemptRight,
        ranked: list[tuple[Rank, RunningJob]],
    ) -> list[Victim]:
        least, own_priority = self._setup.min_exempt_priority, self._priority(job)
        grace_s = self._plugin.grace_s(victim, self._setup)
        exempt_s = self._plugin.exempt_s(victim, self._setup)
        found = []
        for rank, running in ranked:
            record = running.job
            assert record is not None, f"job {running.job_id} has no record and is nobody's victim"
            priority = self._priority(record)
            if (least is not None and priority >= least) or (right.needs_priority and priority >= own_priority):
                continue
            if running.reservation not in ("", reservation) and running.reservation not in self._flexible:
                # Its place is kept for the users of its reservation.
                continue
            mode = self._mode(record, right.mode)
            is_gentle = mode is PreemptMode.SUSPEND
            eligible_at = 0.0 if is_gentle else _began_at(record) + exempt_s
            found.append(Victim(running, mode, 0.0 if is_gentle else grace_s, rank, eligible_at))
        return found

    def _mode(self, job: Job, mode: PreemptMode) -> PreemptMode:
        if mode is not PreemptMode.REQUEUE:
            return mode
        may = self._setup.requeues if job.spec.can_requeue is None else job.spec.can_requeue
        return mode if may and job.spec.is_batch else PreemptMode.CANCEL

    def _running_by_contender(self) -> dict[int, tuple[Contender, list[tuple[Rank, RunningJob]]]]:
        if self._ranked is None:
            self._ranked = {}
            for running in self._snapshot.running:
                job = running.job
                # Who is being preempted already makes room once, and no part of a heterogeneous job can go alone.
                if job is None or job.state is not JobState.RUNNING or job.preemption is not None or job.is_component:
                    continue
                contender = self._contender(job, self._partition_of(job))
                entry = self._ranked.setdefault(id(contender), (contender, []))
                entry[1].append((self._plugin.rank(self._cost(running, job), self._setup), running))
            for _, ranked in self._ranked.values():
                ranked.sort(key=_first)
        return self._ranked

    def _cost(self, running: RunningJob, job: Job) -> VictimCost:
        began_at = _began_at(job)
        ran_s = max(self._snapshot.now_at - began_at, 0.0)
        return VictimCost(job.id, self._priority(job), began_at, ran_s * running.allocation.cpu_count)

    def _priority(self, job: Job) -> int:
        return self._priorities.get(job.id, job.priority)

    def _partition_of(self, job: Job) -> Partition:
        return self._snapshot.partitions.get(job.partition) or Partition(name=job.partition)

    def _right(self, preemptor: Contender, victim: Contender) -> PreemptRight | None:
        key = id(preemptor), id(victim)
        if key not in self._rights:
            self._rights[key] = self._plugin.may_preempt(preemptor, victim, self._setup)
        return self._rights[key]

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


def _began_at(job: Job) -> float:
    """Return when it would have started had it run without pause."""
    return (job.started_at or 0.0) + job.suspended_s


def _rank_of(victim: Victim) -> Rank:
    return victim.rank


def _first(pair: tuple[Rank, RunningJob]) -> Rank:
    return pair[0]
