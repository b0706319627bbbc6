"""A node of scontrol show node --json and sinfo --json, and a line of sinfo."""

from __future__ import annotations

from sluice_cli import fields_node, node_state
from sluice_cli.json_out import number, time_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.fields_node import NodeGroup

    Map = dict[str, Any]


def node_object(view: Map) -> Map:
    """Return one node with all its keys."""
    node = view["node"]
    inventory = node.get("inventory") or {}
    cpus, allocated = node.get("cpus", 1), view.get("allocated_cpus", 0)
    gres = fields_node.gres_text(node)
    return {
        "name": node["name"],
        "hostname": node.get("hostname") or node["name"],
        "address": node.get("address") or node["name"],
        "port": node.get("port", 6818),
        "architecture": inventory.get("arch", ""),
        "operating_system": inventory.get("os", ""),
        "version": fields_node.version_of(node),
        "state": states(view),
        "reason": node.get("reason", ""),
        "reason_set_by_user": view.get("reason_user", ""),
        "reason_changed_at": time_point(node.get("reason_at") or None),
        "partitions": list(view.get("partitions", ())),
        "features": list(node.get("features", ())),
        "active_features": list(node.get("features", ())),
        "gres": "" if gres == fields_node.NULL else gres,
        "gres_used": view.get("gres_used", ""),
        "boards": node.get("boards", 1),
        "sockets": node.get("sockets", 1),
        "cores": node.get("cores_per_socket", 1),
        "threads": node.get("threads_per_core", 1),
        "cpus": cpus,
        "alloc_cpus": allocated,
        "alloc_idle_cpus": cpus - allocated,
        "cpu_load": None if view.get("cpu_load") is None else round(view["cpu_load"] * 100),
        "real_memory": node.get("memory_mib", 1),
        "alloc_memory": view.get("allocated_memory_mib", 0),
        "free_mem": number(view.get("free_memory_mib")),
        "temporary_disk": node.get("tmp_disk_mib", 0),
        "weight": node.get("weight", 1),
        "boot_time": time_point(inventory.get("booted_at") or None),
        "slurmd_start_time": time_point(inventory.get("agent_started_at") or None),
        "last_busy": time_point(node.get("idle_since_at") or None),
        "unenforced": inventory.get("unenforced", ""),
        "comment": node.get("comment", ""),
        "extra": node.get("extra", ""),
    }


def states(view: Map) -> list[str]:
    """Return the base state and the flags, in upper case."""
    return node_state.joined(view).replace("*", "+NOT_RESPONDING").split("+")


def group_object(row: NodeGroup) -> Map:
    """Return one line of sinfo with all its keys."""
    nodes, cpus = fields_node.count_nodes(row), fields_node.count_cpus(row)
    partition = row.partition
    limit_s, default_s = partition.get("max_limit_s"), partition.get("default_limit_s")
    return {
        "partition": {
            "name": partition["name"],
            "is_default": bool(partition.get("is_default")),
            "state": [partition.get("state", "UP")],
            "max_time": number(None if limit_s is None else limit_s // 60, limit_s is None),
            "default_time": number(None if default_s is None else default_s // 60),
            "priority_tier": partition.get("priority_tier", 1),
        },
        "node": {"state": states(row.views[0]) if row.views else []},
        "nodes": {**nodes, "total": len(row.views), "nodes": fields_node.names(row)},
        "cpus": {**cpus, "total": sum(cpus.values()), **_range(row, "cpus", 1)},
        "memory": {
            **_range(row, "memory_mib", 1),
            "allocated": sum(view.get("allocated_memory_mib", 0) for view in row.views),
        },
        "sockets": _range(row, "sockets", 1),
        "cores": _range(row, "cores_per_socket", 1),
        "threads": _range(row, "threads_per_core", 1),
        "disk": _range(row, "tmp_disk_mib", 0),
        "weight": _range(row, "weight", 1),
        "features": ",".join(row.views[0]["node"].get("features", ())) if row.views else "",
        "gres": fields_node.gres_text(row.views[0]["node"]) if row.views else "",
        "reason": row.views[0]["node"].get("reason", "") if row.views else "",
    }


def _range(row: NodeGroup, key: str, default: int) -> Map:
    values = [view["node"].get(key, default) for view in row.views]
    return {"minimum": min(values, default=0), "maximum": max(values, default=0)}
