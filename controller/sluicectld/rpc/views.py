"""Records as the listings get them: jobs with what the scheduler says, nodes with what is allocated.

A job's encoded view is kept until the job or what is said of it changes: ten thousand jobs are listed by joining bytes.
"""

import time
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from sluice import cpuset, hostlist
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.reason import Blocker, Reason
from sluice.model.reservation import Reservation
from sluice.model.states import JobState
from sluice.wire.messages import JobView, NodeView
from sluicectld.scheduler.explain import held_blockers
from sluicectld.scheduler.plan import Plan, PlannedStart
from sluicectld.scheduler.preempt_texts import describe_preemption
from sluicectld.scheduler.ranking import rank_blockers
from sluicectld.scheduler.snapshot import NodeFree
from sluicectld.state.cluster import Cluster

from .callers import user_name

_encode = msgspec.msgpack.Encoder().encode


class JobViewCache:
    """Encoded JobViews by job id."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Job, object, object, int, msgspec.Raw]] = {}

    def view(self, job: Job, plan: Plan, now_at: float, revised: Mapping[int, int]) -> msgspec.Raw:
        """Return the job's encoded view."""
        blockers, planned = plan.blockers.get(job.id), plan.planned.get(job.id)
        priority = priority_of(job, plan, revised)
        known = self._known.get(job.id)
        if (
            known is not None
            and known[0] is job
            and known[1] is blockers
            and known[2] is planned
            and known[3] == priority
        ):
            return known[4]
        encoded = msgspec.Raw(_encode(job_view(job, plan, now_at, revised)))
        if job.begin_at is None:
            self._known[job.id] = (job, blockers, planned, priority, encoded)
        return encoded

    def prune(self, cluster: Cluster) -> None:
        """Drop what is not in memory any more."""
        if len(self._known) > 2 * len(cluster.jobs) + 100:
            self._known = {job_id: entry for job_id, entry in self._known.items() if job_id in cluster.jobs}


def job_view(job: Job, plan: Plan, now_at: float, revised: Mapping[int, int]) -> JobView:
    """Return a job with its blockers, its planned start and its priority as the last pass found them."""
    planned = plan.planned.get(job.id)
    priority = priority_of(job, plan, revised)
    return JobView(
        job=job if job.priority == priority else replace(job, priority=priority),
        blockers=blockers_of(job, plan, now_at),
        planned_start_at=planned.at if planned is not None else _begin_at(job),
        planned_nodes=_planned_nodes(planned),
        nodes=hostlist.fold(job.nodes) if job.allocation is not None else "",
        note=describe_preemption(job, now_at, time.localtime(now_at).tm_gmtoff) if job.preemption is not None else "",
    )


def priority_of(job: Job, plan: Plan, revised: Mapping[int, int]) -> int:
    """Return the priority that the plan found, or the job's own where it found none or is older than the job.

    revised: by job id, the version since which a user's change is in force.
    """
    if job.priority == 0 or job.is_ended or revised.get(job.id, 0) > plan.version:
        return job.priority
    return plan.priorities.get(job.id, job.priority)


def blockers_of(job: Job, plan: Plan, now_at: float) -> tuple[Blocker, ...]:
    """Return why a pending job waits; never empty for one."""
    if job.state is not JobState.PENDING:
        return ()
    utc_offset_s = time.localtime(now_at).tm_gmtoff
    held = held_blockers(job, now_at, utc_offset_s, job.reason is Reason.DEPENDENCY_NEVER_SATISFIED)
    if held:
        return rank_blockers(held)
    found = plan.blockers.get(job.id)
    return rank_blockers(found) if found else (Blocker(reason=Reason.NONE, text="not looked at by a pass yet"),)


def _begin_at(job: Job) -> float | None:
    return job.begin_at if job.state is JobState.PENDING and not job.is_held_back else None


def _planned_nodes(planned: PlannedStart | None) -> str:
    return hostlist.fold(planned.nodes) if planned is not None else ""


def node_view(
    cluster: Cluster,
    node: Node,
    partitions: tuple[str, ...],
    planned: set[str],
    load: tuple[float, int] | None,
    reservation: Reservation | None = None,
) -> NodeView:
    """Return a node with what its jobs have of it."""
    free = cluster.free[node.name]
    flags = []
    if node.is_drained:
        flags.append("DRAIN")
    if node.is_failing:
        flags.append("FAIL")
    if node.reboot is not None:
        flags.append("REBOOT_ISSUED" if node.reboot.issued_at is not None else "REBOOT_REQUESTED")
    if not node.is_responding:
        flags.append("NOT_RESPONDING")
    jobs = [cluster.jobs[job_id] for job_id in cluster.job_ids_by_node.get(node.name, ())]
    if node.leftovers or any(node.name in job.completing_nodes for job in jobs):
        flags.append("COMPLETING")
    if reservation is not None:
        flags += ["MAINTENANCE", "RESERVED"] if reservation.has("MAINT") else ["RESERVED"]
    if node.name in planned and free.job_count == 0:
        flags.append("PLANNED")
    return NodeView(
        node=node,
        state=_base_state(cluster.node_word(node), jobs),
        flags=tuple(flags),
        partitions=partitions,
        allocated_cpus=node.cpus - free.free_cpus.bit_count(),
        allocated_memory_mib=node.memory_mib - free.free_memory_mib,
        gres_used=_gres_used(free),
        cpu_load=load[0] if load is not None else None,
        free_memory_mib=load[1] if load is not None else None,
        reason_user=user_name(node.reason_uid) if node.reason else "",
        reservation=reservation.name if reservation is not None else "",
    )


def _base_state(word: str, jobs: Sequence[Job]) -> str:
    """Return the node's state; one is idle whose jobs have all ended, whatever of them is left (22.05, observed)."""
    return "idle" if word in ("allocated", "mixed") and jobs and all(job.is_ended for job in jobs) else word


def _gres_used(free: NodeFree) -> str:
    parts = []
    for item in free.gres:
        kind = f":{item.type}" if item.type else ""
        if item.is_counted:
            parts.append(f"{item.name}{kind}:{item.total - item.free}")
            continue
        used = item.total & ~item.free
        units = cpuset.format(used) or "N/A"
        parts.append(f"{item.name}{kind}:{used.bit_count()}(IDX:{units})")
    return ",".join(parts)
