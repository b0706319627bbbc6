"""CreateStep and FinishStep: a step's part of its job's allocation, granted and returned."""

from msgspec.structs import replace

from sluice.config.settings import Settings
from sluice.errors import NotFound, RequestError
from sluice.model.base import INTERACTIVE_STEP, OWN_STEPS
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import JobState, StepState
from sluice.model.step import Step
from sluice.steps.grant import StepBounds, grant_step
from sluice.wire.messages import CreateStep, Done, FinishStep
from sluicectld.permissions import Verb
from sluicectld.state.events import StepBegan
from sluicectld.state.timers import Due

from .endings import step_ended, unlaunched_order
from .managers import tell_manager
from .step_ports import lease_ports
from .turn import Turn

#: How long a step keeps its resources for an srun that does not come; srun connects within seconds.
LAUNCH_WAIT_S = 60.0


def handle_create_step(turn: Turn, command: CreateStep) -> Step:
    """Return the new step.  Raises StepBusy when it has to wait, RequestError when it can never be."""
    job = find_job(turn, command.job_id)
    turn.require(Verb.CREATE_STEP, job)
    known = known_step(turn, job, command.token)
    if known is not None:
        return known
    step_id = INTERACTIVE_STEP if command.spec.is_interactive else job.next_step_id
    step = make_step(turn, job, command.spec, command.token, step_id)
    begin_step(turn, step)
    return step


def known_step(turn: Turn, job: Job, token: str) -> Step | None:
    """Return the running step that this request made before."""
    number = turn.cluster.step_tokens.get(job.id, {}).get(token)
    step = None if number is None else turn.cluster.steps[job.id][number]
    return step if step is not None and step.state is StepState.RUNNING else None


def make_step(turn: Turn, job: Job, spec: StepSpec, token: str, step_id: int) -> Step:
    """Return a step that could begin now.  Raises StepBusy, RequestError."""
    check_own(job)
    known = turn.cluster.steps.get(job.id, {}).values()
    step = grant_step(job, spec, token, step_id, known, bounds_of(turn.settings), turn.now_at)
    return replace(step, ports=lease_ports(turn, job, spec, step.nodes))


def check_own(job: Job) -> None:
    """Refuse to make a step of a job whose steps an agent manages."""
    if job.steps_on:
        raise RequestError(f"the steps of job {job.id} are managed on node {job.steps_on}", "steps_elsewhere")


def bounds_of(settings: Settings) -> StepBounds:
    return StepBounds(tasks_per_node_max=settings.tasks_per_node_max, steps_per_job_max=settings.steps_per_job_max)


def begin_step(turn: Turn, step: Step) -> None:
    turn.emit(StepBegan(at=turn.now_at, step=step))
    turn.timers.add(turn.now_at + LAUNCH_WAIT_S, Due.STEP_LAUNCH, step.job_id)


def give_up_unlaunched(turn: Turn, job_id: int) -> None:
    """Have the steps end whose srun has never come: it was killed between its request and its launch.

    Each is asked for once; an agent that is away meanwhile is asked when it registers.
    """
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state not in (JobState.RUNNING, JobState.SUSPENDED):
        return
    for step in turn.cluster.steps.get(job_id, {}).values():
        age_s = turn.now_at - step.started_at
        if (
            step.step_id not in OWN_STEPS
            and step.state is StepState.RUNNING
            and LAUNCH_WAIT_S <= age_s < 2 * LAUNCH_WAIT_S
        ):
            turn.effects += [unlaunched_order(turn, step, node) for node in step.running_nodes]


def find_job(turn: Turn, job_id: int) -> Job:
    """Return the job; of an array that is all split off, the task with the base id.  Raises NotFound."""
    job = turn.cluster.jobs.get(job_id)
    if job is None:
        raise NotFound(f"job {job_id} is not known", "invalid_job")
    return job


def handle_finish_step(turn: Turn, command: FinishStep) -> Done:
    """srun could not launch the step, or lost its nodes: it ends as failed."""
    job = find_job(turn, command.job_id)
    turn.require(Verb.CREATE_STEP, job)
    step = turn.cluster.steps.get(job.id, {}).get(command.step_id)
    if step is None:
        raise NotFound(f"job {job.id} has no step {command.step_id}", "invalid_job")
    if step.state is StepState.RUNNING:
        failed = replace(step, exit_code=max(step.exit_code, command.exit_code))
        tell_manager(turn, job, failed, step.running_nodes)
        step_ended(turn, step, StepState.FAILED, max(step.exit_code, command.exit_code), step.exit_signal)
    return Done()
