"""scontrol show node: its record, line by line.

Source: CONTRACT section 8.2; values as Slurm 22.05 prints them.
"""

from __future__ import annotations

from sluice import gres_spec, hostlist, tres
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
