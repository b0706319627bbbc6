"""A new configuration or a new epoch: nodes keep their state, running jobs are not touched."""

from msgspec.structs import replace

from sluice import hostlist
from sluice.errors import InvalidRequest
from sluice.model.node import Node
from sluice.wire.messages import Done
from sluicectld.state.commands import ApplyConfiguration, BeginEpoch
from sluicectld.state.events import ConfigurationApplied, EpochBegan, NodeChanged

from .turn import Turn


def handle_begin_epoch(turn: Turn, command: BeginEpoch) -> Done:
    """A controller takes over: no agent has answered it yet."""
    turn.emit(EpochBegan(at=turn.now_at, epoch=command.epoch, cluster_id=command.cluster_id))
    for node in list(turn.cluster.nodes.values()):
        if node.is_responding:
            silent = replace(node, is_responding=False)
            turn.emit(NodeChanged(at=turn.now_at, node=silent, what="silent"))
    return Done()


def handle_configuration(turn: Turn, command: ApplyConfiguration) -> Done:
    """Take over nodes and partitions.  Raises InvalidRequest when a node that is in use would vanish."""
    names = {node.name for node in command.nodes}
    gone = [name for name in turn.cluster.nodes if name not in names and turn.cluster.job_ids_by_node.get(name)]
    if gone:
        raise InvalidRequest(
            f"nodes {hostlist.fold(gone)} are not in the new configuration but have jobs; drain them first"
        )
    nodes = tuple(_merge(turn.cluster.nodes.get(node.name), node) for node in command.nodes)
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
    return Done()


def _merge(old: Node | None, new: Node) -> Node:
    """Return the configured node with the state, and what was registered, of the known one."""
    if old is None:
        return new
    return replace(
        new,
        state=old.state if new.state.value == "UNKNOWN" else new.state,
        is_drained=old.is_drained or new.is_drained,
        is_failing=old.is_failing or new.is_failing,
        is_responding=old.is_responding,
        reason=old.reason or new.reason,
        reason_uid=old.reason_uid,
        reason_at=old.reason_at,
        inventory=old.inventory,
        registered_at=old.registered_at,
        idle_since_at=old.idle_since_at,
        comment=old.comment,
        extra=old.extra,
    )
