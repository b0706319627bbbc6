"""A partition of scontrol show partition --json."""

from __future__ import annotations

from sluice import hostlist, tres
from sluice_cli.json_out import number
from sluice_cli.show_node import node_tres

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Map = dict[str, Any]


def partition_object(partition: Map, members: list[Map]) -> Map:
    """Return one partition with all its keys; members: the views of its nodes."""
    total = node_tres(members)
    most, default = partition.get("max_limit_s"), partition.get("default_limit_s")
    max_nodes = partition.get("max_nodes")
    return {
        "name": partition["name"],
        "is_default": bool(partition.get("is_default")),
        "partition": {"state": [partition.get("state", "UP")]},
        "nodes": {
            "configured": hostlist.fold(partition.get("nodes", ())),
            "total": total["node"],
            "allowed_allocation": ",".join(partition.get("allow_submit_nodes", ())),
        },
        "cpus": {"total": total["cpu"]},
        "tres": {"configured": tres.format_by_id(total), "billing_weights": partition.get("billing_weights", "")},
        "maximums": {
            "nodes": number(max_nodes, max_nodes is None),
            "time": number(None if most is None else most // 60, most is None),
            "cpus_per_node": number(partition.get("max_cpus_per_node")),
            "memory_per_cpu": number(partition.get("max_memory_per_cpu_mib")),
            "memory_per_node": number(partition.get("max_memory_per_node_mib")),
        },
        "minimums": {"nodes": partition.get("min_nodes", 0)},
        "defaults": {
            "time": number(None if default is None else default // 60),
            "memory_per_cpu": number(partition.get("default_memory_per_cpu_mib")),
            "memory_per_node": number(partition.get("default_memory_per_node_mib")),
        },
        "accounts": {
            "allowed": ",".join(partition.get("allow_accounts", ())),
            "deny": ",".join(partition.get("deny_accounts", ())),
        },
        "qos": {
            "allowed": ",".join(partition.get("allow_qos", ())),
            "deny": ",".join(partition.get("deny_qos", ())),
            "assigned": partition.get("qos", ""),
        },
        "groups": {"allowed": ",".join(partition.get("allow_groups", ()))},
        "priority": {
            "job_factor": partition.get("priority_job_factor", 1),
            "tier": partition.get("priority_tier", 1),
        },
        "oversubscribe": partition.get("oversubscribe", "NO"),
        "is_hidden": bool(partition.get("is_hidden")),
        "root_only": bool(partition.get("root_only")),
        "exclusive_user": bool(partition.get("exclusive_user")),
    }
