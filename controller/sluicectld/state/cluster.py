"""The cluster's state: its tables, the indexes over them, and the view that a pass sees.

Only apply(event) (apply.py) changes the tables, through put_job, put_node and their like, which keep every index in
step and note the changed records for the store.  Finished jobs are forgotten here after MinJobAge; SQL keeps them.

Invariant: invariants.validate() holds after every event.
"""

import bisect
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from sluice.model.allocation import NodeGrant
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.priority import PriorityTables
from sluice.model.reservation import Reservation
from sluice.model.states import JobState, NodeState
from sluice.model.step import Step
from sluicectld.scheduler.layout import compute_idle, layout_of
from sluicectld.scheduler.snapshot import NodeFree, RunningJob, Snapshot
from sluicectld.state.runs import RunBook
from sluicectld.state.sharing import Sharing
from sluicectld.store.batch import Batch

from . import arrays, resources
from .dependencies import Outcome, outcome_of
from .tally import ArrayTally


class Cluster:
    """All state that the controller decides by."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        #: Steps of the current attempt of each job in memory: job id -> step id -> step.
        self.steps: dict[int, dict[int, Step]] = {}
        self.nodes: dict[str, Node] = {}
        self.partitions: dict[str, Partition] = {}
        #: In the order in which they were made.
        self.reservations: dict[str, Reservation] = {}
        self.tokens: dict[str, int] = {}
        #: Of those steps, by job: token of the request -> step id.
        self.step_tokens: dict[int, dict[str, int]] = {}
        self.next_job_id = 1
        self.next_spec_id = 1
        self.next_reservation_id = 1
        self.next_sequence = 1
        self.epoch = 0
        #: Names this journal; another database of the same cluster name has another.
        self.cluster_id = ""
        self.config_version = 0
        self.config_digest = ""
        #: Counts every change; a plan made for an older version is re-checked decision by decision.
        self.version = 0
        #: The version since which the reservations are as they are: an older plan knows them not.
        self.reservations_version = 0
        #: The last version at which resources came back or nodes changed: promises of older plans may move ahead.
        self.freed_version = 0
        self.run_book = RunBook()
        self.sharing = Sharing()
        #: What the store has to write of the changes since the last take_batch().
        self.batch = Batch()

        #: What admission found out about requests; forgotten when the size of a node or a partition changes.
        self.verdicts: dict[tuple[object, ...], object] = {}

        #: What accounting knows that counts for priorities.
        self.priority_tables = PriorityTables()

        # Indexes, all derived from the tables above.
        self.free: dict[str, NodeFree] = {}
        #: Pending, not held, nothing to wait for (begin_at may still lie ahead).
        self.ready: dict[int, Job] = {}
        self.running: dict[int, RunningJob] = {}
        #: Jobs that are being preempted, that were and are suspended, or have ended and are not clean everywhere.
        self.leaving: dict[int, RunningJob] = {}
        #: All others that have ended and are not clean everywhere.
        self.completing: dict[int, RunningJob] = {}
        self.job_ids_by_node: dict[str, set[int]] = {}
        #: job or array id -> pending jobs that depend on it.
        self.dependents: dict[int, set[int]] = {}
        #: array id -> index -> job id, of the tasks that were split off.
        self.tasks: dict[int, dict[int, int]] = defaultdict(dict)
        self.running_tasks: dict[int, int] = {}
        #: array id -> records of tasks that were cancelled before they started.
        self.cancelled_parts: dict[int, set[int]] = {}
        #: array id -> what its records add up to.
        self.tallies: dict[int, ArrayTally] = {}
        #: leader's id -> ids of the components in memory, ascending.
        self.components: dict[int, list[int]] = {}
        #: Pending jobs whose record was changed by a user -> the version since which a plan may start them.
        self.revised: dict[int, int] = {}
        #: (name, uid) -> jobs that are not ended, for singleton.
        self.active_by_name: dict[tuple[str, int], set[int]] = {}
        self.states_count: dict[JobState, int] = dict.fromkeys(JobState, 0)

    # --- changes, called by apply.py and at load

    def put_job(self, job: Job) -> None:
        """Store *job* in place of the record with its id; every index follows."""
        old = self.jobs.get(job.id)
        self.jobs[job.id] = job
        self.batch.jobs[job.id] = job
        if job.spec_id >= self.next_spec_id:
            self.batch.specs[job.spec_id] = job.spec
            self.next_spec_id = job.spec_id + 1
        self._index_job(old, job)

    def load_job(self, job: Job) -> None:
        """Take a stored job into memory at start."""
        self.jobs[job.id] = job
        self.next_spec_id = max(self.next_spec_id, job.spec_id + 1)
        self._index_job(None, job)

    def forget_job(self, job_id: int) -> None:
        """Drop an ended job from memory; it stays in SQL."""
        job = self.jobs.pop(job_id)
        assert job.is_ended, f"job {job_id} is {job.state} and cannot be forgotten"
        assert job.is_over, f"job {job_id} is not clean on {job.completing_nodes}, or is in its epilog"
        self.drop_steps(job_id)
        self.states_count[job.state] -= 1
        if job.array_job_id:
            self._forget_of_array(job)
        if job.is_component:
            self.components[job.het_job_id].remove(job_id)
            if not self.components[job.het_job_id]:
                del self.components[job.het_job_id]

    def _forget_of_array(self, job: Job) -> None:
        tally = self.tallies[job.array_job_id]
        tally.remove(job)
        if not tally.records:
            del self.tallies[job.array_job_id]
        if job.array_task_id is not None:
            siblings = self.tasks[job.array_job_id]
            del siblings[job.array_task_id]
            if not siblings:
                del self.tasks[job.array_job_id]
        elif job.array_job_id != job.id:
            _discard(self.cancelled_parts, job.array_job_id, job.id)

    def drop_steps(self, job_id: int) -> None:
        """Forget the steps of a job's earlier run; they stay in SQL."""
        self.steps.pop(job_id, None)
        self.step_tokens.pop(job_id, None)

    def put_step(self, step: Step) -> None:
        self.hold_step(step)
        self.batch.steps[step.job_id, step.attempt, step.step_id] = step

    def hold_step(self, step: Step) -> None:
        """Keep a step that is in SQL already."""
        self.steps.setdefault(step.job_id, {})[step.step_id] = step
        if step.token:
            self.step_tokens.setdefault(step.job_id, {})[step.token] = step.step_id

    def put_node(self, node: Node) -> None:
        old = self.nodes.get(node.name)
        if old is None or not _is_same_machine(old, node):
            self.verdicts.clear()
        self.nodes[node.name] = node
        self.batch.nodes[node.name] = node
        self._index_node(old, node)

    def load_node(self, node: Node) -> None:
        self.nodes[node.name] = node
        self._index_node(None, node)

    def remove_node(self, name: str) -> None:
        self.verdicts.clear()
        del self.nodes[name], self.free[name]
        self.batch.nodes.pop(name, None)
        self.batch.removed_nodes.add(name)

    def put_partition(self, partition: Partition) -> None:
        self.verdicts.clear()
        self.partitions[partition.name] = partition
        self.batch.partitions[partition.name] = partition

    def remove_partition(self, name: str) -> None:
        del self.partitions[name]
        self.batch.partitions.pop(name, None)
        self.batch.removed_partitions.add(name)

    def put_reservation(self, reservation: Reservation) -> None:
        self.reservations[reservation.name] = reservation
        self.reservations_version = self.version + 1
        self.batch.reservations[reservation.name] = reservation

    def remove_reservation(self, name: str) -> None:
        del self.reservations[name]
        self.reservations_version = self.version + 1
        self.batch.reservations.pop(name, None)
        self.batch.removed_reservations.add(name)

    def take_batch(self) -> Batch:
        """Return what is to be written, and begin anew."""
        batch, self.batch = self.batch, Batch()
        return batch

    # --- indexes

    def _index_job(self, old: Job | None, job: Job) -> None:
        self.run_book.note(old, job)
        self._index_state(old, job)
        self._index_resources(old, job)
        if job.state is JobState.PENDING and not job.is_held_back and _has_nothing_to_wait_for(job):
            self.ready[job.id] = job
        else:
            self.ready.pop(job.id, None)
            self.revised.pop(job.id, None)
        self._index_dependency(old, job)
        if job.array_job_id:
            self._index_array(old, job)
        if job.is_component and old is None:
            bisect.insort(self.components.setdefault(job.het_job_id, []), job.id)

    def _index_array(self, old: Job | None, job: Job) -> None:
        tally = self.tallies.get(job.array_job_id)
        if tally is None:
            tally = self.tallies[job.array_job_id] = ArrayTally()
        if old is not None:
            tally.remove(old)
        tally.add(job)
        if job.array_task_id is not None and (old is None or old.array_task_id is None):
            self.tasks[job.array_job_id][job.array_task_id] = job.id
        if job.array_job_id != job.id:
            if job.pending_array is not None:
                self.cancelled_parts.setdefault(job.array_job_id, set()).add(job.id)
            elif old is not None and old.pending_array is not None:
                _discard(self.cancelled_parts, job.array_job_id, job.id)

    def _index_state(self, old: Job | None, job: Job) -> None:
        was_running = old is not None and old.state in _RUNNING_STATES
        is_running = job.state in _RUNNING_STATES
        if is_running:
            self.running[job.id] = _running_view(job)
        elif was_running:
            del self.running[job.id]
        if job.preemption is not None and (is_running or job.completing_nodes):
            self.leaving[job.id] = self.running.get(job.id) or _running_view(job)
        else:
            self.leaving.pop(job.id, None)
        if job.completing_nodes and job.preemption is None:
            self.completing[job.id] = _running_view(job)
        else:
            self.completing.pop(job.id, None)
        if job.array_task_id is not None and was_running != is_running:
            count = self.running_tasks.get(job.array_job_id, 0) + (1 if is_running else -1)
            if count:
                self.running_tasks[job.array_job_id] = count
            else:
                del self.running_tasks[job.array_job_id]
        if old is not None:
            self.states_count[old.state] -= 1
        self.states_count[job.state] += 1
        before, after = _active_name(old), _active_name(job)
        if before != after:
            if before is not None:
                _discard(self.active_by_name, before, job.id)
            if after is not None:
                self.active_by_name.setdefault(after, set()).add(job.id)

    def _index_resources(self, old: Job | None, job: Job) -> None:
        before = resources.held_grants(old) if old is not None else ()
        after = resources.held_grants(job)
        if before is after or before == after:
            return
        kept, had = set(after), set(before)
        for grant in before:
            if grant not in kept:
                self.job_ids_by_node[grant.node].discard(job.id)
                self._give_back(grant, old or job)
        for grant in after:
            if grant not in had:
                self.job_ids_by_node.setdefault(grant.node, set()).add(job.id)
                if grant.node in self.free:
                    self.free[grant.node] = resources.take(self.free[grant.node], grant, job)

    def _give_back(self, grant: NodeGrant, job: Job) -> None:
        free = self.free.get(grant.node)
        if free is None:
            return
        self.freed_version = self.version
        if job.spec.exclusive == "user":
            self.free[grant.node] = self._count_free(free.node, without=job.id)
        else:
            self.free[grant.node] = resources.give_back(free, grant, job)

    def _index_dependency(self, old: Job | None, job: Job) -> None:
        before, after = _awaited_ids(old), _awaited_ids(job)
        if before == after:
            return
        for other_id in before - after:
            _discard(self.dependents, other_id, job.id)
        for other_id in after - before:
            self.dependents.setdefault(other_id, set()).add(job.id)

    def _index_node(self, old: Node | None, node: Node) -> None:
        self.freed_version = self.version
        if old is not None and node.name in self.free and _same_resources(old, node):
            self.free[node.name] = replace(self.free[node.name], node=node)
            return
        self.free[node.name] = self._count_free(node)

    def _count_free(self, node: Node, without: int = 0) -> NodeFree:
        free = compute_idle(node)
        for job_id in self.job_ids_by_node.setdefault(node.name, set()) - {without}:
            job = self.jobs[job_id]
            for grant in resources.held_grants(job):
                if grant.node == node.name:
                    free = resources.take(free, grant, job)
        return free

    # --- questions

    def snapshot(self, now_at: float, licenses_free: dict[str, int]) -> Snapshot:
        """Return what a pass sees at *now_at*."""
        pending = []
        for job in self.ready.values():
            if job.begin_at is not None and job.begin_at > now_at:
                continue
            part = arrays.ready_part(job, self) if job.dependency.terms else job
            if part is not None:
                pending.append(part)
        return Snapshot(
            self.version,
            now_at,
            tuple(self.free.values()),
            dict(self.partitions),
            tuple(pending),
            tuple(self.running.values()),
            dict(self.running_tasks),
            licenses_free,
            priority_tables=self.priority_tables,
            reservations=tuple(self.reservations.values()),
            leaving=tuple(self.leaving.values()),
            completing=tuple(self.completing.values()),
        )

    def outcome(self, job_id: int, task_id: int | None = None) -> Outcome | None:
        """Return what dependencies may know of a job, an array task or a whole array; None if it is not in memory."""
        if task_id is not None:
            return self._task_outcome(job_id, task_id)
        tally = self.tallies.get(job_id)
        if tally is not None:
            return tally.outcome()
        job = self.jobs.get(job_id)
        return outcome_of(job) if job is not None else None

    def _task_outcome(self, array_id: int, task_id: int) -> Outcome | None:
        job_id = self.tasks.get(array_id, {}).get(task_id)
        if job_id is not None:
            return outcome_of(self.jobs[job_id])
        for part_id in (array_id, *self.cancelled_parts.get(array_id, ())):
            part = self.jobs.get(part_id)
            if part is not None and arrays.has_pending(part, task_id):
                return outcome_of(part)
        return None

    def jobs_named(self, job_id: int) -> Iterable[Job]:
        """Return the jobs that an id stands for: itself, all of an array, or the components that it leads."""
        if job_id in self.components:
            return self.components_of(self.jobs[self.components[job_id][0]])
        base = self.jobs.get(job_id)
        others = (*self.tasks.get(job_id, {}).values(), *self.cancelled_parts.get(job_id, ()))
        tasks = [self.jobs[other] for other in others if other != job_id]
        if base is not None and (not tasks or base.array_job_id == job_id):
            return [base, *tasks]
        return tasks if base is None else [base]

    def components_of(self, job: Job) -> tuple[Job, ...]:
        """Return the components in memory of the heterogeneous job that *job* belongs to; () for any other job."""
        return tuple([self.jobs[each] for each in self.components.get(job.het_job_id, ())])

    def node_word(self, node: Node) -> str:
        """Return the base word that listings use: idle, mixed, allocated, down, unknown or future."""
        if node.state is not NodeState.UP:
            return node.state.value.lower()
        free = self.free[node.name]
        if free.job_count == 0:
            return "idle"
        return "allocated" if free.free_cpus == 0 or free.exclusive_job else "mixed"


_RUNNING_STATES = frozenset({JobState.RUNNING, JobState.SUSPENDED})


_NOTHING: frozenset[int] = frozenset()
_Key = TypeVar("_Key")


def _discard(index: dict[_Key, set[int]], key: _Key, job_id: int) -> None:
    """Take a job out of an index, and its key with the last one."""
    found = index[key]
    found.discard(job_id)
    if not found:
        del index[key]


def _awaited_ids(job: Job | None) -> frozenset[int]:
    """Return the jobs and arrays that a pending job waits for, 0 for its name."""
    if job is None or not job.dependency.terms or job.state is not JobState.PENDING:
        return _NOTHING
    return frozenset(term.job_id for term in job.dependency.terms)


def _active_name(job: Job | None) -> tuple[str, int] | None:
    if job is None or (job.is_ended and not job.is_requeued):
        return None
    return job.spec.name, job.spec.uid


def _has_nothing_to_wait_for(job: Job) -> bool:
    """An array whose only conditions are task by task is ready in part; ready_part() tells which."""
    if not job.dependency.terms:
        return True
    return job.pending_array is not None and all(term.type == "aftercorr" for term in job.dependency.terms)


def _running_view(job: Job) -> RunningJob:
    assert job.allocation is not None
    assert job.started_at is not None
    end_at = None if job.limit_s is None else job.started_at + job.suspended_s + job.limit_s
    licenses = job.allocation.licenses if job.reservation else ()
    allocation = job.allocation
    if job.state is not JobState.RUNNING or job.is_without_cpus:
        allocation = replace(allocation, grants=resources.held_grants(job))
    if job.state is JobState.SUSPENDED:
        # Nobody knows when it will go on.
        end_at = None
    elif job.completing_nodes:
        end_at = job.ended_at
    elif job.preemption is not None and end_at is not None:
        end_at = min(end_at, job.preemption.ends_at)
    elif job.preemption is not None:
        end_at = job.preemption.ends_at
    return RunningJob(
        job.id, job.spec.name, allocation, end_at, job.spec.uid, job.partition, job.reservation, licenses, job
    )


def _is_same_machine(one: Node, other: Node) -> bool:
    """Could the same requests ever run there?"""
    return _same_resources(one, other) and (one.features, one.sockets, one.cores_per_socket, one.weight) == (
        other.features,
        other.sockets,
        other.cores_per_socket,
        other.weight,
    )


def _same_resources(one: Node, other: Node) -> bool:
    return layout_of(one) is layout_of(other)
