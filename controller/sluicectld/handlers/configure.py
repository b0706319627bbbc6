"""A new configuration or a new epoch: nodes keep their state, running jobs are not touched."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from sluice import hostlist
from sluice.errors import InvalidRequest
from sluice.model.node import Node
from sluice.wire.messages import Done
from sluicectld.state.commands import ApplyConfiguration, BeginEpoch
from sluicectld.state.effects import Program, RunProgram
from sluicectld.state.events import ConfigurationApplied, EpochBegan, NodeChanged

from .turn import Turn


def handle_begin_epoch(turn: Turn, command: BeginEpoch) -> Done:
    """A controller takes over: no agent has answered it yet."""
    turn.emit(EpochBegan(at=turn.now_at, epoch=command.epoch, cluster_id=command.cluster_id))
    for node in list(turn.cluster.nodes.values()):
        if node.is_responding:
            silent = replace(node, is_responding=False)
            turn.emit(NodeChanged(at=turn.now_at, node=silent, what="silent"))
    for job in [turn.job(job_id) for job_id in turn.cluster.running]:
        if job.is_in_prolog:
            # Whether it ran to its end, nobody knows any more.
            turn.effects.append(RunProgram(Program.PROLOG, job))
    for job in list(turn.cluster.jobs.values()):
        if job.is_in_epilog:
            turn.effects.append(RunProgram(Program.EPILOG, job))
    return Done()


def handle_configuration(turn: Turn, command: ApplyConfiguration) -> Done:
    """Take over nodes and partitions; what scontrol had changed of them is then as the files say again.

    The same files once more are an event only where they change something; the reply tells what that was.
    Raises InvalidRequest when a node that is in use would vanish.
    """
    names = {node.name for node in command.nodes}
    gone = [name for name in turn.cluster.nodes if name not in names and turn.cluster.job_ids_by_node.get(name)]
    if gone:
        raise InvalidRequest(
            f"nodes {hostlist.fold(gone)} are not in the new configuration but have jobs; drain them first"
        )
    is_known = command.digest == turn.cluster.config_digest
    nodes = tuple(_merge(turn.cluster.nodes.get(node.name), node, is_known) for node in command.nodes)
    lines: list[str] = []
    if is_known:
        present_nodes, present_partitions = turn.cluster.nodes, turn.cluster.partitions
        if nodes == tuple(present_nodes.values()) and command.partitions == tuple(present_partitions.values()):
            return Done()
        lines += _differences("node", present_nodes, {node.name: node for node in nodes})
        lines += _differences("partition", present_partitions, {each.name: each for each in command.partitions})
    turn.emit(
        ConfigurationApplied(
            at=turn.now_at,
            version=command.version,
            digest=command.digest,
            nodes=nodes,
            partitions=command.partitions,
        )
    )
    turn.is_pass_due = True
    return Done(lines=tuple(lines))


def _differences(noun: str, present: Mapping[str, Struct], wanted: Mapping[str, Struct]) -> list[str]:
    """Return, a line each, what differs from the files and will be as they say."""
    lines = [f"{noun} {name}: removed, the configuration does not have it" for name in present.keys() - wanted.keys()]
    for name, new in wanted.items():
        old = present.get(name)
        if old is None:
            lines.append(f"{noun} {name}: put back, the configuration has it")
            continue
        lines += [
            f"{noun} {name}: {field} {_text(before)} -> {_text(after)}, as the configuration says"
            for field in new.__struct_fields__
            if field != "index" and (before := getattr(old, field)) != (after := getattr(new, field))
        ]
    return lines


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _merge(old: Node | None, new: Node, is_known: bool) -> Node:
    """Return the configured node with the state, and what was registered, of the known one.

    is_known: by the same files the node has registered already, and where it is reached its agent has said since.
    """
    if old is None:
        return new
    if is_known and old.registered_at:
        new = replace(new, address=old.address, port=old.port)
    return replace(
        new,
        state=old.state if new.state.value == "UNKNOWN" else new.state,
        is_drained=old.is_drained or new.is_drained,
        failures=old.failures,
        reboot=old.reboot,
        leftovers=old.leftovers,
        drains=() if new.is_drained else old.drains,
        is_failing=old.is_failing or new.is_failing,
        is_responding=old.is_responding,
        reason=old.reason or new.reason,
        reason_uid=old.reason_uid,
        reason_at=old.reason_at,
        inventory=old.inventory,
        registered_at=old.registered_at,
        idle_since_at=old.idle_since_at,
        gres_places=new.gres_places or (old.inventory.gres_places if old.inventory and old.gres == new.gres else ()),
        comment=old.comment,
        extra=old.extra,
    )
