"""scontrol show node and show partition: their records, line by line.

Source: CONTRACT section 8.2; values as Slurm 22.05 prints them.
"""

from __future__ import annotations

from sluice import duration, gres_spec, hostlist, tres
from sluice.errors import InvalidRequest, SluiceError
from sluice_cli import fields_node, node_state, talk
from sluice_cli.job_size import gres_of
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.job_row import Context
    from sluice_cli.scontrol_session import Session

    Map = dict[str, Any]

NULL = "(null)"
_MINUTE_S = 60


def show_nodes(session: Session, text: str) -> None:
    """Print the nodes of a hostlist, all without one."""
    try:
        reply = session.call("QueryNodes", {})
    except SluiceError as error:
        session.fail(f"slurm_load_node error: {sentence(error)}")
        return
    views = {view["node"]["name"]: view for view in reply.get("nodes", ())}
    try:
        names = hostlist.expand(text) if text and text.upper() != "ALL" else list(views)
    except InvalidRequest:
        names = [text]
    context = session.context(reply.get("now_at", 0.0))
    if session.structured:
        from sluice_cli import json_node, json_out

        found = [json_node.node_object(views[name]) for name in names if name in views]
        json_out.put(session.structured, "nodes", found)
        return
    if not names:
        talk.put("No nodes in the system\n")
    for name in names:
        if name in views:
            session.put_record(node_lines(views[name], context, session.has_details))
        else:
            session.exit_status = 1
            talk.put(f"Node {name} not found\n")


def node_lines(view: Map, context: Context, has_details: bool) -> list[str]:
    """Return a node's record."""
    node = view["node"]
    inventory = node.get("inventory") or {}
    features = ",".join(node.get("features", ())) or NULL
    arch = f" Arch={inventory['arch']}" if inventory.get("arch") else ""
    load = "N/A" if view.get("cpu_load") is None else f"{view['cpu_load']:.2f}"
    cpus = node.get("cpus", 1)
    lines = [
        f"NodeName={node['name']}{arch} CoresPerSocket={node.get('cores_per_socket', 1)} ",
        f"CPUAlloc={view.get('allocated_cpus', 0)} CPUEfctv={cpus} CPUTot={cpus} CPULoad={load}",
        f"AvailableFeatures={features}",
        f"ActiveFeatures={features}",
        f"Gres={fields_node.gres_text(node)}",
    ]
    if has_details:
        lines += ["GresDrain=N/A", f"GresUsed={view.get('gres_used') or NULL}"]
    lines.append(
        f"NodeAddr={node.get('address') or node['name']} NodeHostName={node.get('hostname') or node['name']} "
        f"Port={node.get('port', 6818)} Version={fields_node.version_of(node)}"
    )
    if inventory.get("os"):
        lines.append(f"OS={inventory['os']} ")
    return [*lines, *_size_lines(view), *_time_lines(node, inventory, context), *_end_lines(view, context)]


def _size_lines(view: Map) -> list[str]:
    node = view["node"]
    free = view.get("free_memory_mib")
    return [
        f"RealMemory={node.get('memory_mib', 1)} AllocMem={view.get('allocated_memory_mib', 0)} "
        f"FreeMem={'N/A' if free is None else free} Sockets={node.get('sockets', 1)} Boards={node.get('boards', 1)}",
        f"State={node_state.joined(view)} ThreadsPerCore={node.get('threads_per_core', 1)} "
        f"TmpDisk={node.get('tmp_disk_mib', 0)} Weight={node.get('weight', 1)} Owner=N/A MCS_label=N/A",
        f"Partitions={','.join(view.get('partitions', ()))} ",
    ]


def _time_lines(node: Map, inventory: Map, context: Context) -> list[str]:
    booted, started = inventory.get("booted_at") or None, inventory.get("agent_started_at") or None
    idle_since = node.get("idle_since_at") or node.get("registered_at") or None
    return [
        f"BootTime={context.clock(booted, 'None')} SlurmdStartTime={context.clock(started, 'None')}",
        f"LastBusyTime={context.clock(idle_since, 'Unknown')} ResumeAfterTime=None",
    ]


def _end_lines(view: Map, context: Context) -> list[str]:
    node = view["node"]
    configured = node_tres([view])
    used = {"cpu": view.get("allocated_cpus", 0), "mem": view.get("allocated_memory_mib", 0)}
    used_gres = gres_spec.to_tres(_used_gres(view.get("gres_used", "")))
    lines = [
        f"CfgTRES={tres.format_by_id({name: count for name, count in configured.items() if name != 'node'})}",
        f"AllocTRES={tres.format_by_id(tres.without_zeros(used | used_gres))}",
        "CurrentWatts=0 AveWatts=0",
    ]
    if node.get("reason"):
        user = view.get("reason_user") or node.get("reason_uid", 0)
        lines.append(f"Reason={node['reason']} [{user}@{context.clock(node.get('reason_at') or None, 'Unknown')}]")
    if node.get("comment"):
        lines.append(f"Comment={node['comment']}")
    if node.get("extra"):
        lines.append(f"Extra={node['extra']}")
    if (node.get("inventory") or {}).get("unenforced"):
        lines.append(f"Unenforced={node['inventory']['unenforced']}")
    if view.get("reservation"):
        lines.append(f"ReservationName={view['reservation']}")
    return lines


def _used_gres(text: str) -> gres_spec.GresSpec:
    """Return the counts of "gpu:a100:2(IDX:0-1)"; the commas inside the parentheses belong to the numbers."""
    entries: list[gres_spec.Gres] = []
    for part in text.split("),"):
        entry = part.partition("(")[0]
        if entry:
            entries.extend(gres_spec.parse(entry))
    return tuple(entries)


def node_tres(views: list[Map]) -> tres.Tres:
    """Return what nodes have together; billing counts the CPUs."""
    nodes = [view["node"] for view in views]
    cpus = sum(node.get("cpus", 1) for node in nodes)
    counts = {
        "cpu": cpus,
        "mem": sum(node.get("memory_mib", 1) for node in nodes),
        "node": len(nodes),
        "billing": cpus,
    }
    return counts | gres_spec.to_tres(entry for node in nodes for entry in gres_of(node.get("gres")))


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
