"""What an agent that manages a job's steps is told: parts that nobody will report to it, and changes of the job."""

from collections.abc import Collection

from sluice.model.job import Job
from sluice.model.states import JobState
from sluice.model.step import Step
from sluice.steps.results import result_of
from sluice.wire.messages import StepResult, TellManager

from .turn import Turn


def tell_manager(turn: Turn, job: Job, step: Step, nodes: Collection[str]) -> None:
    """Tell the agent that manages the step, if one does, that its parts on these nodes have ended."""
    if step.step_id >= 0:
        pass_on(turn, job, [result_of(step, node, turn.now_at) for node in nodes])


def pass_on(turn: Turn, job: Job, results: list[StepResult]) -> None:
    """Pass results on to the agent that manages the job's steps, while it does."""
    _tell(turn, job, results=tuple(results))


def tell_job(turn: Turn, job: Job) -> None:
    """Let the agent that manages the job's steps know the job as it is now: its next steps see it so."""
    _tell(turn, job, revised=job)


def _tell(turn: Turn, job: Job, results: tuple[StepResult, ...] = (), revised: Job | None = None) -> None:
    if job.steps_on and job.state in (JobState.RUNNING, JobState.SUSPENDED):
        turn.effects.append(
            TellManager(
                node=job.steps_on,
                epoch=turn.cluster.epoch,
                job_id=job.id,
                attempt=job.attempt,
                results=results,
                job=revised,
            )
        )
