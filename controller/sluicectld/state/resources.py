"""What is free on each node: kept up to date as jobs take and return their grants.

Invariant: a node's free resources are its whole less the grants of every job that holds a part of it.
"""

from msgspec.structs import replace

from sluice import cpuset
from sluice.model.allocation import GresGrant, NodeGrant
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.states import JobState
from sluicectld.scheduler.snapshot import GresFree, NodeFree

_HOLDING_STATES = frozenset({JobState.RUNNING, JobState.SUSPENDED})


def held_grants(job: Job) -> tuple[NodeGrant, ...]:
    """Return the grants that the job holds now: all while it runs, those not yet clean afterwards."""
    if job.allocation is None:
        return ()
    if job.state in _HOLDING_STATES:
        return job.allocation.grants
    if not job.completing_nodes:
        return ()
    return tuple(grant for grant in job.allocation.grants if grant.node in job.completing_nodes)


def whole(node: Node) -> NodeFree:
    """Return the node with nothing taken."""
    gres = []
    first_by_name: dict[str, int] = {}
    for item in node.gres:
        # Units are numbered through all the types of a name: gpu 0-1 a100, gpu 2-3 h100.
        first = first_by_name.get(item.name, 0)
        mask = ((1 << item.count) - 1) << first
        first_by_name[item.name] = first + item.count
        gres.append(GresFree(item.name, item.type, mask, mask))
    return NodeFree(node, (1 << node.cpus) - 1, node.memory_mib, tuple(gres))


def take(free: NodeFree, grant: NodeGrant, job: Job) -> NodeFree:
    """Return what is left after the job took its grant."""
    return NodeFree(
        free.node,
        free.free_cpus & ~cpuset.parse(grant.cpus),
        free.free_memory_mib - grant.memory_mib,
        _without(free.gres, grant.gres) if grant.gres else free.gres,
        free.job_count + 1,
        job.id if job.spec.exclusive == "node" else free.exclusive_job,
        (*free.uids, job.spec.uid),
        job.spec.uid if job.spec.exclusive == "user" else free.exclusive_uid,
    )


def give_back(free: NodeFree, grant: NodeGrant, job: Job) -> NodeFree:
    """Return what is free after the job gave its grant back.

    Of a job that kept its nodes from other users (exclusive=user) the caller counts the node anew: another such job
    may still be there.
    """
    uids = list(free.uids)
    uids.remove(job.spec.uid)
    everything = (1 << free.node.cpus) - 1
    return NodeFree(
        free.node,
        (free.free_cpus | cpuset.parse(grant.cpus)) & everything,
        free.free_memory_mib + grant.memory_mib,
        _with(free.gres, grant.gres) if grant.gres else free.gres,
        free.job_count - 1,
        0 if free.exclusive_job == job.id else free.exclusive_job,
        tuple(uids),
        free.exclusive_uid,
    )


def fits(free: NodeFree, grant: NodeGrant) -> bool:
    """Is every CPU, all memory and every unit of the grant free now?"""
    cpus = cpuset.parse(grant.cpus)
    if free.free_cpus & cpus != cpus or free.free_memory_mib < grant.memory_mib:
        return False
    return all(_units_fit(free.gres, wanted) for wanted in grant.gres)


def _units_fit(gres: tuple[GresFree, ...], wanted: GresGrant) -> bool:
    units = cpuset.parse(wanted.units)
    have = 0
    for item in gres:
        if item.name == wanted.name:
            have |= item.free
    return have & units == units


def _without(gres: tuple[GresFree, ...], grants: tuple[GresGrant, ...]) -> tuple[GresFree, ...]:
    masks = _masks(grants)
    return tuple(replace(item, free=item.free & ~masks.get(item.name, 0)) for item in gres)


def _with(gres: tuple[GresFree, ...], grants: tuple[GresGrant, ...]) -> tuple[GresFree, ...]:
    masks = _masks(grants)
    return tuple(replace(item, free=item.free | (masks.get(item.name, 0) & item.total)) for item in gres)


def _masks(grants: tuple[GresGrant, ...]) -> dict[str, int]:
    masks: dict[str, int] = {}
    for grant in grants:
        masks[grant.name] = masks.get(grant.name, 0) | cpuset.parse(grant.units)
    return masks
