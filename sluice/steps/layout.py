"""Which nodes, CPUs and ranks a step gets inside its job's allocation.

A step takes what it asks for and no more; steps do not share CPUs unless one of them overlaps.  Pure.
"""

import msgspec
from msgspec.structs import replace

from sluice import cpuset, distribution, hostlist
from sluice.errors import InvalidRequest
from sluice.model.allocation import NodeGrant
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import StepState
from sluice.model.step import Step, StepNode

from .gres import Missing, check_gres, share_gres
from .ranks import arbitrary_ranks, deal_ranks


class Busy(msgspec.Struct, frozen=True):
    """The step fits the allocation but not beside the steps that run now."""

    text: str


class _Room(msgspec.Struct):
    """One node of the allocation, and what the step may use of it."""

    grant: NodeGrant
    free_cpus: int
    ntasks: int = 0
    #: A mask of global ranks.
    ranks: int = 0

    def capacity(self, cpus_per_task: int, per_node_max: int) -> int:
        tasks = self.free_cpus.bit_count() // cpus_per_task
        return min(tasks, per_node_max) if per_node_max else tasks


def lay_out(job: Job, spec: StepSpec, running: list[Step], tasks_per_node_max: int) -> tuple[StepNode, ...] | Busy:
    """Return the step's nodes with their ranks, or what keeps it waiting.

    Raises InvalidRequest when the whole allocation could not hold it.
    """
    assert job.allocation is not None, f"job {job.id} has no allocation"
    if spec.is_interactive:
        return (_first_node(job.allocation.grants[0]),)
    cpus_per_task = spec.cpus_per_task or job.spec.cpus_per_task
    if min(spec.ntasks if spec.ntasks is not None else 1, cpus_per_task) < 1:
        raise InvalidRequest(f"{spec.ntasks} tasks of {cpus_per_task} CPUs requested", "ntasks")
    spec = _name_ranks(job, spec)
    _check_tasks(job, spec, tasks_per_node_max)
    _check_memory(job, spec)
    whole = _choose(job, spec, _rooms(job, spec, []), cpus_per_task)
    if isinstance(whole, Busy):
        raise InvalidRequest(f"job {job.id}: {whole.text}", "too_many_cpus")
    if spec.is_overlapping or spec.is_overcommitted:
        return _finish(job, whole, spec, cpus_per_task, [])
    chosen = _choose(job, spec, _rooms(job, spec, running), cpus_per_task)
    if isinstance(chosen, Busy):
        return Busy(f"{chosen.text}; {_holders(running)}")
    return _finish(job, chosen, spec, cpus_per_task, running)


def _first_node(grant: NodeGrant) -> StepNode:
    """Return the shell's part of the first node: everything that the job has there, kept from no other step."""
    return StepNode(
        node=grant.node,
        ntasks=1,
        ranks="0",
        cpus=grant.cpus,
        cpu_count=grant.cpu_count,
        memory_mib=grant.memory_mib,
        gres=grant.gres,
    )


def _check_tasks(job: Job, spec: StepSpec, tasks_per_node_max: int) -> None:
    """Refuse more tasks than a node may have, which only steps that share CPUs could ask for."""
    assert job.allocation is not None
    ntasks, nodes = _sizes(job, spec, len(job.allocation.grants))
    if ntasks > tasks_per_node_max * nodes:
        raise InvalidRequest(
            f"{ntasks} tasks on {nodes} nodes requested, at most {tasks_per_node_max} a node may be (MaxTasksPerNode)",
            "ntasks",
        )


def _rooms(job: Job, spec: StepSpec, running: list[Step]) -> list[_Room]:
    assert job.allocation is not None
    rooms = [_Room(grant, cpuset.parse(grant.cpus)) for grant in job.allocation.grants]
    by_name = {room.grant.node: room for room in rooms}
    for step in running:
        if step.step_id < 0 or step.spec.is_overlapping or step.state is not StepState.RUNNING:
            continue
        for node in step.nodes:
            if node.node in step.running_nodes:
                by_name[node.node].free_cpus &= ~cpuset.parse(node.cpus)
    if spec.relative:
        if spec.relative >= len(rooms):
            text = f"node {spec.relative} of the allocation requested (--relative), it has {len(rooms)}, the first is 0"
            raise InvalidRequest(f"job {job.id}: {text}", "infeasible")
        rooms = rooms[spec.relative :]
    rooms = [room for room in rooms if room.grant.node not in (*spec.excluded_nodes, *job.lost_nodes)]
    if spec.required_nodes:
        _check_required(job, spec, rooms)
        first = set(spec.required_nodes)
        rooms.sort(key=lambda room: room.grant.node not in first)
    return rooms


def _is_arbitrary(spec: StepSpec) -> bool:
    return distribution.parse(spec.distribution).nodes == "arbitrary"


def _name_ranks(job: Job, spec: StepSpec) -> StepSpec:
    """Return the step with the node of each rank where those are the job's: the first ones for fewer tasks.

    Raises InvalidRequest where nobody has named them.
    """
    if not _is_arbitrary(spec):
        return spec
    ntasks, _ = _sizes(job, spec, len(spec.required_nodes or job.nodes))
    named = spec.required_nodes or job.spec.nodes_of_ranks[:ntasks]
    if len(named) != ntasks:
        listed = f"{len(job.spec.required_nodes)} nodes for {job.spec.ntasks}" if job.spec.required_nodes else "none"
        has = f"{len(named)} are named" if named else f"job {job.id} names {listed}"
        text = f"an arbitrary distribution of {ntasks} tasks requested, which takes the node of each task; {has}"
        raise InvalidRequest(f"{text}; -w or SLURM_HOSTFILE gives them", "ntasks")
    return replace(spec, required_nodes=named)


def _check_required(job: Job, spec: StepSpec, rooms: list[_Room]) -> None:
    """Refuse a named node that is not among those that the step may use."""
    usable = {room.grant.node for room in rooms}
    missing = [name for name in spec.required_nodes if name not in usable]
    if not missing:
        return
    name = missing[0]
    if name not in job.nodes:
        raise InvalidRequest(f"node {name} is not in the allocation of job {job.id}", "infeasible")
    if name in job.lost_nodes:
        raise InvalidRequest(f"node {name} was lost while job {job.id} ran, which goes on without it", "infeasible")
    if name in spec.excluded_nodes:
        raise InvalidRequest(f"node {name} is both asked for (--nodelist) and excluded (--exclude)", "infeasible")
    text = f"node {name} is asked for (--nodelist) and before node {spec.relative} of the allocation (--relative)"
    raise InvalidRequest(text, "infeasible")


def _check_memory(job: Job, spec: StepSpec) -> None:
    """Refuse a step that asks for more memory on a node than its job has there."""
    assert job.allocation is not None
    most = max(grant.memory_mib for grant in job.allocation.grants)
    wanted = spec.memory_per_node_mib or 0
    if most and wanted > most:
        raise InvalidRequest(f"{wanted} MiB on a node requested, job {job.id} has {most} MiB", "memory")


def _choose(job: Job, spec: StepSpec, rooms: list[_Room], cpus_per_task: int) -> list[_Room] | Busy:
    """Return the rooms with their task counts set, in the order of the job's nodes, whichever were preferred."""
    ntasks, min_nodes = _sizes(job, spec, len(rooms))
    if min_nodes > len(rooms) or not rooms:
        return Busy(f"{min_nodes} nodes requested, {_what_is_left(job, spec, len(rooms))}")
    per_node_max = spec.ntasks_per_node or 0
    if _is_arbitrary(spec):
        return _choose_arbitrary(spec, rooms, cpus_per_task)
    if spec.is_overcommitted or job.spec.is_overcommitted:
        chosen = _in_order(job, rooms[:min_nodes])
        _deal(chosen, [ntasks] * len(chosen), ntasks, spec)
        return chosen
    usable = [room for room in rooms if room.capacity(cpus_per_task, per_node_max) > 0]
    full = [room for room in rooms if room.grant.node in spec.required_nodes and room not in usable]
    if full:
        has = f"{full[0].free_cpus.bit_count()} CPUs are free there"
        return Busy(f"a task of {cpus_per_task} CPUs on node {full[0].grant.node} requested, {has}")
    capacity = sum(room.capacity(cpus_per_task, per_node_max) for room in usable)
    if len(usable) < min_nodes or capacity < ntasks:
        free = sum(room.free_cpus.bit_count() for room in rooms)
        return Busy(f"{ntasks} tasks of {cpus_per_task} CPUs on {min_nodes} nodes requested, {free} CPUs are free")
    chosen = usable[:min_nodes]
    while sum(room.capacity(cpus_per_task, per_node_max) for room in chosen) < ntasks:
        if spec.max_nodes and len(chosen) >= spec.max_nodes:
            return Busy(f"{ntasks} tasks requested on at most {spec.max_nodes} nodes")
        chosen.append(usable[len(chosen)])
    chosen = _in_order(job, chosen)
    _deal(chosen, [room.capacity(cpus_per_task, per_node_max) for room in chosen], ntasks, spec)
    return chosen


def _in_order(job: Job, rooms: list[_Room]) -> list[_Room]:
    """Return the rooms in the order that SLURM_NODELIST has, which numbers nodes and ranks."""
    places = {name: place for place, name in enumerate(job.nodes)}
    return sorted(rooms, key=lambda room: places[room.grant.node])


def _what_is_left(job: Job, spec: StepSpec, count: int) -> str:
    """Return how many nodes of the allocation the step may use, and why not all."""
    if count == len(job.nodes):
        return f"the allocation has {count}"
    without = [hostlist.fold(spec.excluded_nodes)] if spec.excluded_nodes else []
    without += [f"the first {spec.relative} (--relative)"] if spec.relative else []
    without += [f"{hostlist.fold(job.lost_nodes)}, lost to the job"] if job.lost_nodes else []
    return f"{count} of the allocation's {len(job.nodes)} may be used: without {' and '.join(without)}"


def _sizes(job: Job, spec: StepSpec, node_count: int) -> tuple[int, int]:
    """Return (tasks, nodes): the step's own, else the job's, else one task on each node."""
    ntasks = spec.ntasks
    if ntasks is None and spec.min_nodes is None and "ntasks" in job.spec.given:
        ntasks = job.spec.ntasks
    if ntasks is None:
        nodes = spec.min_nodes or node_count
        return nodes * (spec.ntasks_per_node or 1), nodes
    return ntasks, min(spec.min_nodes or node_count, ntasks)


def _deal(rooms: list[_Room], capacities: list[int], ntasks: int, spec: StepSpec) -> None:
    masks = deal_ranks(capacities, ntasks, distribution.parse(spec.distribution))
    for room, mask in zip(rooms, masks, strict=True):
        room.ranks, room.ntasks = mask, mask.bit_count()


def _choose_arbitrary(spec: StepSpec, rooms: list[_Room], cpus_per_task: int) -> list[_Room] | Busy:
    """Return the named nodes, each with the ranks that it was named for."""
    chosen = [room for room in rooms if room.grant.node in spec.required_nodes]
    masks = arbitrary_ranks(spec.required_nodes, [room.grant.node for room in chosen])
    for room, mask in zip(chosen, masks, strict=True):
        room.ranks, room.ntasks = mask, mask.bit_count()
        if room.ntasks > room.capacity(cpus_per_task, 0) and not spec.is_overcommitted:
            return Busy(
                f"{room.ntasks} tasks of {cpus_per_task} CPUs on node {room.grant.node} requested, "
                f"{room.free_cpus.bit_count()} CPUs are free"
            )
    return chosen


def _finish(
    job: Job, rooms: list[_Room], spec: StepSpec, cpus_per_task: int, running: list[Step]
) -> tuple[StepNode, ...] | Busy:
    """Return the rooms as the step's nodes, with their ranks, CPUs and generic resources."""
    grants, counts = [room.grant for room in rooms], [room.ntasks for room in rooms]
    check_gres(spec, grants, counts, job.id)
    try:
        shares = share_gres(spec, grants, counts, running)
    except Missing as missing:
        return Busy(f"{missing}; {_holders(running)}")
    nodes = []
    for room, gres in zip(rooms, shares, strict=True):
        cpus = cpuset.lowest(room.free_cpus, room.ntasks * cpus_per_task)
        nodes.append(
            StepNode(
                node=room.grant.node,
                ntasks=room.ntasks,
                ranks=cpuset.format(room.ranks),
                cpus=cpuset.format(cpus),
                cpu_count=cpus.bit_count(),
                memory_mib=_memory_mib(room, spec, cpus.bit_count()),
                gres=gres,
            )
        )
    return tuple(nodes)


def _memory_mib(room: _Room, spec: StepSpec, cpu_count: int) -> int:
    if spec.memory_per_node_mib:
        return min(spec.memory_per_node_mib, room.grant.memory_mib or spec.memory_per_node_mib)
    if spec.memory_per_cpu_mib:
        return spec.memory_per_cpu_mib * cpu_count
    return room.grant.memory_mib


def _holders(running: list[Step]) -> str:
    names = [
        f"step {step.job_id}.{step.step_id} ({step.spec.name}) has {step.cpu_count}"
        for step in running
        if step.step_id >= 0 and not step.spec.is_overlapping
    ]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more steps" if len(names) > 4 else "")
