"""What is free on each node: kept up to date as jobs take and return their grants.

Invariant: a node's free resources are its whole less the grants of every job that holds a part of it.
"""

from msgspec.structs import replace

from sluice import cpuset
from sluice.model.allocation import GresGrant, NodeGrant
from sluice.model.job import Job
from sluice.model.states import JobState
from sluicectld.scheduler import masks
from sluicectld.scheduler.layout import layout_of
from sluicectld.scheduler.snapshot import GresFree, NodeFree, Shared

_HOLDING_STATES = frozenset({JobState.RUNNING, JobState.SUSPENDED})


def held_grants(job: Job) -> tuple[NodeGrant, ...]:
    """Return the grants that the job holds now: all while it runs, those not yet clean afterwards.

    A suspended job holds no CPUs, nor while it is being ended.
    """
    if job.allocation is None:
        return ()
    grants = job.allocation.grants
    if job.state not in _HOLDING_STATES:
        if not job.completing_nodes:
            return ()
        grants = tuple(grant for grant in grants if grant.node in job.completing_nodes)
    return tuple([without_cpus(grant) for grant in grants]) if job.is_without_cpus else grants


def without_cpus(grant: NodeGrant) -> NodeGrant:
    """Return what of a grant a suspended job keeps."""
    return replace(grant, cpus="", cpu_count=0)


def take(free: NodeFree, grant: NodeGrant, job: Job) -> NodeFree:
    """Return what is left after the job took its grant."""
    return NodeFree(
        free.node,
        free.free_cpus & ~cpuset.parse(grant.cpus),
        free.free_memory_mib - grant.memory_mib,
        _without(free.gres, grant.gres) if grant.gres else free.gres,
        free.job_count + 1,
        job.id if _has_whole_node(job, grant) else free.exclusive_job,
        (*free.uids, job.spec.uid),
        job.spec.uid if job.spec.exclusive == "user" else free.exclusive_uid,
        _with_sharer(free, grant, job),
    )


def give_back(free: NodeFree, grant: NodeGrant, job: Job) -> NodeFree:
    """Return what is free after the job gave its grant back.

    Of a job that kept its nodes from other users (exclusive=user) the caller counts the node anew: another such job
    may still be there.
    """
    uids = list(free.uids)
    uids.remove(job.spec.uid)
    cpus = cpuset.parse(grant.cpus) & layout_of(free.node).cpus
    shared = free.shared
    if shared:
        cpus, shared = masks.remove_sharer(shared, cpus)
    return NodeFree(
        free.node,
        free.free_cpus | cpus,
        free.free_memory_mib + grant.memory_mib,
        _with(free.gres, grant.gres) if grant.gres else free.gres,
        free.job_count - 1,
        0 if free.exclusive_job == job.id else free.exclusive_job,
        tuple(uids),
        free.exclusive_uid,
        shared,
    )


def fits(free: NodeFree, grant: NodeGrant, partition: str = "", sharers_max: int = 1) -> bool:
    """Is every CPU, all memory and every unit of the grant free now?

    sharers_max: the CPUs may have jobs of the partition that share them, fewer than so many.
    """
    cpus = cpuset.parse(grant.cpus)
    available = 0
    for depth in masks.shareable(masks.FreeMasks(free.free_cpus, (), free.shared), partition, sharers_max):
        available |= depth
    if available & cpus != cpus or free.free_memory_mib < grant.memory_mib:
        return False
    if not grant.gres:
        return True
    usable = layout_of(free.node).usable(tuple([item.free for item in free.gres]))
    return all(_units_fit(free.gres, usable, wanted) for wanted in grant.gres)


def _units_fit(gres: tuple[GresFree, ...], usable: tuple[int, ...], wanted: GresGrant) -> bool:
    have = 0
    for item, free in zip(gres, usable, strict=True):
        if item.name != wanted.name:
            continue
        if item.is_counted:
            if item.type == wanted.type:
                return free >= wanted.count
        else:
            have |= free
    units = cpuset.parse(wanted.units)
    return units.bit_count() == wanted.count and have & units == units


def _with_sharer(free: NodeFree, grant: NodeGrant, job: Job) -> Shared:
    if not _is_sharing(job) or not grant.cpus:
        return free.shared
    return masks.add_sharer(free.shared, job.partition, cpuset.parse(grant.cpus))


def _without(gres: tuple[GresFree, ...], grants: tuple[GresGrant, ...]) -> tuple[GresFree, ...]:
    held = _masks(grants)
    return tuple(
        [
            replace(item, free=item.free - _count(item, grants) if item.is_counted else item.free & ~held[item.name])
            if item.name in held
            else item
            for item in gres
        ]
    )


def _with(gres: tuple[GresFree, ...], grants: tuple[GresGrant, ...]) -> tuple[GresFree, ...]:
    held = _masks(grants)
    return tuple(
        [
            replace(
                item,
                free=min(item.free + _count(item, grants), item.total)
                if item.is_counted
                else item.free | (held[item.name] & item.total),
            )
            if item.name in held
            else item
            for item in gres
        ]
    )


def _count(item: GresFree, grants: tuple[GresGrant, ...]) -> int:
    return sum([grant.count for grant in grants if (grant.name, grant.type) == (item.name, item.type)])


def _masks(grants: tuple[GresGrant, ...]) -> dict[str, int]:
    """Return the units of each resource, over all its types."""
    held: dict[str, int] = {}
    for grant in grants:
        held[grant.name] = held.get(grant.name, 0) | cpuset.parse(grant.units)
    return held


def _has_whole_node(job: Job, grant: NodeGrant) -> bool:
    return job.spec.exclusive == "node" and bool(grant.cpus) and not _is_sharing(job)


def _is_sharing(job: Job) -> bool:
    return job.allocation is not None and job.allocation.is_sharing
