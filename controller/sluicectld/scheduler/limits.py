"""Limits that keep a job from starting whatever is free: the partition's state and bounds, and licenses.

The numbers go into the text.  What a request can never get is refused at submission already (feasible.py); what is here
may change while the job waits.  Source: Slurm 22.05, observed after a scheduling pass.
"""

from collections.abc import Mapping

from sluice import duration
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason

from .needs import Needs

#: Starts a job in these partition states.
_STARTING_STATES = ("UP", "DRAIN")


def find_partition_blocker(needs: Needs, limit_s: int | None, partition: Partition) -> Blocker | None:
    """Return what in the partition itself stands against the job."""
    if partition.state not in _STARTING_STATES:
        reason = Reason.PARTITION_INACTIVE if partition.state == "INACTIVE" else Reason.PARTITION_DOWN
        return Blocker(reason=reason, text=f"partition {partition.name} is {partition.state}")
    if partition.max_limit_s is not None and (limit_s is None or limit_s > partition.max_limit_s):
        return Blocker(
            reason=Reason.PARTITION_TIME_LIMIT,
            text=f"time limit {duration.format_long(limit_s)}, partition {partition.name} allows at most "
            f"{duration.format_long(partition.max_limit_s)} (MaxTime)",
        )
    return _find_node_count_blocker(needs, partition)


def find_orphan_blocker(job: Job) -> Blocker:
    """Return that none of the job's partitions exists."""
    text = f"partition {','.join(job.spec.partitions or (job.partition,))} does not exist"
    return Blocker(reason=Reason.PARTITION_INACTIVE, text=text)


def find_license_blocker(needs: Needs, licenses_free: Mapping[str, int]) -> Blocker | None:
    """Return which license is short."""
    for name, count in needs.licenses:
        free = licenses_free.get(name, 0)
        if free < count:
            return Blocker(reason=Reason.LICENSES, text=f"needs {count} of license {name}, {free} free")
    return None


def _find_node_count_blocker(needs: Needs, partition: Partition) -> Blocker | None:
    name = partition.name
    if partition.max_nodes is not None and needs.nodes_min > partition.max_nodes:
        text = f"{needs.nodes_min} nodes, partition {name} allows at most {partition.max_nodes} (MaxNodes)"
    elif needs.nodes_min > len(partition.nodes):
        text = f"{needs.nodes_min} nodes, partition {name} has {len(partition.nodes)}"
    elif 0 < needs.nodes_max < needs.nodes_min:
        text = f"at most {needs.nodes_max} nodes, partition {name} wants at least {needs.nodes_min} (MinNodes)"
    else:
        return None
    return Blocker(reason=Reason.PARTITION_NODE_LIMIT, text=text)
