"""The fields of sinfo.  A row is a NodeGroup: nodes of a partition that are equal in what is shown.

A field's kind says how nodes are grouped by it: PARTITION and NODE fields must be equal within a row, MERGED ones
only with --exact (otherwise 4 and 8 CPUs are "4+"), the others are computed over the group.
Source: CONTRACT section 7; headers and unset values as Slurm 22.05 prints them.
"""

# ruff: noqa: E501

from __future__ import annotations

from sluice import SLURM_VERSION, duration, gres_spec, hostlist
from sluice_cli import node_state
from sluice_cli.fields import Field, FieldTable, constant
from sluice_cli.job_size import gres_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.fields import Getter, SortKey
    from sluice_cli.job_row import Context

    Map = dict[str, Any]

PARTITION = "partition"
NODE = "node"
MERGED = "merged"
NULL = "(null)"
EMPTY = "n/a"
UNLIMITED = "UNLIMITED"


class NodeGroup:
    """Nodes of one partition; none of a partition of which no node is shown."""

    __slots__ = ("context", "partition", "views")

    def __init__(self, partition: Map, views: list[Map], context: Context) -> None:
        self.partition = partition
        self.views = views
        self.context = context


def gres_text(node: Map) -> str:
    """Return the configured GRES of a node: gpu:a100:2."""
    return gres_spec.format_spec(gres_of(node.get("gres"))) or NULL


def version_of(node: Map) -> str:
    inventory = node.get("inventory")
    return (inventory.get("version") if inventory else "") or SLURM_VERSION


def _of_node(read: Getter) -> Getter:
    """Return the getter of what the nodes of a group have in common."""
    return lambda row: read(row.views[0]) if row.views else EMPTY


def _node(key: str, unset: str = NULL) -> Getter:
    return _of_node(lambda view: str(view["node"].get(key) or unset))


def _words(key: str) -> Getter:
    return _of_node(lambda view: ",".join(view["node"].get(key, ())) or NULL)


def _merged(key: str, default: int) -> Getter:
    """Return the getter of a number: the least, with + when others have more."""

    def get(row: NodeGroup) -> str:
        return _with_plus([view["node"].get(key, default) for view in row.views])

    return get


def _with_plus(numbers: list[int]) -> str:
    if not numbers:
        return "0"
    return f"{min(numbers)}+" if min(numbers) != max(numbers) else str(numbers[0])


def _span(values: list[float], form: str) -> str:
    """Return the value of all, or least-most."""
    if not values:
        return "N/A"
    least, most = format(min(values), form), format(max(values), form)
    return least if least == most else f"{least}-{most}"


def _load(row: NodeGroup) -> str:
    return _span([view["cpu_load"] for view in row.views if view.get("cpu_load") is not None], ".2f")


def _free_memory(row: NodeGroup) -> str:
    return _span([view["free_memory_mib"] for view in row.views if view.get("free_memory_mib") is not None], "d")


def _geometry(row: NodeGroup) -> str:
    keys = ("sockets", "cores_per_socket", "threads_per_core")
    return ":".join(_with_plus([view["node"].get(key, 1) for view in row.views]) for key in keys)


def count_nodes(row: NodeGroup) -> dict[str, int]:
    """Return how many nodes are allocated, idle and neither."""
    counts = {"allocated": 0, "idle": 0, "other": 0}
    for view in row.views:
        counts[node_state.share(view)] += 1
    return counts


def count_cpus(row: NodeGroup) -> dict[str, int]:
    """Return how many CPUs are allocated, idle and neither."""
    counts = {"allocated": 0, "idle": 0, "other": 0}
    for view in row.views:
        allocated = view.get("allocated_cpus", 0)
        counts["allocated"] += allocated
        counts["other" if node_state.is_out_of_service(view) else "idle"] += view["node"].get("cpus", 1) - allocated
    return counts


def _shares(counts: dict[str, int]) -> str:
    return f"{counts['allocated']}/{counts['idle']}/{counts['other']}/{sum(counts.values())}"


def _allocated_idle(row: NodeGroup) -> str:
    counts = count_nodes(row)
    return f"{counts['allocated']}/{counts['idle']}"


def names(row: NodeGroup) -> list[str]:
    return [view["node"]["name"] for view in row.views]


def _names_key(row: NodeGroup) -> tuple[Any, ...]:
    return tuple(hostlist.natural_key(name) for name in names(row))


def _state_key(row: NodeGroup) -> int:
    return node_state.sort_number(row.views[0]) if row.views else -1


def _reason_user(view: Map, is_long: bool = False) -> str:
    if not view["node"].get("reason"):
        return "Unknown"
    name = view.get("reason_user", "")
    uid = view["node"].get("reason_uid", 0)
    return f"{name or uid}({uid})" if is_long else str(name or uid)


def _reason_time(row: NodeGroup) -> str:
    if not row.views:
        return EMPTY
    return row.context.clock(row.views[0]["node"].get("reason_at") or None, "Unknown")


def _partition(key: str, default: str) -> Getter:
    return lambda row: str(row.partition.get(key) or default)


def _yes(key: str) -> Getter:
    return lambda row: "yes" if row.partition.get(key) else "no"


def _number(key: str, default: int) -> SortKey:
    return lambda row: row.partition.get(key, default)


def _starred_name(row: NodeGroup) -> str:
    return row.partition["name"] + "*" if row.partition.get("is_default") else str(row.partition["name"])


def _limit(row: NodeGroup) -> str:
    limit_s = row.partition.get("max_limit_s")
    return "infinite" if limit_s is None else duration.format_short(limit_s)


def _default_limit(row: NodeGroup) -> str:
    limit_s = row.partition.get("default_limit_s")
    return EMPTY if limit_s is None else duration.format_short(limit_s)


def _job_size(row: NodeGroup) -> str:
    least = max(row.partition.get("min_nodes", 0), 1)
    most = row.partition.get("max_nodes")
    if most is None:
        return f"{least}-infinite"
    return str(least) if most == least else f"{least}-{most}"


def _availability(row: NodeGroup) -> str:
    return str({"INACTIVE": "inact"}.get(row.partition.get("state", "UP"), row.partition.get("state", "UP").lower()))


def _list_or_all(key: str) -> Getter:
    return lambda row: ",".join(row.partition.get(key, ())) or "all"


# One row is one line, however long: the table is read by its columns.
# fmt: off

_PARTITION_FIELDS = (
    Field("Partition", "P", "PARTITION", _starred_name, lambda row: row.partition["name"], PARTITION),
    Field("PartitionName", "R", "PARTITION", lambda row: row.partition["name"], None, PARTITION),
    Field("Available", "a", "AVAIL", _availability, None, PARTITION),
    Field("Time", "l", "TIMELIMIT", _limit, _number("max_limit_s", 0), PARTITION),
    Field("DefaultTime", "L", "DEFAULTTIME", _default_limit, None, PARTITION),
    Field("Size", "s", "JOB_SIZE", _job_size, None, PARTITION),
    Field("Root", "r", "ROOT", _yes("root_only"), None, PARTITION),
    Field("OverSubscribe Share", "h", "OVERSUBSCRIBE", _partition("oversubscribe", "NO"), None, PARTITION),
    Field("Groups", "g", "GROUPS", _list_or_all("allow_groups"), None, PARTITION),
    Field("AllocNodes", "S", "ALLOCNODES", _list_or_all("allow_submit_nodes"), None, PARTITION),
    Field("PreemptMode", "M", "PREEMPT_MODE", _partition("preempt_mode", "OFF"), None, PARTITION),
    Field("PriorityTier", "p", "PRIO_TIER", lambda row: str(row.partition.get("priority_tier", 1)), _number("priority_tier", 1), PARTITION),
    Field("PriorityJobFactor Priority", "I", "PRIO_JOB_FACTOR", lambda row: str(row.partition.get("priority_job_factor", 1)), _number("priority_job_factor", 1), PARTITION),
    Field("MaxCPUsPerNode", "B", "MAX_CPUS_PER_NODE", _partition("max_cpus_per_node", UNLIMITED), None, PARTITION),
)

_NODE_FIELDS = (
    Field("StateCompact", "t", "STATE", _of_node(lambda view: node_state.words(view)[0]), _state_key, NODE),
    Field("StateLong", "T", "STATE", _of_node(lambda view: node_state.words(view)[1]), _state_key, NODE),
    Field("StateComplete", "", "STATECOMPLETE", _of_node(lambda view: node_state.joined(view).lower()), _state_key, NODE),
    Field("NodeHost", "n", "HOSTNAMES", _of_node(lambda view: view["node"].get("hostname") or view["node"]["name"]), None, NODE),
    Field("NodeAddr", "o", "NODE_ADDR", _of_node(lambda view: view["node"].get("address") or view["node"]["name"]), None, NODE),
    Field("Port", "", "PORT", _node("port", "6818"), None, NODE),
    Field("Features", "f", "AVAIL_FEATURES", _words("features"), None, NODE),
    Field("features_act ActiveFeatures", "b", "ACTIVE_FEATURES", _words("features"), None, NODE),
    Field("Gres", "G", "GRES", _of_node(lambda view: gres_text(view["node"])), None, NODE),
    Field("GresUsed", "", "GRES_USED", _of_node(lambda view: view.get("gres_used") or NULL), None, NODE),
    Field("Reason", "E", "REASON", _node("reason", "none"), None, NODE),
    Field("User", "u", "USER", _of_node(_reason_user), None, NODE),
    Field("UserLong", "U", "USER", _of_node(lambda view: _reason_user(view, True)), None, NODE),
    Field("TimeStamp", "H", "TIMESTAMP", _reason_time, lambda row: row.views[0]["node"].get("reason_at", 0.0) if row.views else 0.0, NODE),
    Field("Version", "v", "VERSION", _of_node(lambda view: version_of(view["node"])), None, NODE),
    Field("Comment", "", "COMMENT", _node("comment"), None, NODE),
    Field("Extra", "", "EXTRA", _node("extra"), None, NODE),
    Field("AllocMem", "", "ALLOCMEM", _of_node(lambda view: str(view.get("allocated_memory_mib", 0))), None, NODE),
    Field("Reservation", "i", "RESERVATION", _of_node(lambda view: view.get("reservation", "")), None, NODE),
    Field("Cluster", "V", "CLUSTER", constant("N/A")),
)

_GROUP_FIELDS = (
    Field("NodeList", "N", "NODELIST", lambda row: hostlist.fold(names(row)), _names_key),
    Field("Nodes", "D", "NODES", lambda row: str(len(row.views)), lambda row: len(row.views)),
    Field("NodeAI", "A", "NODES(A/I)", _allocated_idle),
    Field("NodeAIOT", "F", "NODES(A/I/O/T)", lambda row: _shares(count_nodes(row))),
    Field("CPUsState", "C", "CPUS(A/I/O/T)", lambda row: _shares(count_cpus(row))),
    Field("CPUsLoad", "O", "CPU_LOAD", _load, None),
    Field("FreeMem", "e", "FREE_MEM", _free_memory, None),
    Field("CPUs", "c", "CPUS", _merged("cpus", 1), None, MERGED),
    Field("Memory", "m", "MEMORY", _merged("memory_mib", 1), None, MERGED),
    Field("Disk", "d", "TMP_DISK", _merged("tmp_disk_mib", 0), None, MERGED),
    Field("Weight", "w", "WEIGHT", _merged("weight", 1), None, MERGED),
    Field("Sockets", "X", "SOCKETS", _merged("sockets", 1), None, MERGED),
    Field("Cores", "Y", "CORES", _merged("cores_per_socket", 1), None, MERGED),
    Field("Threads", "Z", "THREADS", _merged("threads_per_core", 1), None, MERGED),
    Field("SocketCoreThread", "z", "S:C:T", _geometry, None, MERGED),
)

# fmt: on

TABLE = FieldTable((*_PARTITION_FIELDS, *_NODE_FIELDS, *_GROUP_FIELDS))

# As wide as the longest name: see widened().
DEFAULT_FORMAT = "%#P %.5a %.10l %.6D %.6t %N"
LONG_FORMAT = "%#P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %.11i %N"
SUMMARY_FORMAT = "%#P %.5a %.10l %.16F %N"
NODE_FORMAT = "%#N %.6D %.#P %6t"
LONG_NODE_FORMAT = "%#N %.6D %.#P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E"
REASON_FORMAT = "%20E %9u %19H %N"
LONG_REASON_FORMAT = "%20E %12U %19H %6t %N"
_NAME_WIDTH_MIN = 9


def widened(text: str, partitions: list[Map], views: list[Map]) -> str:
    """Return the format with every # replaced by the width that the longest name of its column needs."""
    if "#" not in text:
        return text
    node_width = max([_NAME_WIDTH_MIN, *(len(view["node"]["name"]) for view in views)])
    names_width = max([_NAME_WIDTH_MIN, *(len(each["name"]) + bool(each.get("is_default")) for each in partitions)])
    return text.replace("#N", f"{node_width}N").replace("#P", f"{names_width}P")
