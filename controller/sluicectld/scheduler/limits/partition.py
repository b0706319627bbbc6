"""What in a partition itself stands against a job: its state, its bounds, and who may use it.

The numbers go into the text.  What a request can never get is refused at submission already (feasible.py); what is here
may change while the job waits.  Source: Slurm 22.05, observed after a scheduling pass.
"""

from collections.abc import Set

from msgspec.structs import replace

from sluice import duration
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.qos import QosFlag
from sluice.model.reason import Blocker, Reason
from sluicectld.scheduler.needs import Needs

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
    return _find_memory_blocker(needs, partition) or _find_node_count_blocker(needs, partition)


def find_orphan_blocker(job: Job) -> Blocker:
    """Return that none of the job's partitions exists."""
    text = f"partition {','.join(job.spec.partitions or (job.partition,))} does not exist"
    return Blocker(reason=Reason.PARTITION_INACTIVE, text=text)


def find_list_blocker(partition: Partition, account: str, qos: str) -> Blocker | None:
    """Return that the partition's lists leave the job's account or QOS out.  Allow lists go before deny lists."""
    name = partition.name
    if partition.allow_accounts and account not in partition.allow_accounts:
        text = f"partition {name} is for the accounts {','.join(partition.allow_accounts)}, not {account or 'none'}"
        return Blocker(reason=Reason.ACCOUNT_NOT_ALLOWED, text=f"{text} (AllowAccounts)")
    if not partition.allow_accounts and account and account in partition.deny_accounts:
        return Blocker(
            reason=Reason.ACCOUNT_NOT_ALLOWED, text=f"partition {name} is closed to account {account} (DenyAccounts)"
        )
    if partition.allow_qos and qos not in partition.allow_qos:
        text = f"partition {name} is for the QOS {','.join(partition.allow_qos)}, not {qos or 'none'} (AllowQos)"
        return Blocker(reason=Reason.QOS_NOT_ALLOWED, text=text)
    if not partition.allow_qos and qos and qos in partition.deny_qos:
        return Blocker(reason=Reason.QOS_NOT_ALLOWED, text=f"partition {name} is closed to QOS {qos} (DenyQos)")
    return None


def relax_partition(partition: Partition, flags: Set[QosFlag]) -> Partition:
    """Return the partition without the bounds that a QOS with these flags overrides; itself if there are none."""
    changes: dict[str, int | None] = {}
    if QosFlag.PARTITION_MAX_NODES in flags and partition.max_nodes is not None:
        changes["max_nodes"] = None
    if QosFlag.PARTITION_MIN_NODES in flags and partition.min_nodes:
        changes["min_nodes"] = 0
    if QosFlag.PARTITION_TIME_LIMIT in flags and partition.max_limit_s is not None:
        changes["max_limit_s"] = None
    return replace(partition, **changes) if changes else partition


def _find_memory_blocker(needs: Needs, partition: Partition) -> Blocker | None:
    wanted, most = find_memory_excess(needs)
    if not wanted:
        return None
    text = f"{wanted} MiB on one node, partition {partition.name} allows at most {most} MiB (MaxMemPerNode)"
    return Blocker(reason=Reason.MAX_MEM_PER_LIMIT, text=text)


def find_memory_excess(needs: Needs) -> tuple[int, int]:
    """Return (memory wanted of one node, the most that is given) in MiB; zeros if that is enough."""
    wanted = max(needs.memory_per_node_mib, needs.memory_per_cpu_mib * needs.cpus_per_task)
    return (wanted, needs.memory_max_mib) if 0 < needs.memory_max_mib < wanted else (0, 0)


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
