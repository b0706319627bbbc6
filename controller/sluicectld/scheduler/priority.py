"""A job's priority as a number: larger goes first.

Without weights it is arrival order, as priority/basic.  With weights it is the sum of weight times factor (age, job
size, partition, each between 0 and 1), less the nice value.  A priority that was set by hand stays as it is.
Source: Slurm's documentation of the multifactor plugin; 4294901759 for the first job observed of 22.05.
"""

from sluice.model.job import Job
from sluice.model.partition import Partition

from .snapshot import Policy

#: The first job's priority is one below; each later one has one less.
ARRIVAL_TOP = 4294901760
#: A priority of 0 means held, so a job that may run has at least this.
_LEAST = 1


def compute_priority(job: Job, partition: Partition, now_at: float, policy: Policy, total_nodes: int = 0) -> int:
    """Return the priority of a job that is not held.

    total_nodes: of the cluster, for the size factor; 0 leaves that factor out.
    """
    spec = job.spec
    if spec.priority is not None:
        return spec.priority
    if not any(policy.priority_weights.values()):
        return max(ARRIVAL_TOP - (job.array_job_id or job.id) - spec.nice, _LEAST)
    factors = compute_factors(job, partition, now_at, policy, total_nodes)
    weighted = sum(policy.priority_weights.get(name, 0) * factor for name, factor in factors.items())
    return max(int(weighted) - spec.nice, _LEAST)


def compute_factors(
    job: Job, partition: Partition, now_at: float, policy: Policy, total_nodes: int = 0
) -> dict[str, float]:
    """Return the factors by the name of their weight, each in [0, 1]."""
    waited_s = 0.0 if job.eligible_at is None else max(now_at - job.eligible_at, 0.0)
    return {
        "age": min(waited_s / policy.max_age_s, 1.0) if policy.max_age_s > 0 else 0.0,
        "jobsize": min(job.spec.min_nodes / total_nodes, 1.0) if total_nodes else 0.0,
        "partition": min(partition.priority_job_factor / max(policy.partition_factor_max, 1), 1.0),
    }
