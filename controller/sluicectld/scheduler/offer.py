"""How many tasks of a request a node can hold, and what it then takes: one request against one level.

Pure arithmetic on counts.  Which nodes are chosen is place.py's.  Source: CONTRACT section 2.2 and the sbatch
manual's words on --mem, --mincpus, --exclusive and --threads-per-core; whole cores as CR_Core grants them.

Invariant: what compute_take(level, t) takes is free at the level whenever count_tasks(level) >= t.
"""

from sluice.model.request import GresRequest

from .levels import Kind, Level, Take
from .needs import Needs

#: Units of the resources asked for the whole job that one node gives, in the order of Needs.gres_per_job.
Share = tuple[int, ...]


def count_tasks(level: Level, needs: Needs) -> int:
    """Return how many tasks of the request fit at this level, at most all of them; 0: the node is of no use."""
    if level.cpus <= 0 or (needs.is_exclusive and level.job_count):
        return 0
    if needs.is_whole_memory and level.memory_mib < level.kind.full.memory_mib:
        return 0
    most = needs.tasks
    if needs.node_tasks_max:
        most = min(most, needs.node_tasks_max)
    for item in needs.gres_per_task:
        most = min(most, _free_units(level, item) // max(item.count, 1))
    # What a node takes grows with its tasks: the largest number that fits is found by halving.
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(level, needs, middle):
            low = middle
        else:
            high = middle - 1
    return low if low >= needs.node_tasks_min else 0


def compute_share(level: Level, needs: Needs) -> Share:
    """Return how much of each resource asked for the whole job the node could give."""
    return tuple(min(_free_units(level, item), item.count) for item in needs.gres_per_job)


def compute_take(level: Level, needs: Needs, tasks: int, share: Share = ()) -> Take:
    """Return what the job takes from the node for so many tasks and its share of the job's resources."""
    kind = level.kind
    gres = _take_gres(level, needs, tasks, share)
    if needs.is_exclusive:
        cpus = kind.full.cpus
        gres = kind.full.gres
    else:
        cpus = cpus_for(kind, needs, tasks, _gpu_count(kind, gres))
    return Take(cpus, _memory_for(kind, needs, cpus, _gpu_count(kind, gres)), gres)


def cpus_for(kind: Kind, needs: Needs, tasks: int, gpus: int = 0) -> int:
    """Return the CPUs that so many tasks take: whole units, and never fewer than the node's minimum."""
    usable = _usable_per_unit(kind, needs)
    wanted = 1 if needs.is_overcommitted else tasks * needs.cpus_per_task
    wanted = max(wanted, needs.cpus_per_gpu * gpus)
    units = -(-wanted // usable)
    if needs.tasks_per_core_max and not needs.is_overcommitted:
        cores = -(-tasks // needs.tasks_per_core_max)
        units = max(units, -(-cores * kind.threads_per_core // kind.unit))
    return max(units * kind.unit, -(-needs.node_cpus_min // kind.unit) * kind.unit)


def can_hold_kind(kind: Kind, needs: Needs) -> bool:
    """Does the kind have the shape that is asked: sockets, cores, threads, local disk?"""
    node = kind.node
    return (
        node.tmp_disk_mib >= needs.tmp_disk_mib
        and node.sockets >= needs.sockets_min
        and node.cores_per_socket >= needs.cores_per_socket_min
        and node.threads_per_core >= needs.threads_per_core_min
    )


def _fits(level: Level, needs: Needs, tasks: int) -> bool:
    take = compute_take(level, needs, tasks)
    if take.cpus > level.cpus or take.memory_mib > level.memory_mib:
        return False
    if needs.node_cpus_max and not needs.is_exclusive and take.cpus > needs.node_cpus_max:
        return False
    if needs.is_exclusive and cpus_for(level.kind, needs, tasks) > take.cpus:
        return False
    return sum(take.gres) >= _units_wanted(needs, tasks) and all(map(int.__ge__, level.gres, take.gres))


def _usable_per_unit(kind: Kind, needs: Needs) -> int:
    if not needs.threads_per_core_max or kind.threads_per_core == 1:
        return kind.unit
    cores = kind.unit // kind.threads_per_core
    return cores * min(kind.threads_per_core, needs.threads_per_core_max)


def _memory_for(kind: Kind, needs: Needs, cpus: int, gpus: int) -> int:
    if needs.is_whole_memory:
        return kind.full.memory_mib
    if needs.memory_per_cpu_mib:
        wanted = needs.memory_per_cpu_mib * cpus
        # A whole node's CPUs may outnumber its memory in these portions; it then gives all it has.
        return min(wanted, kind.full.memory_mib) if needs.is_exclusive else wanted
    return needs.memory_per_node_mib or needs.memory_per_gpu_mib * gpus


def _units_wanted(needs: Needs, tasks: int) -> int:
    return sum(item.count for item in needs.gres_per_node) + tasks * sum(item.count for item in needs.gres_per_task)


def _take_gres(level: Level, needs: Needs, tasks: int, share: Share) -> tuple[int, ...]:
    """Return units per resource of the kind, first kinds of unit first; fewer than asked when there are not enough."""
    if not level.gres or not (needs.gres_per_node or needs.gres_per_task or share):
        return (0,) * len(level.gres)
    left = list(level.gres)
    wanted = [(item, item.count) for item in needs.gres_per_node]
    wanted += [(item, item.count * tasks) for item in needs.gres_per_task]
    wanted += list(zip(needs.gres_per_job, share, strict=False))
    # Typed requests choose first: a request for any type must not take the only units of one that was named.
    for item, count in sorted(wanted, key=lambda pair: not pair[0].type):
        for place, (name, kind, _) in enumerate(level.kind.gres):
            if count and name == item.name and item.type in ("", kind):
                taken = min(left[place], count)
                left[place] -= taken
                count -= taken
    return tuple(have - rest for have, rest in zip(level.gres, left, strict=True))


def _free_units(level: Level, item: GresRequest) -> int:
    return sum(
        free
        for (name, kind, _), free in zip(level.kind.gres, level.gres, strict=True)
        if name == item.name and item.type in ("", kind)
    )


def _gpu_count(kind: Kind, gres: tuple[int, ...]) -> int:
    if not gres:
        return 0
    return sum(count for (name, _, _), count in zip(kind.gres, gres, strict=True) if name == "gpu")
