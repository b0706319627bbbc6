"""How large a job is: nodes, CPUs, tasks, memory, GRES and TRES, of its allocation or, while it waits, of its request.

A request's numbers are what it asks for at least; the partition's and the nodes' share in it is the scheduler's.
"""

from __future__ import annotations

from sluice import gres_spec, hostlist, size, tres

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.job_row import JobRow

    Map = dict[str, Any]


def least_nodes(spec: Map) -> int:
    """Return how many nodes the request needs by its node options alone."""
    return max(int(spec.get("min_nodes", 1)), len(spec.get("required_nodes", ())), 1)


def requested_nodes(spec: Map) -> int:
    """Return how many nodes the request needs, its tasks per node counted in."""
    per_node = spec.get("ntasks_per_node", 0)
    tasks = spec.get("ntasks", 1)
    return max(least_nodes(spec), -(-tasks // per_node) if per_node else 1)


def requested_tasks(spec: Map) -> int:
    nodes = least_nodes(spec)
    tasks: int = spec.get("ntasks", 1)
    per_node = spec.get("ntasks_per_node", 0)
    if per_node and "ntasks" not in spec.get("given", ()):
        tasks = max(tasks, nodes * per_node)
    return max(tasks, nodes)


def requested_cpus(spec: Map) -> int:
    tasks = least_nodes(spec) if spec.get("is_overcommitted") else requested_tasks(spec)
    tasks_cpus = tasks * max(int(spec.get("cpus_per_task", 1)), 1)
    return max(tasks_cpus, least_cpus_per_node(spec) * least_nodes(spec))


def least_cpus_per_node(spec: Map) -> int:
    """Return what MinCPUsNode shows: --mincpus, or the CPUs of the tasks of one node."""
    tasks_cpus = max(int(spec.get("cpus_per_task", 1)), 1) * max(spec.get("ntasks_per_node", 0), 1)
    return int(max(spec.get("min_cpus_per_node", 0), tasks_cpus))


def node_count(row: JobRow) -> int:
    return len(row.grants) or requested_nodes(row.spec)


def cpu_count(row: JobRow) -> int:
    grants = row.grants
    if len(grants) == 1:
        return int(grants[0]["cpu_count"])
    return sum([grant["cpu_count"] for grant in grants]) if grants else requested_cpus(row.spec)


def memory_text(spec: Map) -> str:
    """Return the requested memory as it was asked for, per node, CPU or GPU: 1000M; 0 is all of a node's."""
    for key in ("memory_per_node_mib", "memory_per_cpu_mib", "memory_per_gpu_mib"):
        if spec.get(key) is not None:
            return size.format_mib(spec[key])
    return "0"


def is_memory_per_cpu(spec: Map) -> bool:
    return spec.get("memory_per_node_mib") is None and spec.get("memory_per_cpu_mib") is not None


def requested_memory_mib(spec: Map) -> int:
    """Return the memory of the whole request; 0 when it is whole nodes' and so not known here."""
    if spec.get("memory_per_node_mib") is not None:
        return int(spec["memory_per_node_mib"]) * least_nodes(spec)
    if spec.get("memory_per_cpu_mib") is not None:
        return int(spec["memory_per_cpu_mib"]) * requested_cpus(spec)
    if spec.get("memory_per_gpu_mib") is not None:
        return int(spec["memory_per_gpu_mib"]) * gres_spec.total(requested_gres(spec), "gpu")
    return 0


def gres_of(items: Any) -> gres_spec.GresSpec:
    """Return the maps of GRES requests as (name, type, count)."""
    return tuple([(item["name"], item.get("type", ""), item.get("count", 1)) for item in items or ()])


def requested_gres(spec: Map) -> gres_spec.GresSpec:
    """Return the GRES of the whole request."""
    per_node = gres_of(spec.get("gres_per_node"))
    per_socket = gres_spec.scale(gres_of(spec.get("gres_per_socket")), max(spec.get("sockets_per_node", 0), 1))
    nodes = least_nodes(spec)
    return gres_spec.merge(
        (
            *gres_spec.scale((*per_node, *per_socket), nodes),
            *gres_of(spec.get("gres_per_job")),
            *gres_spec.scale(gres_of(spec.get("gres_per_task")), requested_tasks(spec)),
        )
    )


def granted_gres(grants: list[Map]) -> gres_spec.GresSpec:
    return gres_spec.merge(entry for grant in grants for entry in gres_of(grant.get("gres")))


def requested_tres(spec: Map) -> tres.Tres:
    """Return the TRES that the request is counted with; billing counts the CPUs."""
    return _tres(requested_cpus(spec), requested_memory_mib(spec), least_nodes(spec), requested_gres(spec))


def granted_tres(grants: list[Map]) -> tres.Tres:
    """Return the TRES of an allocation."""
    cpus = sum([grant["cpu_count"] for grant in grants])
    memory = sum([grant.get("memory_mib", 0) for grant in grants])
    return _tres(cpus, memory, len(grants), granted_gres(grants))


def tres_of(row: JobRow) -> tres.Tres:
    grants = row.grants
    return granted_tres(grants) if grants else requested_tres(row.spec)


def gres_text(spec: Map, key: str, unset: str) -> str:
    """Return one GRES request as listings show it: gres:gpu:2."""
    return gres_spec.format_spec(gres_of(spec.get(key)), "gres:") or unset


def node_list(names: Any) -> str:
    return hostlist.fold(names) if names else ""


def _tres(cpus: int, memory_mib: int, nodes: int, gres: gres_spec.GresSpec) -> tres.Tres:
    counts = {"cpu": cpus, "mem": memory_mib, "node": nodes, "billing": cpus}
    if not memory_mib:
        del counts["mem"]
    return counts | gres_spec.to_tres(gres)
