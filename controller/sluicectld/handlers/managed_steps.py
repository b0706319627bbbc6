"""Steps that the agent of their job's first node manages: handed over, and taken into the book as it reports them.

A job's steps have one manager at a time: the controller, until the agent asks, for as long as the job runs then.  A
heterogeneous job's stay with the controller, which sees all components.
"""

from msgspec.structs import replace

from sluice.errors import NotPermitted, RequestError
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import JobState, StepState
from sluice.model.step import Step, StepNode
from sluice.steps.results import merge_result
from sluice.wire.messages import LeasedPorts, LeasePorts, ManageSteps, StepResult
from sluicectld.permissions import Verb
from sluicectld.state.events import JobRevised, StepBegan, StepRevised

from .managers import pass_on, tell_manager
from .step_ports import lease_ports
from .step_states import with_state
from .steps import begin_step, find_job
from .turn import Turn


def handle_manage_steps(turn: Turn, command: ManageSteps) -> Job:
    """Return the job, whose steps are that agent's now.  Raises RequestError when they stay here."""
    job = _job_of(turn, command.node, command.job_id)
    if job.steps_on == command.node:
        return job
    if job.is_component:
        raise RequestError(f"job {job.id} is a component: its steps are managed with the others'", "steps_elsewhere")
    if any(step.step_id >= 0 and step.state is StepState.RUNNING for step in _known(turn, job).values()):
        raise RequestError(f"steps of job {job.id} run that the controller manages", "step_busy")
    turn.emit(JobRevised(at=turn.now_at, job=replace(job, steps_on=command.node), what="steps"))
    return turn.job(job.id)


def handle_lease_ports(turn: Turn, command: LeasePorts) -> LeasedPorts:
    """Begin the step with ports of its own.  Raises RequestError when there are none."""
    step = command.step
    job = _job_of(turn, command.node, step.job_id)
    if job.steps_on != command.node or job.attempt != step.attempt:
        raise RequestError(f"the steps of job {job.id} are not managed on node {command.node}", "steps_elsewhere")
    known = _known(turn, job).get(step.step_id)
    if known is not None:
        return LeasedPorts(ports=known.ports)
    ports = lease_ports(turn, job, step.spec, step.nodes)
    begin_step(turn, replace(step, ports=ports))
    return LeasedPorts(ports=ports)


def _job_of(turn: Turn, node: str, job_id: int) -> Job:
    """Return the running job whose first node is the agent's own.  Raises RequestError."""
    turn.caller.require(Verb.REPORT)
    if turn.caller.agent_of not in (node, "*"):
        raise NotPermitted(f"the agent of node {turn.caller.agent_of!r} may not manage steps for {node}")
    job = find_job(turn, job_id)
    if job.state is not JobState.RUNNING or job.is_configuring:
        raise RequestError(f"job {job.id} is {job.state.value}", "already_done" if job.is_ended else "not_running")
    if job.nodes[0] != node:
        raise RequestError(f"node {node} is not the first of job {job.id}", "steps_elsewhere")
    return job


def take_step(turn: Turn, step: Step) -> None:
    """Take a step as its manager knows it; the manager is told of the parts that have ended here already."""
    job = turn.cluster.jobs.get(step.job_id)
    if job is None or job.attempt != step.attempt or not _is_manager(turn, job):
        return
    known = _known(turn, job).get(step.step_id)
    if known is None:
        _begin(turn, job, step)
        return
    ended = {node.node for node in known.nodes} - set(known.running_nodes)
    gone = tuple(name for name in step.running_nodes if name in ended)
    left = tuple(name for name in step.running_nodes if name not in ended)
    if gone:
        tell_manager(turn, job, known, gone)
    if gone and not left:
        return
    merged = replace(
        step,
        running_nodes=left,
        exit_code=max(step.exit_code, known.exit_code),
        exit_signal=max(step.exit_signal, known.exit_signal),
        ports=known.ports,
        cancelled_by=known.cancelled_by,
        # A part that has come to its manager rather than here has ended before its node was lost.
        lost_nodes=tuple(
            name for name in known.lost_nodes if name in step.running_nodes or name not in known.running_nodes
        ),
        state=StepState.RUNNING,
    )
    if not merged.running_nodes:
        merged = with_state(job, replace(merged, ended_at=merged.ended_at or turn.now_at))
    if merged != known:
        turn.emit(StepRevised(at=turn.now_at, step=merged))


def _begin(turn: Turn, job: Job, step: Step) -> None:
    """Take a new step; on nodes that are clean already, nothing of it runs."""
    is_running = job.state in (JobState.RUNNING, JobState.SUSPENDED)
    lost = tuple(name for name in step.running_nodes if is_running and name in job.lost_nodes)
    if lost:
        # Made before its manager knew that the node was lost.
        step = replace(step, lost_nodes=lost, exit_code=max(step.exit_code, 1))
        tell_manager(turn, job, step, lost)
    left = tuple(
        name for name in step.running_nodes if name not in lost and (is_running or name in job.completing_nodes)
    )
    if left:
        begin_step(turn, replace(step, running_nodes=left))
    else:
        ended = replace(step, running_nodes=(), ended_at=step.ended_at or turn.now_at)
        turn.emit(StepBegan(at=turn.now_at, step=with_state(job, ended)))


def take_early_result(turn: Turn, job: Job, result: StepResult) -> None:
    """Take a node's result of a step of which its manager has not told yet: a part of it, to be filled in then."""
    known = _known(turn, job).get(result.step_id)
    if known is not None and any(node.node == result.node for node in known.nodes):
        return
    began = known or Step(
        job_id=job.id,
        step_id=result.step_id,
        attempt=job.attempt,
        spec=StepSpec(name=""),
        started_at=result.started_at,
    )
    part = StepNode(node=result.node, ntasks=0)
    lost = (result.node,) if result.node in job.lost_nodes else ()
    began = replace(
        began,
        nodes=(*began.nodes, part),
        running_nodes=(*began.running_nodes, result.node),
        lost_nodes=(*began.lost_nodes, *lost),
    )
    merged = with_state(job, merge_result(began, result, turn.now_at))
    turn.emit(StepBegan(at=turn.now_at, step=merged))
    pass_on(turn, job, [result])


def _is_manager(turn: Turn, job: Job) -> bool:
    return bool(job.steps_on) and turn.caller.agent_of in (job.steps_on, "*")


def _known(turn: Turn, job: Job) -> dict[int, Step]:
    return turn.cluster.steps.get(job.id, {})
