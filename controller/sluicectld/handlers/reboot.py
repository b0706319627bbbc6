"""scontrol reboot: a node is restarted by the site's program once nothing runs on it, and is back when it registers.

With ASAP it gets no new work meanwhile; without, only from the moment on in which it is told.  That it was restarted is
known by the boot id that it registers with.
"""

from msgspec.structs import replace

from sluice.errors import InvalidRequest, RequestError
from sluice.model.node import Node, Reboot
from sluice.model.states import NodeState
from sluicectld.state.effects import RebootNode
from sluicectld.state.events import JobEnded, NodeChanged, NodeCleaned

from .drain import hold_node, release_node
from .turn import Turn

_CAUSE = "reboot"
_NEXT_STATES = ("", "RESUME", "DOWN")


def request(turn: Turn, node: Node, changes: dict[str, str], is_asap: bool) -> Node:
    """Return the node that is to be restarted.  Raises RequestError."""
    if not turn.settings.reboot_program:
        raise InvalidRequest("RebootProgram is not set: nothing can restart nodes here", "disabled")
    if node.reboot is not None and node.reboot.issued_at is not None:
        raise RequestError(f"node {node.name} is being restarted already", "already_done")
    next_state = changes.get("nextstate", "").upper()
    if next_state not in _NEXT_STATES:
        raise InvalidRequest(f"nextstate={next_state}: RESUME or DOWN", "invalid_node_state")
    return replace(node, reboot=Reboot(reason=changes.get("reason", ""), next_state=next_state, is_asap=is_asap))


def cancel(node: Node) -> Node:
    """Return the node that is not to be restarted after all.  Raises RequestError when it is too late."""
    if node.reboot is None:
        raise RequestError(f"node {node.name} is not to be restarted", "invalid_node_state")
    if node.reboot.issued_at is not None:
        raise RequestError(f"node {node.name} is being restarted already", "already_done")
    return replace(node, reboot=None)


def go_on(turn: Turn) -> None:
    """Do what a command has made due: keep work off, restart nodes that became idle, give back the others."""
    for event in list(turn.events):
        if isinstance(event, NodeChanged):
            _go_on(turn, event.node.name)
        elif isinstance(event, NodeCleaned):
            _go_on(turn, event.node)
        elif isinstance(event, JobEnded) and event.job_id in turn.cluster.jobs:
            for name in turn.job(event.job_id).nodes:
                _go_on(turn, name)


def _go_on(turn: Turn, name: str) -> None:
    node = turn.cluster.nodes.get(name)
    if node is None:
        return
    reboot = node.reboot
    if reboot is None:
        release_node(turn, name, _CAUSE)
        return
    is_due = reboot.issued_at is None and node.is_responding and not turn.cluster.job_ids_by_node.get(name)
    if is_due:
        issued = replace(node, reboot=replace(reboot, issued_at=turn.now_at))
        turn.emit(NodeChanged(at=turn.now_at, node=issued, what="reboot"))
        turn.effects.append(RebootNode(name, reboot.reason))
    if is_due or reboot.is_asap:
        hold_node(turn, name, _CAUSE, f"reboot: {reboot.reason}" if reboot.reason else "reboot")


def returned(node: Node) -> Node:
    """Return a node that has registered with another boot id, as it goes on."""
    if node.reboot is None or node.reboot.issued_at is None:
        return node
    next_state = node.reboot.next_state
    node = replace(node, reboot=None, state=NodeState.UP if node.state is NodeState.DOWN else node.state)
    if next_state == "DOWN":
        return replace(node, state=NodeState.DOWN, reason="restarted, to be looked at")
    if next_state == "RESUME":
        return replace(node, is_drained=False, drains=(), is_failing=False, reason="", reason_uid=0, reason_at=0.0)
    return node
