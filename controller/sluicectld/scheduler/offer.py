"""How many tasks of a request a node can hold, and what it then takes: one request against one level.

Pure arithmetic on counts; exact levels are exact.py's.  Which nodes are chosen is place.py's.  Source: CONTRACT section
2.2 and the sbatch manual's words on --mem, --mincpus, --exclusive and --threads-per-core; whole cores as CR_Core grants
them.

Invariant: what compute_take(level, t) takes is free at the level whenever count_tasks(level) >= t.
"""

from sluice.model.request import GresRequest

from .demand import Share, charged_for, cpus_for, gpu_count, memory_for, units_wanted
from .exact import count_exactly, take_exactly
from .levels import Kind, Level, Take
from .needs import Needs


def count_tasks(level: Level, needs: Needs) -> int:
    """Return how many tasks of the request fit at this level, at most all of them; 0: the node is of no use."""
    if needs.is_plain:
        for item in needs.gres_per_node:
            if _free_units(level, item) < item.count:
                return 0
        return _count_plainly(level, needs)
    if level.cpus <= 0 and (needs.sharers_max == 1 or level.free is None):
        return 0
    if needs.is_exclusive and level.job_count:
        return 0
    if needs.is_whole_memory and level.memory_mib < level.kind.full.memory_mib:
        return 0
    most = needs.tasks
    if needs.node_tasks_max:
        most = min(most, needs.node_tasks_max)
    for item in needs.gres_per_task:
        most = min(most, _free_units(level, item) // max(item.count, 1))
    if level.free is None:
        count = _count_by_halving(level, needs, most)
    else:
        if needs.sharers_max == 1 and not needs.is_exclusive:
            # Never more than counts say, which cost less to ask.
            most = _count_by_halving(level, needs, most)
        count = count_exactly(level, needs, most)
    return count if count >= needs.node_tasks_min else 0


def compute_share(level: Level, needs: Needs) -> Share:
    """Return how much of each resource asked for the whole job the node could give."""
    return tuple(min(_free_units(level, item), item.count) for item in needs.gres_per_job)


def compute_take(level: Level, needs: Needs, tasks: int, share: Share = ()) -> Take:
    """Return what the job takes from the node for so many tasks and its share of the job's resources.

    More CPUs than are free: the level does not have all of it together (only with a share).
    """
    if level.free is not None:
        return take_exactly(level, needs, tasks, share) or Take(level.cpus + 1, 0, (0,) * len(level.gres))
    kind = level.kind
    gres = _take_gres(level, needs, tasks, share)
    if needs.is_exclusive:
        cpus = kind.full.cpus
        gres = kind.full.gres
    else:
        cpus = cpus_for(kind, needs, tasks, gpu_count(kind, gres))
    charged = charged_for(kind, needs, cpus, tasks, gpu_count(kind, gres))
    memory_mib = memory_for(kind, needs, charged, gpu_count(kind, gres))
    return Take(cpus, memory_mib, gres, None, needs.is_block, charged)


def _count_plainly(level: Level, needs: Needs) -> int:
    # The inner loop of a pass: whole units are free, so each task counts alike.
    cpus = level.cpus
    memory_mib = needs.memory_per_cpu_mib
    if memory_mib:
        kind = level.kind
        unit_mib = memory_mib * kind.charge_unit
        with_memory = level.memory_mib // unit_mib * kind.charge_unit
        if with_memory < cpus:
            cpus = with_memory
    elif level.memory_mib < needs.memory_per_node_mib:
        return 0
    count = cpus // needs.cpus_per_task
    return count if count < needs.tasks else needs.tasks


def _count_by_halving(level: Level, needs: Needs, most: int) -> int:
    """What a node takes grows with its tasks: the largest number that fits is found by halving."""
    if most <= 0 or _fits(level, needs, most):
        return most
    low, high = 0, most - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(level, needs, middle):
            low = middle
        else:
            high = middle - 1
    return low


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
    kind = level.kind
    gres = _take_gres(level, needs, tasks, ())
    if sum(gres) < sum(count for _, count in units_wanted(needs, tasks, ())):
        return False
    if needs.socket_tasks_max and tasks > needs.socket_tasks_max * len(kind.layout.sockets):
        return False
    cpus = cpus_for(kind, needs, tasks, gpu_count(kind, gres))
    if needs.is_exclusive:
        return cpus <= kind.full.cpus - _kept_for_system(kind, needs) and _has_memory(level, needs, tasks)
    if cpus > level.cpus or (needs.node_cpus_max and cpus > needs.node_cpus_max):
        return False
    charged = charged_for(kind, needs, cpus, tasks, gpu_count(kind, gres))
    return memory_for(kind, needs, charged, gpu_count(kind, gres)) <= level.memory_mib


def _has_memory(level: Level, needs: Needs, tasks: int) -> bool:
    take = compute_take(level, needs, tasks)
    return take.memory_mib <= level.memory_mib and take.cpus <= level.cpus


def _kept_for_system(kind: Kind, needs: Needs) -> int:
    if not needs.core_spec:
        return 0
    return (kind.layout.cpus & kind.layout.system_cpus(needs.core_spec)).bit_count()


def _take_gres(level: Level, needs: Needs, tasks: int, share: Share) -> tuple[int, ...]:
    """Return units per resource of the kind, first kinds of unit first; fewer than asked when there are not enough."""
    if not level.gres or not (needs.gres_per_node or needs.gres_per_task or needs.tasks_per_gpu or share):
        return (0,) * len(level.gres)
    left = list(level.gres)
    # Typed requests choose first: a request for any type must not take the only units of one that was named.
    wanted = units_wanted(needs, tasks, share)
    if len(wanted) > 1:
        wanted.sort(key=lambda pair: not pair[0].type)
    for item, count in wanted:
        for place, (name, kind, _) in enumerate(level.kind.gres):
            if count and name == item.name and item.type in ("", kind):
                taken = min(left[place], count)
                left[place] -= taken
                count -= taken
    return tuple(have - rest for have, rest in zip(level.gres, left, strict=True))


def _free_units(level: Level, item: GresRequest) -> int:
    wanted_name, wanted_type = item.name, item.type
    found = 0
    for (name, kind, _), free in zip(level.kind.gres, level.gres, strict=True):
        if name == wanted_name and (not wanted_type or kind == wanted_type):
            found += free
    return found
