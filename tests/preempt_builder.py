"""Builder of clusters where some jobs may preempt others: partitions "low" and "high" of all nodes, by tier.

    rivals = Rivals(nodes=2)
    victim = rivals.runs(cpus=4)
    urgent = rivals.urgent()
    assert rivals.victims() == {victim: "REQUEUE"}

Jobs run since an hour and for another one; what is said of a job goes into its request.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sluice.model.allocation import Allocation
from sluice.model.association import Association
from sluice.model.job import Job
from sluice.model.preemption import Preemption, PreemptMode, PreemptSetup, Room
from sluice.model.qos import Qos
from sluice.model.reservation import Reservation
from sluice.model.states import JobState
from sluice_plugins import registry
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, RunningJob, Snapshot
from tests.builders import Cluster, make_spec

HOUR_S = 3600.0


class Rivals(Cluster):
    """by: "partition_prio" or "qos".  setup: fields of PreemptSetup; modes as words."""

    def __init__(self, nodes: int = 1, by: str = "partition_prio", modes: str = "REQUEUE", **setup: Any) -> None:
        fields = {name: setup.pop(name) for name in ("cpus", "memory_mib", "gres") if name in setup}
        super().__init__(nodes=nodes, **fields)
        self.partition("low").partition("high", priority_tier=2)
        self.policy = Policy(
            select_unit="cpu",
            has_memory=True,
            preempt=PreemptSetup(type=by, modes=frozenset(modes.split(",")), **setup),
            preempt_plugin=registry.find_preemption(by),
        )
        self.qos_by_name: dict[str, Qos] = {}
        self.reservations: list[Reservation] = []
        self.leaving: list[RunningJob] = []

    def qos(self, name: str, **fields: Any) -> Rivals:
        self.qos_by_name[name] = Qos(name=name, **fields)
        return self

    def runs(
        self,
        nodes: int | tuple[str, ...] = 1,
        cpus: int | None = None,
        *,
        partition: str = "low",
        priority: int = 100,
        ran_s: float = HOUR_S,
        ends_in_s: float | None = HOUR_S,
        memory_mib: int = 0,
        gres: tuple[tuple[str, int], ...] = (),
        licenses: tuple[tuple[str, int], ...] = (),
        reservation: str = "",
        preemption: Preemption | None = None,
        **spec: Any,
    ) -> int:
        """Add a running job; return its id."""
        names = nodes if isinstance(nodes, tuple) else self._first_free(nodes, cpus)
        uid = spec.setdefault("uid", 1000)
        owner = uid if spec.get("exclusive") == "user" else None
        grants = tuple(self._occupy(name, cpus, memory_mib, gres, uid, owner) for name in names)
        job_id = self._new_id()
        allocation = Allocation(grants=grants, licenses=licenses)
        job = Job(
            id=job_id,
            spec=make_spec(len(names), (partition,), **spec),
            state=JobState.RUNNING,
            partition=partition,
            priority=priority,
            started_at=self.now_at - ran_s,
            limit_s=None if ends_in_s is None else int(ran_s + ends_in_s),
            allocation=allocation,
            reservation=reservation,
            preemption=preemption,
        )
        end_at = None if ends_in_s is None else self.now_at + ends_in_s
        view = RunningJob(job_id, str(job_id), allocation, end_at, uid, partition, reservation, (), job)
        self.running_jobs.append(view)
        if preemption is not None:
            self.leaving.append(view)
        return job_id

    def bind(self, *job_ids: int) -> int:
        """Make running jobs, whose ids follow one another, components of a heterogeneous one; return its id."""
        leader_id = job_ids[0]
        for offset, job_id in enumerate(job_ids):
            self._revise(job_id, het_job_id=leader_id, het_offset=offset, het_size=len(job_ids))
        return leader_id

    def reserve(self, name: str, *nodes: str, flags: tuple[str, ...] = ()) -> None:
        """Add a reservation of these nodes for ann, which is in force."""
        times = {"start_at": self.now_at - 60, "end_at": self.now_at + 9 * HOUR_S}
        self.reservations.append(Reservation(id=1, name=name, nodes=nodes, users=("ann",), flags=flags, **times))

    def urgent(self, **fields: Any) -> Job:
        """Add a pending job of the high partition."""
        return self.pending(**({"partitions": ("high",), "nodes": 1} | fields))

    def warn(self, job_id: int, for_job_id: int, *nodes: str, mode: str = "REQUEUE") -> None:
        """Let a running job be in its grace."""
        room = Room(job_id=for_job_id, partition="high", nodes=nodes)
        self.depart(job_id, for_job_id, (room,), PreemptMode(mode))

    def depart(self, job_id: int, for_job_id: int, rooms: tuple[Room, ...], mode: PreemptMode) -> None:
        """Let a running job, or all components of the one that it leads, be in its grace."""
        ends_at = self.now_at + 60
        preemption = Preemption(for_job_id=for_job_id, mode=mode, at=self.now_at, ends_at=ends_at, rooms=rooms)
        for part_id in self.parts_of(job_id):
            view = replace(self._revise(part_id, preemption=preemption), expected_end_at=ends_at)
            self._put(view)
            self.leaving.append(view)

    def parts_of(self, job_id: int) -> list[int]:
        """Return the running jobs that are this one, or components of the one that it leads."""
        jobs = [view.job for view in self.running_jobs if view.job is not None]
        return [job.id for job in jobs if job_id in (job.id, job.het_job_id)]

    def _revise(self, job_id: int, **fields: Any) -> RunningJob:
        view = next(view for view in self.running_jobs if view.job_id == job_id)
        assert view.job is not None
        return self._put(replace(view, job=replace(view.job, **fields)))

    def _put(self, view: RunningJob) -> RunningJob:
        place = next(place for place, each in enumerate(self.running_jobs) if each.job_id == view.job_id)
        self.running_jobs[place] = view
        return view

    def snapshot(self) -> Snapshot:
        row = Association(account="lab", user="ann", is_default=True, qos=tuple(self.qos_by_name))
        associations = {row.key: row} if self.qos_by_name else {}
        return replace(
            super().snapshot(),
            qos=self.qos_by_name,
            associations=associations,
            reservations=tuple(self.reservations),
            leaving=tuple(self.leaving),
        )

    def plan(self) -> Plan:
        return decide(self.snapshot(), self.policy)

    def victims(self) -> dict[int, str]:
        """Return how each victim of the plan is preempted, by job id."""
        return {order.job_id: order.mode.value for order in self.plan().preemptions}
