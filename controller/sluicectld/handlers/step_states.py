"""The state of a step that has ended: what follows from its exit, and from how its job ended."""

from msgspec.structs import replace

from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.model.states import OUT_OF_MEMORY_SIGNAL, Ending, StepState
from sluice.model.step import Step

_ENDING_SIGNALS = (9, 15)


def with_state(job: Job, step: Step) -> Step:
    """Return a step with the state that follows from what its nodes have reported."""
    return step if step.running_nodes else replace(step, state=_step_state(job, step))


def _step_state(job: Job, step: Step) -> StepState:
    if step.exit_signal == OUT_OF_MEMORY_SIGNAL:
        # On any of its nodes.
        return StepState.OUT_OF_MEMORY
    ending = None if _ended_before(step, job) else job.ending
    if ending is Ending.NODE_FAILURE:
        return StepState.NODE_FAIL
    if step.step_id == EXTERN_STEP and step.cancelled_by is None and not step.exit_code:
        # It always ends with its job, however that ends.
        return StepState.COMPLETED
    if step.lost_nodes:
        return StepState.NODE_FAIL
    if ending not in (None, Ending.FINISHED) or step.cancelled_by is not None:
        return StepState.CANCELLED
    if step.reason_text:
        # What could not begin or lost its daemon on one node; the other nodes' tasks were ended for it.
        return StepState.FAILED
    if step.exit_signal in _ENDING_SIGNALS:
        # Whoever sent it: so 22.05 accounts for steps (observed).
        return StepState.CANCELLED
    if step.exit_code or step.exit_signal:
        return StepState.FAILED
    return StepState.COMPLETED


def _ended_before(step: Step, job: Job) -> bool:
    """Was it over when the job was ended, and only told of afterwards?"""
    return step.ended_at is not None and job.ended_at is not None and step.ended_at < job.ended_at
