"""Nodes: registration and what follows from it, loss, and scontrol's changes."""

from collections.abc import Callable

from msgspec.structs import replace

from sluice import hostlist
from sluice.errors import InvalidRequest, NotFound, NotPermitted
from sluice.model.base import BATCH_STEP, EXTERN_STEP, OWN_STEPS
from sluice.model.job import Job
from sluice.model.node import Inventory, Node
from sluice.model.states import Ending, JobState, NodeState
from sluice.wire.messages import Done, EndStep, NodeReport, Register, SignalJob, UpdateNodes
from sluicectld.permissions import Verb
from sluicectld.state.commands import AgentLost
from sluicectld.state.events import NodeChanged

from . import reboot
from .components import launch_of
from .drain import forget_unkillables, hold_node, release_node, tell_jobs
from .endings import end_order, unlaunched_order
from .leftovers import note_leftovers
from .lost_nodes import fail_jobs, fail_unknown, set_down
from .managers import tell_job
from .new_limit import limit_order
from .numbers import read_count
from .preempt import warn_orders
from .prepare import has_extern, may_launch, prepare_order
from .steps import LAUNCH_WAIT_S
from .suspend import freeze_order
from .timers import expected_end_at
from .turn import Turn
from .warning import missed_warning

#: How many of an agent's sentences go into a node's reason.
_PROBLEMS_MAX = 3
NOT_RESPONDING = "Not responding"
#: The cause that holds a node with fewer GPUs, or other resources, than configured.
SHORT_OF_GRES = "short of gres"


def handle_register(turn: Turn, command: Register) -> tuple[tuple[str, int, int], ...]:
    """Return the (node, job, attempt) that the agents run although they should not."""
    turn.caller.require(Verb.REGISTER)
    stale: list[tuple[str, int, int]] = []
    for report in command.nodes:
        _check_agent(turn, report.node)
    for report in command.nodes:
        _register(turn, report)
        ended = _reconcile(turn, report)
        note_leftovers(turn, report.node, [(job_id, attempt) for _, job_id, attempt in ended])
        stale += ended
    return tuple(stale)


def _check_agent(turn: Turn, name: str) -> None:
    if name not in turn.cluster.nodes:
        raise NotFound(f"node {name!r} is not in the configuration", "invalid_node")
    if turn.caller.agent_of not in ("*", name):
        raise NotPermitted(f"the agent of node {turn.caller.agent_of!r} may not register node {name!r}")


def _register(turn: Turn, report: NodeReport) -> None:
    node = turn.cluster.nodes[report.node]
    old = node.inventory
    is_restarted = False
    if old is not None and old.boot_id != report.inventory.boot_id:
        fail_jobs(turn, node.name, f"node {node.name} was rebooted")
        forget_unkillables(turn, node.name)
        is_restarted = True
    elif old is not None and old.spool_id != report.inventory.spool_id:
        fail_unknown(turn, report)
    changed = replace(
        turn.cluster.nodes[report.node],
        inventory=report.inventory,
        registered_at=turn.now_at,
        is_responding=True,
        address=report.address or node.address,
        port=report.port or node.port,
        gres_places=report.inventory.gres_places or node.gres_places,
    )
    changed = _return_to_service(turn, reboot.returned(changed) if is_restarted else changed)
    problem = _shortfall(turn, changed, report.inventory)
    if problem and not changed.is_drained:
        changed = replace(changed, is_drained=True, reason=problem, reason_uid=0, reason_at=turn.now_at)
    if changed.idle_since_at == 0.0:
        changed = replace(changed, idle_since_at=turn.now_at)
    turn.emit(NodeChanged(at=turn.now_at, node=changed, what="registered"))
    lacking = _gres_shortfall(changed, report.inventory) if _is_measured(turn) else ""
    if lacking:
        hold_node(turn, report.node, SHORT_OF_GRES, lacking)
    else:
        release_node(turn, report.node, SHORT_OF_GRES)
    turn.is_pass_due = True


def _return_to_service(turn: Turn, node: Node) -> Node:
    if node.state is NodeState.UNKNOWN:
        return replace(node, state=NodeState.UP)
    if node.state is not NodeState.DOWN:
        return node
    service = turn.settings.return_to_service
    if service == 2 or (service == 1 and node.reason == NOT_RESPONDING):
        return replace(node, state=NodeState.UP, reason="", reason_at=0.0)
    return node


def _shortfall(turn: Turn, node: Node, seen: Inventory) -> str:
    """Return why the machine is smaller than the configuration says, empty if it is not."""
    if not _is_measured(turn):
        return ""
    if seen.cpus < node.cpus:
        return f"Low CPUs: registered with {seen.cpus}, configuration says {node.cpus}"
    if seen.memory_mib < node.memory_mib:
        return f"Low RealMemory: registered with {seen.memory_mib} MiB, configuration says {node.memory_mib} MiB"
    return ""


def _is_measured(turn: Turn) -> bool:
    """Does what the nodes have count, rather than what the configuration says?"""
    return "config_overrides" not in turn.settings.slurmd_parameters


def _gres_shortfall(node: Node, seen: Inventory) -> str:
    found = {(gres.name, gres.type): gres.count for gres in seen.gres}
    for gres in node.gres:
        count = found.get((gres.name, gres.type), 0)
        if count < gres.count:
            what = f"gres/{gres.name}:{gres.type}" if gres.type else f"gres/{gres.name}"
            why = f" ({'; '.join(seen.gres_problems[:_PROBLEMS_MAX])})" if seen.gres_problems else ""
            return f"{what} count low: registered with {count}, configuration says {gres.count}{why}"
    return ""


def _reconcile(turn: Turn, report: NodeReport) -> list[tuple[str, int, int]]:
    """Compare the agent's jobs with the book: repeat lost orders, end what is not wanted."""
    node = turn.cluster.nodes[report.node]
    present = {(step.job_id, step.attempt) for step in report.steps}
    known = {(step.job_id, step.attempt, step.step_id) for step in report.steps}
    # One that has ended stands for jobs of which there is no step, as well.
    contained = {
        (step.job_id, step.attempt) for step in report.steps if step.step_id == EXTERN_STEP and not step.is_ended
    }
    wanted = set()
    for job_id in sorted(turn.cluster.job_ids_by_node.get(node.name, ())):
        job = turn.job(job_id)
        wanted.add((job.id, job.attempt))
        if node.name in job.completing_nodes:
            turn.effects.append(end_order(turn, job, node.name, job.ending or Ending.CANCEL, job.cancelled_by))
        elif node.name in job.lost_nodes:
            turn.effects.append(end_order(turn, job, node.name, Ending.NODE_FAILURE))
        else:
            # With NoHold nobody waits for the extern step, and it is to come all the same.
            is_prepared = (job.id, job.attempt) in contained or not has_extern(turn, job, node.name)
            if not job.is_in_prolog and (node.name in job.preparing_nodes or not is_prepared):
                turn.effects.append(prepare_order(turn, job, node.name))
            is_launched = (job.id, job.attempt, BATCH_STEP) in known
            if not is_launched and _has_batch_here(job, node.name) and may_launch(turn.settings, job):
                turn.effects.append(launch_of(turn.cluster, job))
            turn.effects += _unlaunched(turn, job, report, known)
            turn.effects += _missed_signals(turn, job, report)
            turn.effects += missed_warning(turn, job, node.name, expected_end_at(turn, job))
            if job.steps_on == node.name:
                tell_job(turn, job)
    return [(node.name, job_id, attempt) for job_id, attempt in sorted(present - wanted)]


def _missed_signals(turn: Turn, job: Job, report: NodeReport) -> list[SignalJob]:
    """Return what the agent may have missed: that the job stands still or goes on, its limit, that it is preempted.

    What a step knows already changes nothing there.
    """
    if job.state is JobState.SUSPENDED:
        return [freeze_order(turn, job, report.node)]
    if job.state is not JobState.RUNNING:
        return []
    orders = []
    held = {(job_id, attempt): limit_at for job_id, attempt, limit_at in report.limits}
    if job.suspended_s:
        # It tells the limit as well.
        orders.append(freeze_order(turn, job, report.node))
    elif held.get((job.id, job.attempt), job.limit_at) != job.limit_at:
        orders.append(limit_order(turn, job, report.node))
    return orders + (warn_orders(turn, job, report.node) if job.preemption is not None else [])


def _unlaunched(turn: Turn, job: Job, report: NodeReport, known: set[tuple[int, int, int]]) -> list[EndStep]:
    """Return orders for steps whose srun should have come to the node by now, or was lost with the last agent."""
    orders = []
    for step in turn.cluster.steps.get(job.id, {}).values():
        is_unlaunched = report.node in step.running_nodes and (job.id, job.attempt, step.step_id) not in known
        is_late = turn.now_at - step.started_at >= LAUNCH_WAIT_S
        is_older = step.started_at < report.inventory.agent_started_at
        if step.step_id not in OWN_STEPS and is_unlaunched and (is_late or is_older):
            orders.append(unlaunched_order(turn, step, report.node, may_come=not is_late))
    return orders


def _has_batch_here(job: Job, node: str) -> bool:
    is_running = job.state in (JobState.RUNNING, JobState.SUSPENDED)
    return is_running and job.spec.is_batch and job.nodes[0] == node


def handle_agent_lost(turn: Turn, command: AgentLost) -> Done:
    """The agents' connection is gone; after SlurmdTimeout their nodes are down and their jobs end."""
    for name in command.nodes:
        node = turn.cluster.nodes.get(name)
        if node is None:
            continue
        changed = replace(node, is_responding=False)
        if command.is_final and node.state is NodeState.UP:
            changed = replace(changed, state=NodeState.DOWN, reason=NOT_RESPONDING, reason_at=turn.now_at)
        if changed != node:
            turn.emit(NodeChanged(at=turn.now_at, node=changed, what="lost" if command.is_final else "silent"))
        if command.is_final:
            fail_jobs(turn, name, f"node {name} stopped responding")
    turn.is_pass_due = True
    return Done()


# --- scontrol update NodeName=...


def handle_update_nodes(turn: Turn, command: UpdateNodes) -> Done:
    """Change the nodes of a hostlist; nothing changes when one of them is refused."""
    turn.caller.require(Verb.UPDATE_NODE)
    names = list(turn.cluster.nodes) if command.nodes.upper() == "ALL" else hostlist.expand(command.nodes)
    unknown = [name for name in names if name not in turn.cluster.nodes]
    if unknown:
        raise NotFound(f"node {hostlist.fold(unknown)} is not in the configuration", "invalid_node")
    changes = {key.lower(): value for key, value in command.changes}
    changed = [_change(turn, turn.cluster.nodes[name], changes) for name in names]
    for node in changed:
        is_new_drain = node.is_drained and not turn.cluster.nodes[node.name].is_drained
        turn.emit(NodeChanged(at=turn.now_at, node=node, what="update"))
        if is_new_drain:
            tell_jobs(turn, node)
        if node.state is NodeState.DOWN:
            set_down(turn, node)
    turn.is_pass_due = True
    return Done()


def _change(turn: Turn, node: Node, changes: dict[str, str]) -> Node:
    if "reason" in changes and not changes.get("state", "").upper().startswith("REBOOT"):
        node = replace(node, reason=changes["reason"], reason_uid=turn.caller.uid, reason_at=turn.now_at)
    for key, value in changes.items():
        if key in ("reason", "nextstate"):
            continue
        if key == "state":
            node = _change_state(turn, node, value.upper(), changes)
        elif key in _FIELDS:
            field, parse = _FIELDS[key]
            node = replace(node, **{field: parse(value)})
        else:
            raise InvalidRequest(f"{key!r} of a node cannot be changed: State, Reason, {', '.join(_FIELDS)} can")
    return node


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


_FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "weight": ("weight", read_count),
    "availablefeatures": ("features", _words),
    "activefeatures": ("features", _words),
    "features": ("features", _words),
    "comment": ("comment", str),
    "extra": ("extra", str),
    "nodeaddr": ("address", str),
    "nodehostname": ("hostname", str),
}


def _change_state(turn: Turn, node: Node, word: str, changes: dict[str, str]) -> Node:
    if word in ("DRAIN", "DOWN", "FAIL") and not ("reason" in changes or node.reason):
        raise InvalidRequest("You must specify a reason when DOWNING or DRAINING a node. Request denied", "reason")
    if word == "DRAIN":
        return replace(node, is_drained=True, drains=())
    if word == "FAIL":
        return replace(node, is_failing=True)
    if word == "DOWN":
        return replace(node, state=NodeState.DOWN)
    if word == "NORESP":
        return replace(node, is_responding=False)
    if word in ("RESUME", "UNDRAIN", "IDLE"):
        return _resume(node, word)
    if word in ("REBOOT", "REBOOT_ASAP"):
        return reboot.request(turn, node, changes, is_asap=word == "REBOOT_ASAP")
    if word == "CANCEL_REBOOT":
        return reboot.cancel(node)
    if word == "FUTURE":
        return replace(node, state=NodeState.FUTURE)
    raise InvalidRequest(
        f"{word!r} is no state for a node: DOWN, DRAIN, RESUME, UNDRAIN, IDLE, FAIL, FUTURE, CANCEL_REBOOT",
        "invalid_node_state",
    )


def _resume(node: Node, word: str) -> Node:
    is_off = node.is_drained or node.is_failing or node.state is not NodeState.UP
    if not is_off and word == "RESUME":
        raise InvalidRequest(f"node {node.name} is in service already", "invalid_node_state")
    state = node.state
    if word != "UNDRAIN" and state in (NodeState.DOWN, NodeState.FUTURE):
        state = NodeState.UP if node.inventory is not None else NodeState.UNKNOWN
    return replace(
        node,
        state=state,
        is_drained=False,
        drains=(),
        failures=(),
        is_failing=False,
        reason="",
        reason_uid=0,
        reason_at=0.0,
    )
