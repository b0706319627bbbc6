"""What a job is numbered by: its standing (who asks, where it waits) and what it asks for.

Jobs with equal ones get the same records, and a job gets those of the pass before, from the policy's memo.
"""

import operator
from collections.abc import Sequence

from sluice import gres_spec, tres
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.priority import Asked, Candidates, Standing
from sluice.model.request import GresRequest, JobSpec

from .memo import Known
from .needs import Needs, compute_needs
from .snapshot import Policy

#: A job in one of its partitions.
Entry = tuple[Job, Partition]

#: Everything of a spec that decides how much is asked.
_size_of = operator.attrgetter(
    "min_nodes",
    "max_nodes",
    "ntasks",
    "cpus_per_task",
    "ntasks_per_node",
    "min_cpus_per_node",
    "memory_per_node_mib",
    "memory_per_cpu_mib",
    "memory_per_gpu_mib",
    "gres_per_node",
    "gres_per_job",
    "gres_per_task",
    "gres_per_socket",
    "sockets_per_node",
    "cpus_per_gpu",
    "required_nodes",
    "licenses",
    "is_overcommitted",
    "given",
)


def compute_candidates(entries: Sequence[Entry], policy: Policy) -> Candidates:
    """Return what the entries are numbered by, in their order."""
    policy.memo.prepare(_basis_of(policy))
    known_by_spec = policy.memo.by_spec
    jobs: list[Job] = []
    standings: list[Standing] = []
    asked: list[Asked] = []
    for job, partition in entries:
        spec = job.spec
        known = known_by_spec.get(id(spec))
        if known is None or known[0] is not spec or known[1] is not partition or known[2] != job.limit_s:
            known = _look_up(spec, partition, job.limit_s, policy)
        jobs.append(job)
        standings.append(known[3])
        asked.append(known[4])
    return Candidates(jobs=jobs, standings=standings, asked=asked)


def _basis_of(policy: Policy) -> tuple[object, ...]:
    """Return everything of the policy that compute_needs() and the counts depend on."""
    return (
        policy.has_memory,
        policy.select_unit,
        policy.default_memory_per_cpu_mib,
        policy.default_memory_per_node_mib,
        policy.default_cpus_per_gpu,
        policy.totals,
    )


def _look_up(spec: JobSpec, partition: Partition, limit_s: int | None, policy: Policy) -> Known:
    """Return what is known of a job in a partition that is not its first, or find it out."""
    by_spec = policy.memo.by_spec
    key: int | tuple[int, str] = id(spec)
    first = by_spec.get(key)
    if first is not None and first[0] is spec and first[1].name != partition.name:
        key = (id(spec), partition.name)
        known = by_spec.get(key)
        if known is not None and known[0] is spec and known[1] is partition and known[2] == limit_s:
            return known
    standing = _find_standing(spec, partition, policy)
    by_spec[key] = known = (spec, partition, limit_s, standing, _find_asked(spec, partition, limit_s, policy))
    return known


def _find_standing(spec: JobSpec, partition: Partition, policy: Policy) -> Standing:
    standing = Standing(
        account=spec.account,
        user=spec.user,
        qos=spec.qos,
        partition=partition.name,
        partition_factor=partition.priority_job_factor,
    )
    return policy.memo.standings.setdefault(standing, standing)


def _find_asked(spec: JobSpec, partition: Partition, limit_s: int | None, policy: Policy) -> Asked:
    key = (partition.name, limit_s, _size_of(spec))
    found = policy.memo.asked.get(key)
    if found is None or found[0] is not partition:
        found = policy.memo.asked[key] = (partition, _compute_asked(spec, partition, limit_s, policy))
    return found[1]


def _compute_asked(spec: JobSpec, partition: Partition, limit_s: int | None, policy: Policy) -> Asked:
    needs = compute_needs(spec, partition, policy)
    available = policy.totals.of_partition(partition)
    counts = _count_tres(needs, available)
    return Asked(limit_s=limit_s, nodes=needs.nodes_min, cpus=counts["cpu"], tres=counts, partition_tres=available)


def _count_tres(needs: Needs, available: tres.Tres) -> tres.Tres:
    nodes = needs.nodes_min
    cpus = nodes if needs.is_overcommitted else needs.tasks * needs.cpus_per_task
    cpus = max(cpus, nodes * needs.node_cpus_min)
    per_node = gres_spec.scale(_gres(needs.gres_per_node), nodes)
    per_task = gres_spec.scale(_gres(needs.gres_per_task), needs.tasks)
    gres = gres_spec.to_tres((*per_node, *_gres(needs.gres_per_job), *per_task))
    if needs.is_whole_memory:
        # The whole memory of its nodes, which are not chosen yet: as much as a node of the partition has on average.
        memory_mib = nodes * available.get("mem", 0) // max(available.get("node", 0), 1)
    else:
        memory_mib = (
            needs.memory_per_node_mib * nodes
            + needs.memory_per_cpu_mib * cpus
            + needs.memory_per_gpu_mib * gres.get("gres/gpu", 0)
        )
    licenses = {f"license/{name.lower()}": count for name, count in needs.licenses}
    return {"cpu": cpus, "mem": memory_mib, "node": nodes, "billing": cpus} | gres | licenses


def _gres(requests: tuple[GresRequest, ...]) -> gres_spec.GresSpec:
    return tuple((item.name.lower(), item.type.lower(), item.count) for item in requests)
