"""Factors of what is asked: the job's size in the cluster, and each TRES in its partition.

Job size is the mean of the nodes' and the CPUs' part of the whole cluster; with PriorityFavorSmall, what is missing to
1.  With SMALL_RELATIVE_TO_TIME it is the nodes' part for each minute of the time limit; a job without limit has 0.
Source: Slurm's documentation of the multifactor plugin; the mean, and the nodes, observed of 22.05.
"""

from sluice.model.priority import Asked, PriorityContext


class JobSizeFactor:
    """Larger jobs have more, or smaller ones."""

    def compute_of_asked(self, asked: Asked, context: PriorityContext) -> float:
        if not context.nodes:
            return 0.0
        nodes = asked.nodes / context.nodes
        if "SMALL_RELATIVE_TO_TIME" in context.setup.flags:
            size = nodes / max(asked.limit_s / 60, 1.0) if asked.limit_s is not None else 0.0
        else:
            size = (nodes + asked.cpus / context.cpus) / 2
        size = min(size, 1.0)
        return 1.0 - size if context.setup.is_small_favored else size


def compute_tres_factors(asked: Asked, context: PriorityContext) -> dict[str, float]:
    """Return the asked part of what the partition has, of each weighted TRES; with NO_NORMAL_TRES the count itself."""
    is_raw = context.setup.is_raw("TRES")
    found = {}
    for name in context.setup.tres_weights:
        count = asked.tres.get(name, 0)
        total = asked.partition_tres.get(name, 0)
        found[name] = float(count) if is_raw else min(count / total, 1.0) if total else 0.0
    return found
