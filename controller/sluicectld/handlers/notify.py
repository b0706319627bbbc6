"""scontrol notify: a line for whoever looks at a job: its waiting salloc or srun, its batch script's stderr, its step.

As in 22.05 (observed): a batch job gets "slurmstepd-n1: error: TEXT" in its stderr, srun and salloc say the text under
their own name.  Where nobody would hear it, it is refused.
"""

from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.states import JobState, StepState
from sluice.model.step import Step
from sluice.wire.messages import Done, JobFilter, TellStep
from sluicectld.permissions import Verb
from sluicectld.state.commands import TellJobs
from sluicectld.state.effects import TellWaiting

from .each import for_each
from .select import Named, named_jobs
from .turn import Turn

#: What a step daemon takes in one order.
TEXT_SIZE_MAX = 2048


def handle_tell(turn: Turn, command: TellJobs) -> Done:
    """Tell every named job; refusals of some are told line by line, of all as the answer."""
    text = command.request.text
    if len(text.encode()) > TEXT_SIZE_MAX:
        raise InvalidRequest(f"a message of {len(text.encode())} bytes, at most {TEXT_SIZE_MAX} are taken", "too_long")
    found: list[Named] = [(job_id, None) for job_id, _ in named_jobs(turn.cluster, (command.request.id,), JobFilter())]
    if not found:
        raise NotFound(f"no job is called {command.request.id}", "invalid_job")
    return for_each(
        turn,
        found,
        lambda job: _check(turn, command, job),
        lambda job: _tell(turn, command, job),
    )


def _check(turn: Turn, command: TellJobs, job: Job) -> None:
    turn.require(Verb.NOTIFY, job)
    if job.is_ended:
        raise RequestError(f"job {job.id} is {job.state.value}", "already_done")
    if job.id in command.hearers:
        return
    if job.state is not JobState.RUNNING:
        raise RequestError(f"job {job.id} is {job.state.value} and nobody waits for it", "disabled")
    step = _hearing_step(turn, job)
    if step is None:
        raise RequestError(f"job {job.id} has neither a step nor a waiting salloc", "disabled")
    node = turn.cluster.nodes.get(step.running_nodes[0])
    if node is None or not node.is_responding:
        raise RequestError(f"node {step.running_nodes[0]} of job {job.id} does not respond", "disabled")


def _tell(turn: Turn, command: TellJobs, job: Job) -> None:
    if job.id in command.hearers:
        turn.effects.append(TellWaiting(job_id=job.id, text=command.request.text))
        return
    step = _hearing_step(turn, job)
    assert step is not None, f"job {job.id} was checked"
    turn.effects.append(
        TellStep(
            node=step.running_nodes[0],
            epoch=turn.cluster.epoch,
            job_id=job.id,
            attempt=job.attempt,
            step_id=step.step_id,
            text=command.request.text,
        )
    )


def _hearing_step(turn: Turn, job: Job) -> Step | None:
    """Return the batch step, or the first that an srun launched."""
    steps = turn.cluster.steps.get(job.id, {})
    running = [step for step in steps.values() if step.state is StepState.RUNNING and step.running_nodes]
    batch = steps.get(BATCH_STEP)
    return batch if batch in running else min(running, key=lambda step: step.step_id, default=None)
