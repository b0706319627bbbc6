"""A step that could begin now: its part of its job's allocation, beside the steps that run."""

from collections.abc import Iterable

from msgspec.structs import replace

from sluice import hostlist
from sluice.errors import RequestError
from sluice.model.base import INTERACTIVE_STEP, Record
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import JobState, StepState
from sluice.model.step import Step

from .layout import Busy, lay_out
from .request import check_step_spec


class StepBusy(RequestError):
    """The step has to wait for others of its job; whoever asks is answered when one ends."""

    default_code = "step_busy"


class StepBounds(Record, frozen=True, kw_only=True):
    """MaxTasksPerNode, MaxStepCount."""

    tasks_per_node_max: int
    steps_per_job_max: int


def grant_step(
    job: Job, spec: StepSpec, token: str, step_id: int, known: Iterable[Step], bounds: StepBounds, now_at: float
) -> Step:
    """Return the step, without ports.  known: the job's steps.

    Raises StepBusy while it has to wait, RequestError when it can never be.
    """
    check_step_spec(spec)
    _check_running(job)
    if job.is_configuring:
        raise StepBusy(f"job {job.id}: the prolog still runs{_where(job)}")
    if job.next_step_id >= bounds.steps_per_job_max:
        raise RequestError(f"job {job.id} has had {job.next_step_id} steps (MaxStepCount)", "step_limit")
    steps = list(known)
    if step_id == INTERACTIVE_STEP and any(step.step_id == step_id for step in steps):
        raise RequestError(f"job {job.id} has or had an interactive step, and may have one", "step_limit")
    running = [step for step in steps if step.state is StepState.RUNNING]
    nodes = lay_out(job, spec, running, bounds.tasks_per_node_max)
    if isinstance(nodes, Busy):
        raise StepBusy(nodes.text)
    return Step(
        job_id=job.id,
        step_id=step_id,
        attempt=job.attempt,
        spec=spec,
        token=token,
        nodes=nodes,
        running_nodes=tuple(node.node for node in nodes),
        started_at=now_at,
    )


def shape_of(spec: StepSpec) -> StepSpec:
    """Return what says whether there is room: equal for requests that differ in program and sender alone."""
    return replace(spec, name="", argv=(), srun_host="", srun_pid=0)


def _where(job: Job) -> str:
    return f" on {hostlist.fold(job.preparing_nodes)}" if job.preparing_nodes else ""


def _check_running(job: Job) -> None:
    if job.is_ended:
        raise RequestError(f"job {job.id} is {job.state.value}", "already_done")
    if job.state is not JobState.RUNNING:
        raise RequestError(f"job {job.id} is {job.state.value}", "not_running")
