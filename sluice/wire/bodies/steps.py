"""From srun to the controller: a step of an allocation, granted and given back."""

from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.step import Step, StepNode

from .base import Message


class CreateStep(Message, frozen=True, kw_only=True):
    """A step of an existing allocation.  Waits while it does not fit, unless spec.is_immediate.

    A NOTICE StepWaits comes first when it has to wait.
    """

    token: str
    job_id: int
    spec: StepSpec


class StepWaits(Message, frozen=True, kw_only=True):
    """Why the step cannot start now, and what holds it back."""

    request_id: int
    reason: str
    text: str = ""


class StepAddress(Message, frozen=True, kw_only=True):
    """One node of the step: where its agent listens, and its tasks."""

    node: StepNode
    address: str
    port: int


class StepCreated(Message, frozen=True, kw_only=True):
    """The step exists and holds its resources.  credential lets its bearer launch it, once, on those nodes."""

    step: Step
    addresses: tuple[StepAddress, ...]
    credential: str
    job: Job
    cluster: str = ""
    mpi_default: str = "none"
    kill_wait_s: float = 30.0
    #: The site's programs around every srun, where it names none itself.
    srun_prolog: str = ""
    srun_epilog: str = ""


class FinishStep(Message, frozen=True, kw_only=True):
    """srun could not launch the step: release it."""

    job_id: int
    step_id: int
    exit_code: int = 1


class LocateJob(Message, frozen=True, kw_only=True):
    """A job's allocation, for srun --jobid and for a step that knows its job id alone."""

    job_id: int
