"""scontrol show partition: its record, line by line.

Source: CONTRACT section 8.2; values as Slurm 22.05 prints them.
"""

from __future__ import annotations

from sluice import duration, hostlist, tres
from sluice.errors import SluiceError
from sluice_cli import talk
from sluice_cli.scontrol_session import sentence
from sluice_cli.show_node import NULL, node_tres

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.scontrol_session import Session

    Map = dict[str, Any]

_MINUTE_S = 60


def show_partitions(session: Session, name: str) -> None:
    """Print one partition, all without a name."""
    try:
        reply = session.call("QueryPartitions", {})
        views = {view["node"]["name"]: view for view in session.call("QueryNodes", {}).get("nodes", ())}
    except SluiceError as error:
        session.fail(f"slurm_load_partitions error: {sentence(error)}")
        return
    found = [each for each in reply.get("partitions", ()) if name in ("", each["name"])]
    found.sort(key=lambda each: each.get("index", 0))
    if session.structured:
        from sluice_cli import json_out, json_partition

        objects = [json_partition.partition_object(each, members_of(each, views)) for each in found]
        json_out.put(session.structured, "partitions", objects)
        return
    for partition in found:
        session.put_record(partition_lines(partition, members_of(partition, views)))
    if not found:
        session.exit_status = 1 if name else session.exit_status
        talk.put(f"Partition {name} not found\n" if name else "No partitions in the system\n")


def members_of(partition: Map, views: dict[str, Map]) -> list[Map]:
    return [views[name] for name in partition.get("nodes", ()) if name in views]


def partition_lines(partition: Map, members: list[Map]) -> list[str]:
    """Return a partition's record; members: the views of its nodes."""
    total = node_tres(members)
    over_s = partition.get("over_limit_s")
    return [
        f"PartitionName={partition['name']}",
        f"AllowGroups={_all(partition, 'allow_groups')} {_allowed(partition, 'Accounts', 'accounts')} "
        f"{_allowed(partition, 'Qos', 'qos')}",
        f"AllocNodes={_all(partition, 'allow_submit_nodes')} Default={_yes(partition, 'is_default')} "
        f"QoS={partition.get('qos') or 'N/A'}",
        f"DefaultTime={_limit(partition.get('default_limit_s'), 'NONE')} "
        f"DisableRootJobs={_yes(partition, 'disable_root_jobs')} ExclusiveUser={_yes(partition, 'exclusive_user')} "
        f"GraceTime={partition.get('grace_s', 0)} Hidden={_yes(partition, 'is_hidden')}",
        f"MaxNodes={_or_unlimited(partition, 'max_nodes')} MaxTime={_limit(partition.get('max_limit_s'), 'UNLIMITED')} "
        f"MinNodes={partition.get('min_nodes', 0)} LLN={_yes(partition, 'least_loaded')} "
        f"MaxCPUsPerNode={_or_unlimited(partition, 'max_cpus_per_node')} "
        f"MaxCPUsPerSocket={_or_unlimited(partition, 'max_cpus_per_socket')}",
        f"Nodes={hostlist.fold(partition.get('nodes', ())) or NULL}",
        f"PriorityJobFactor={partition.get('priority_job_factor', 1)} PriorityTier={partition.get('priority_tier', 1)} "
        f"RootOnly={_yes(partition, 'root_only')} ReqResv={_yes(partition, 'requires_reservation')} "
        f"OverSubscribe={partition.get('oversubscribe', 'NO')}",
        f"OverTimeLimit={'NONE' if over_s is None else over_s // _MINUTE_S} "
        f"PreemptMode={partition.get('preempt_mode') or 'OFF'}",
        f"State={partition.get('state', 'UP')} TotalCPUs={total['cpu']} TotalNodes={total['node']} "
        "SelectTypeParameters=NONE",
        "JobDefaults=(null)",
        f"{_memory(partition, 'Def', 'default')} {_memory(partition, 'Max', 'max')}",
        f"TRES={tres.format_by_id(total) if members else NULL}",
        *([f"TRESBillingWeights={partition['billing_weights']}"] if partition.get("billing_weights") else []),
    ]


def _all(partition: Map, key: str) -> str:
    return ",".join(partition.get(key, ())) or "ALL"


def _allowed(partition: Map, word: str, key: str) -> str:
    if partition.get(f"deny_{key}") and not partition.get(f"allow_{key}"):
        return f"Deny{word}={','.join(partition[f'deny_{key}'])}"
    return f"Allow{word}={_all(partition, f'allow_{key}')}"


def _yes(partition: Map, key: str) -> str:
    return "YES" if partition.get(key) else "NO"


def _limit(limit_s: int | None, unset: str) -> str:
    return unset if limit_s is None else duration.format_long(limit_s)


def _or_unlimited(partition: Map, key: str) -> str:
    value = partition.get(key)
    return "UNLIMITED" if value is None else str(value)


def _memory(partition: Map, word: str, key: str) -> str:
    per_cpu = partition.get(f"{key}_memory_per_cpu_mib")
    if per_cpu is not None:
        return f"{word}MemPerCPU={per_cpu}"
    return f"{word}MemPerNode={_or_unlimited(partition, f'{key}_memory_per_node_mib')}"
