"""What so many tasks of a request need on a node of a kind: CPUs in whole units, memory, units of resources.

Whether it is there is offer.py's and exact.py's.
"""

from sluice.model.request import GresRequest

from .levels import Kind
from .needs import Needs

#: Units of the resources asked for the whole job that one node gives, in the order of Needs.gres_per_job.
Share = tuple[int, ...]


def cpus_for(kind: Kind, needs: Needs, tasks: int, gpus: int = 0) -> int:
    """Return the CPUs that so many tasks take: whole units, and never fewer than the node's minimum."""
    units = units_for(kind, needs, tasks)
    if needs.cpus_per_gpu and gpus:
        units = max(units, -(-needs.cpus_per_gpu * gpus // _usable_per_unit(kind, needs)))
    return max(units * kind.unit, -(-needs.node_cpus_min // kind.unit) * kind.unit)


def charged_for(kind: Kind, needs: Needs, cpus: int, tasks: int, gpus: int) -> int:
    """Return how many of the CPUs that so many tasks take count for the job."""
    if kind.charge_unit == kind.unit or needs.is_exclusive or needs.is_whole_shared:
        return cpus
    wanted = 1 if needs.is_overcommitted else tasks * needs.cpus_per_task
    return min(cpus, max(wanted, needs.cpus_per_gpu * gpus, needs.node_cpus_min))


def units_for(kind: Kind, needs: Needs, tasks: int) -> int:
    """Return the units of CPUs that the tasks themselves take."""
    wanted = 1 if needs.is_overcommitted else tasks * needs.cpus_per_task
    units = -(-wanted // _usable_per_unit(kind, needs))
    if needs.tasks_per_core_max and not needs.is_overcommitted:
        cores = -(-tasks // needs.tasks_per_core_max)
        units = max(units, -(-cores * kind.threads_per_core // kind.unit))
    return units


def memory_for(kind: Kind, needs: Needs, cpus: int, gpus: int) -> int:
    """Return the MiB that go with so many CPUs and GPUs."""
    if needs.is_whole_memory:
        return kind.full.memory_mib
    if needs.memory_per_cpu_mib:
        return needs.memory_per_cpu_mib * cpus
    return needs.memory_per_node_mib or needs.memory_per_gpu_mib * gpus


def units_wanted(needs: Needs, tasks: int, share: Share) -> list[tuple[GresRequest, int]]:
    """Return how many units of each resource: those of the node first, then of its tasks, then its share."""
    wanted = [(item, item.count) for item in needs.gres_per_node]
    wanted += [(item, item.count * tasks) for item in needs.gres_per_task]
    if needs.tasks_per_gpu:
        wanted.append((GresRequest(name="gpu"), -(-tasks // needs.tasks_per_gpu)))
    if share:
        wanted += list(zip(needs.gres_per_job, share, strict=True))
    return wanted


def gpu_count(kind: Kind, gres: tuple[int, ...]) -> int:
    """Return how many of the units are GPUs."""
    if not gres:
        return 0
    return sum(count for (name, _, _), count in zip(kind.gres, gres, strict=True) if name == "gpu")


def _usable_per_unit(kind: Kind, needs: Needs) -> int:
    if not needs.threads_per_core_max or kind.threads_per_core == 1:
        return kind.unit
    cores = kind.unit // kind.threads_per_core
    return cores * min(kind.threads_per_core, needs.threads_per_core_max)
