"""Nodes that the system sets aside, and gives back when the cause is gone; the jobs there are told.

Each cause holds the node on its own, and only the last one to go gives it back.  What an administrator drains stays
drained: his word takes the node out of the system's hands, and so does his resume.
"""

from msgspec.structs import replace

from sluice.model.node import Drain, Node
from sluice.model.states import Notice
from sluice.wire.messages import SignalJob
from sluicectld.state.events import NodeChanged

from .turn import Turn

#: What the causes begin with that end with the processes of a boot.
UNKILLABLE = "unkillable "


def drain_node(turn: Turn, name: str, reason: str) -> None:
    """Set a node to drain for the system's own reason, until somebody resumes it; an admin's reason stays."""
    node = turn.cluster.nodes.get(name)
    if node is None or node.is_drained:
        return
    drained = replace(node, is_drained=True, reason=reason, reason_uid=0, reason_at=turn.now_at)
    turn.emit(NodeChanged(at=turn.now_at, node=drained, what="drained"))
    tell_jobs(turn, drained)


def hold_node(turn: Turn, name: str, cause: str, reason: str) -> None:
    """Set a node to drain until release_node() is told that the cause is gone; a repeat renews the reason."""
    node = turn.cluster.nodes.get(name)
    if node is None or (node.is_drained and not node.drains):
        return
    known = [drain for drain in node.drains if drain.cause == cause]
    if known and known[0].reason == reason:
        return
    drain = Drain(cause=cause, reason=reason, at=known[0].at if known else turn.now_at)
    held = _with(node, (*(each for each in node.drains if each.cause != cause), drain))
    turn.emit(NodeChanged(at=turn.now_at, node=held, what="drained"))
    if not node.is_drained:
        tell_jobs(turn, held)


def release_node(turn: Turn, name: str, cause: str) -> None:
    """The cause is gone: the node is in service again when nothing else holds it."""
    node = turn.cluster.nodes.get(name)
    if node is None or all(drain.cause != cause for drain in node.drains):
        return
    released = _with(node, tuple(drain for drain in node.drains if drain.cause != cause))
    turn.emit(NodeChanged(at=turn.now_at, node=released, what="drained" if released.drains else "undrained"))
    turn.is_pass_due = True


def forget_unkillables(turn: Turn, name: str) -> None:
    """The machine was started again: no process of before is there any more."""
    for drain in turn.cluster.nodes[name].drains:
        if drain.cause.startswith(UNKILLABLE):
            release_node(turn, name, drain.cause)


def _with(node: Node, drains: tuple[Drain, ...]) -> Node:
    """Return the node held by *drains*; the newest is the reason that listings show."""
    if not drains:
        return replace(node, drains=(), is_drained=False, reason="", reason_uid=0, reason_at=0.0)
    newest = drains[-1]
    return replace(node, drains=drains, is_drained=True, reason=newest.reason, reason_uid=0, reason_at=newest.at)


def tell_jobs(turn: Turn, node: Node) -> None:
    """Let the programs on the node know that it is to be emptied; they may go on to their end."""
    for job_id in sorted(turn.cluster.job_ids_by_node.get(node.name, ())):
        job = turn.job(job_id)
        if job.is_ended:
            continue
        turn.effects.append(
            SignalJob(
                node=node.name,
                epoch=turn.cluster.epoch,
                job_id=job.id,
                attempt=job.attempt,
                signal=0,
                to_batch=True,
                full=True,
                reason=Notice.DRAIN.value,
                text=node.reason,
            )
        )
