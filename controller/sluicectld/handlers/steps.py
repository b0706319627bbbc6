"""CreateStep and FinishStep: a step's part of its job's allocation, granted and returned."""

from sluice import cpu_bind, gpu_bind, hostlist, mem_bind
from sluice.errors import NotFound, RequestError
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import JobState, StepState
from sluice.model.step import Step
from sluice.wire.messages import CreateStep, Done, FinishStep
from sluicectld.permissions import Verb
from sluicectld.state.events import StepBegan
from sluicectld.state.timers import Due

from .endings import step_ended, unlaunched_order
from .numbers import check_step_numbers
from .step_layout import Busy, lay_out
from .step_ports import lease_ports
from .turn import Turn

#: How long a step keeps its resources for an srun that does not come; srun connects within seconds.
LAUNCH_WAIT_S = 60.0


class StepBusy(RequestError):
    """The step has to wait for others of its job; the shell tries again when one ends."""

    default_code = "step_busy"


def handle_create_step(turn: Turn, command: CreateStep) -> Step:
    """Return the new step.  Raises StepBusy when it has to wait, RequestError when it can never be."""
    job = find_job(turn, command.job_id)
    turn.require(Verb.CREATE_STEP, job)
    known = turn.cluster.step_tokens.get(job.id, {}).get(command.token)
    if known is not None and turn.cluster.steps[job.id][known].state is StepState.RUNNING:
        return turn.cluster.steps[job.id][known]
    check_step_numbers(command.spec)
    _check_words(command.spec)
    _check_running(job)
    if job.is_configuring:
        raise StepBusy(f"job {job.id}: the prolog still runs{_where(job)}")
    if job.next_step_id >= turn.settings.steps_per_job_max:
        raise RequestError(f"job {job.id} has had {job.next_step_id} steps (MaxStepCount)", "step_limit")
    running = [step for step in turn.cluster.steps.get(job.id, {}).values() if step.state is StepState.RUNNING]
    nodes = lay_out(job, command.spec, running, turn.settings.tasks_per_node_max)
    if isinstance(nodes, Busy):
        raise StepBusy(nodes.text)
    step = Step(
        job_id=job.id,
        step_id=job.next_step_id,
        attempt=job.attempt,
        spec=command.spec,
        token=command.token,
        nodes=nodes,
        ports=lease_ports(turn, job, command.spec, nodes),
        running_nodes=tuple(node.node for node in nodes),
        started_at=turn.now_at,
    )
    turn.emit(StepBegan(at=turn.now_at, step=step))
    turn.timers.add(turn.now_at + LAUNCH_WAIT_S, Due.STEP_LAUNCH, job.id)
    return step


def give_up_unlaunched(turn: Turn, job_id: int) -> None:
    """Have the steps end whose srun has never come: it was killed between its request and its launch.

    Each is asked for once; an agent that is away meanwhile is asked when it registers.
    """
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state not in (JobState.RUNNING, JobState.SUSPENDED):
        return
    for step in turn.cluster.steps.get(job_id, {}).values():
        age_s = turn.now_at - step.started_at
        if step.step_id >= 0 and step.state is StepState.RUNNING and LAUNCH_WAIT_S <= age_s < 2 * LAUNCH_WAIT_S:
            turn.effects += [unlaunched_order(turn, step, node) for node in step.running_nodes]


def find_job(turn: Turn, job_id: int) -> Job:
    """Return the job; of an array that is all split off, the task with the base id.  Raises NotFound."""
    job = turn.cluster.jobs.get(job_id)
    if job is None:
        raise NotFound(f"job {job_id} is not known", "invalid_job")
    return job


def _where(job: Job) -> str:
    return f" on {hostlist.fold(job.preparing_nodes)}" if job.preparing_nodes else ""


def _check_words(spec: StepSpec) -> None:
    """Raise InvalidRequest for options that the agents could not read."""
    for text, language in ((spec.cpu_bind, cpu_bind), (spec.mem_bind, mem_bind), (spec.gpu_bind, gpu_bind)):
        if text:
            language.parse(text)


def _check_running(job: Job) -> None:
    if job.is_ended:
        raise RequestError(f"job {job.id} is {job.state.value}", "already_done")
    if job.state is not JobState.RUNNING:
        raise RequestError(f"job {job.id} is {job.state.value}", "not_running")


def handle_finish_step(turn: Turn, command: FinishStep) -> Done:
    """srun could not launch the step, or lost its nodes: it ends as failed."""
    job = find_job(turn, command.job_id)
    turn.require(Verb.CREATE_STEP, job)
    step = turn.cluster.steps.get(job.id, {}).get(command.step_id)
    if step is None:
        raise NotFound(f"job {job.id} has no step {command.step_id}", "invalid_job")
    if step.state is StepState.RUNNING:
        step_ended(turn, step, StepState.FAILED, max(step.exit_code, command.exit_code), step.exit_signal)
    return Done()
