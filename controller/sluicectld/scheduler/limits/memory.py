"""The most memory per CPU and per node that a partition, or else the cluster, gives.

A request for more memory per CPU gets more CPUs; one for so much of a node gets at least the CPUs that stand for it.
Of a node no more than its most is given: fewer tasks go there, and a task that is larger waits (MaxMemPerLimit).
Source: the slurm.conf manual on MaxMemPerCPU and MaxMemPerNode.

Invariant: what comes out asks for no less memory in all than what went in.
"""

import msgspec


class MemoryShare(msgspec.Struct, frozen=True):
    """What a request asks for on a node; of the three kinds of memory at most one is set."""

    cpus_per_task: int
    per_node_mib: int = 0
    per_cpu_mib: int = 0
    per_gpu_mib: int = 0
    node_cpus_min: int = 0
    #: 0: no cap.
    node_tasks_max: int = 0


def bound_memory(asked: MemoryShare, per_cpu_max_mib: int, per_node_max_mib: int) -> MemoryShare:
    """Return the request within the bounds, 0 for none, as far as more CPUs or fewer tasks on a node can do it."""
    cpus, per_cpu_mib = asked.cpus_per_task, asked.per_cpu_mib
    node_cpus_min, tasks_max = asked.node_cpus_min, asked.node_tasks_max
    if per_cpu_max_mib and per_cpu_mib > per_cpu_max_mib:
        factor = -(-per_cpu_mib // per_cpu_max_mib)
        cpus, per_cpu_mib = cpus * factor, -(-per_cpu_mib // factor)
    if per_cpu_max_mib and asked.per_node_mib:
        node_cpus_min = max(node_cpus_min, -(-asked.per_node_mib // per_cpu_max_mib))
    if per_node_max_mib and per_cpu_mib:
        fitting = per_node_max_mib // (per_cpu_mib * cpus)
        tasks_max = min(tasks_max or fitting, fitting)
    return MemoryShare(cpus, asked.per_node_mib, per_cpu_mib, asked.per_gpu_mib, node_cpus_min, tasks_max)
