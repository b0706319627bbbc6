"""Builders of small clusters for tests: say what matters, the rest has plain values.

    cluster = Cluster(nodes=4).running(nodes=3, ends_in_s=600)
    head = cluster.pending(nodes=4, limit_s=3600)
    plan = decide(cluster.snapshot())

Nodes are n1, n2, ... in partition "batch"; jobs get ids in the order of their calls.
"""

from __future__ import annotations

from typing import Any, Self

from msgspec.structs import replace

from sluice import cpuset
from sluice.model.allocation import Allocation, GresGrant, NodeGrant
from sluice.model.job import Job, PendingArray
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest, JobSpec
from sluice.model.states import JobState, NodeState
from sluicectld.scheduler.layout import compute_idle, find_whole_units
from sluicectld.scheduler.snapshot import NodeFree, RunningJob, Snapshot

#: Priority of the first pending job; each later one has one less.
FIRST_PRIORITY = 1_000_000


class Cluster:
    """Nodes, partitions, running and pending jobs, from which snapshot() makes what a pass sees."""

    def __init__(
        self,
        nodes: int = 1,
        cpus: int = 4,
        memory_mib: int = 4000,
        gres: tuple[GresRequest, ...] = (),
        now_at: float = 1_000_000.0,
        **node_fields: Any,
    ) -> None:
        self.now_at = now_at
        self.free_by_name: dict[str, NodeFree] = {}
        self.partitions: dict[str, Partition] = {}
        self.running_jobs: list[RunningJob] = []
        self.completing_jobs: list[RunningJob] = []
        self.pending_jobs: list[Job] = []
        self.running_tasks: dict[int, int] = {}
        self.licenses_free: dict[str, int] = {}
        self.next_job_id = 1
        names = [f"n{number}" for number in range(1, nodes + 1)]
        for name in names:
            self.node(name, cpus=cpus, memory_mib=memory_mib, gres=gres, **node_fields)
        self.partition("batch", tuple(names), is_default=True)

    def node(self, name: str, **fields: Any) -> Self:
        """Add a node, or give an idle one other fields; it is up and idle."""
        known = self.free_by_name.get(name)
        if known is not None:
            node = replace(known.node, **fields)
        else:
            values = {"sockets": 1, "cores_per_socket": fields.get("cpus", 1), "state": NodeState.UP} | fields
            node = Node(name=name, index=len(self.free_by_name), **values)
        self.free_by_name[name] = compute_idle(node)
        return self

    def partition(self, name: str, nodes: tuple[str, ...] = (), **fields: Any) -> Self:
        """Add a partition, or give one other fields; new ones have all nodes unless said otherwise."""
        known = self.partitions.get(name)
        if known is not None:
            changes = fields | ({"nodes": nodes} if nodes else {})
            self.partitions[name] = replace(known, **changes)
        else:
            self.partitions[name] = Partition(name=name, nodes=nodes or tuple(self.free_by_name), **fields)
        return self

    def licenses(self, **counts: int) -> Self:
        self.licenses_free.update(counts)
        return self

    def running(
        self,
        nodes: int | tuple[str, ...] = 1,
        cpus: int | None = None,
        ends_in_s: float | None = 3600.0,
        memory_mib: int = 0,
        gres: tuple[tuple[str, int], ...] = (),
        uid: int = 1000,
        exclusive_uid: int | None = None,
        partition: str = "batch",
        licenses: tuple[tuple[str, int], ...] = (),
        reservation: str = "",
        **spec_fields: Any,
    ) -> Self:
        """Add a job that runs on the first nodes with so many CPUs free (all of a node's when None).

        licenses: taken from those that are free.  spec_fields: of its record; without any it has none.
        """
        names = nodes if isinstance(nodes, tuple) else self._first_free(nodes, cpus)
        grants = tuple(self._occupy(name, cpus, memory_mib, gres, uid, exclusive_uid) for name in names)
        job_id = self._new_id()
        end_at = None if ends_in_s is None else self.now_at + ends_in_s
        allocation = Allocation(grants=grants, licenses=licenses)
        for name, count in licenses:
            self.licenses_free[name] -= count
        job = None
        if spec_fields:
            spec = make_spec(partitions=(partition,), **spec_fields)
            job = Job(id=job_id, spec=spec, partition=partition, limit_s=None, allocation=allocation)
        held = licenses if reservation else ()
        self.running_jobs.append(
            RunningJob(job_id, str(job_id), allocation, end_at, uid, partition, reservation, held, job)
        )
        return self

    def completing(self, **fields: Any) -> Self:
        """Add a job as running() does that has ended and is not clean on any of its nodes."""
        self.running(**fields)
        view = self.running_jobs.pop()
        job = Job(
            id=view.job_id,
            spec=make_spec(),
            state=JobState.COMPLETED,
            started_at=self.now_at - 60,
            ended_at=self.now_at - 1,
            allocation=view.allocation,
            completing_nodes=view.allocation.nodes,
        )
        self.completing_jobs.append(replace(view, expected_end_at=job.ended_at, job=job))
        return self

    def pending(
        self,
        nodes: int = 1,
        limit_s: int | None = 3600,
        priority: int | None = None,
        partitions: tuple[str, ...] = ("batch",),
        tasks: tuple[tuple[int, int, int], ...] = (),
        throttle: int = 0,
        **spec_fields: Any,
    ) -> Job:
        """Add an eligible job and return it.  It asks for exactly *nodes* nodes unless max_nodes says otherwise.

        ntasks counts as given by the user.  tasks: the pending ranges of an array.  No memory is asked (1 MiB a node).
        """
        job_id = self._new_id()
        spec = make_spec(nodes, partitions=partitions, **spec_fields)
        job = Job(
            id=job_id,
            spec=spec,
            limit_s=limit_s,
            partition=partitions[0],
            priority=FIRST_PRIORITY - job_id if priority is None else priority,
            submitted_at=self.now_at,
            eligible_at=self.now_at,
            array_job_id=job_id if tasks else 0,
            pending_array=PendingArray(ranges=tasks, throttle=throttle) if tasks else None,
        )
        self.pending_jobs.append(job)
        return job

    def gang(self, *jobs: Job) -> tuple[Job, ...]:
        """Make pending jobs the components of one heterogeneous job; their ids must follow one another."""
        leader_id = jobs[0].id
        components = tuple(
            replace(job, het_job_id=leader_id, het_offset=job.id - leader_id, het_size=len(jobs)) for job in jobs
        )
        by_id = {job.id: job for job in components}
        self.pending_jobs = [by_id.get(job.id, job) for job in self.pending_jobs]
        return components

    def snapshot(self) -> Snapshot:
        return Snapshot(
            version=1,
            now_at=self.now_at,
            nodes=tuple(self.free_by_name.values()),
            partitions=dict(self.partitions),
            pending=tuple(self.pending_jobs),
            running=tuple(self.running_jobs),
            running_tasks=dict(self.running_tasks),
            licenses_free=dict(self.licenses_free),
            completing=tuple(self.completing_jobs),
        )

    def _new_id(self) -> int:
        self.next_job_id += 1
        return self.next_job_id - 1

    def _first_free(self, count: int, cpus: int | None) -> tuple[str, ...]:
        names = [
            name
            for name, free in self.free_by_name.items()
            if free.free_cpus.bit_count() >= (free.node.cpus if cpus is None else cpus)
        ]
        assert len(names) >= count, f"only {len(names)} nodes have {cpus or 'all'} CPUs free, wanted {count}"
        return tuple(names[:count])

    def _occupy(
        self,
        name: str,
        cpus: int | None,
        memory_mib: int,
        gres: tuple[tuple[str, int], ...],
        uid: int,
        exclusive_uid: int | None,
    ) -> NodeGrant:
        free = self.free_by_name[name]
        count = free.node.cpus if cpus is None else cpus
        taken = cpuset.lowest(find_whole_units(free.free_cpus, free.node.threads_per_core), count)
        left = list(free.gres)
        granted = []
        for kind, units in gres:
            place = next(place for place, item in enumerate(left) if item.name == kind)
            mask = cpuset.lowest(left[place].free, units)
            left[place] = replace(left[place], free=left[place].free & ~mask)
            granted.append(
                GresGrant(name=kind, type=left[place].type, units=cpuset.format(mask), count=mask.bit_count())
            )
        self.free_by_name[name] = replace(
            free,
            free_cpus=free.free_cpus & ~taken,
            free_memory_mib=free.free_memory_mib - memory_mib,
            gres=tuple(left),
            job_count=free.job_count + 1,
            uids=(*free.uids, uid),
            exclusive_uid=exclusive_uid,
        )
        return NodeGrant(
            node=name,
            cpus=cpuset.format(taken),
            cpu_count=taken.bit_count(),
            memory_mib=memory_mib,
            gres=tuple(granted),
        )


def make_spec(nodes: int = 1, partitions: tuple[str, ...] = ("batch",), **fields: Any) -> JobSpec:
    """Return a spec that asks for exactly so many nodes (0: as many as it takes) and next to no memory."""
    given = frozenset(fields.pop("given", ()))
    given |= {"ntasks"} & fields.keys()
    if not any(name.startswith("memory_per") for name in fields):
        fields["memory_per_node_mib"] = 1
    values = {"min_nodes": max(nodes, 1), "max_nodes": nodes} | fields
    return JobSpec(
        **({"name": "job", "uid": 1000, "gid": 1000, "user": "ann"} | values), partitions=partitions, given=given
    )
