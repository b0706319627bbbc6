"""Steps of an allocation: from srun, sattach and sbcast to the controller, or to whoever manages the job's steps."""

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


class HetPart(Message, frozen=True, kw_only=True):
    """What a step over several components asks of one of them.  job_id: the component's."""

    job_id: int
    spec: StepSpec


class CreateHetStep(Message, frozen=True, kw_only=True):
    """A step over components of a heterogeneous job: in all of them or in none.  Waits as CreateStep does."""

    token: str
    parts: tuple[HetPart, ...]


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


class HetStepCreated(Message, frozen=True, kw_only=True):
    """The parts of a step over several components, in the order in which they were asked for."""

    parts: tuple[StepCreated, ...]


class FinishStep(Message, frozen=True, kw_only=True):
    """srun could not launch the step: release it."""

    job_id: int
    step_id: int
    exit_code: int = 1


class WaitStepEnd(Message, frozen=True, kw_only=True):
    """To the manager of a step: answered when all of its nodes have reported, and what it had is free again."""

    job_id: int
    step_id: int


class LocateJob(Message, frozen=True, kw_only=True):
    """A job's allocation, for srun --jobid and for a step that knows its job id alone."""

    job_id: int


class AttachStep(Message, frozen=True, kw_only=True):
    """A running step, for sattach: answered with StepCreated, whose credential lets its bearer attach to it.

    id: as users write it, "12.0", "12+1.0", "12_3.0", "12.interactive".
    """

    id: str


class SendFiles(Message, frozen=True, kw_only=True):
    """The wish to put files on the nodes of a job, or of one of its steps (sbcast), or to forward its X11 (salloc).

    id: "12", "12+1", "12.0".
    """

    id: str


class FilesGranted(Message, frozen=True, kw_only=True):
    """Where the agents are that take files and forward X11, and what lets its bearer ask them to."""

    job_id: int
    attempt: int
    addresses: tuple[StepAddress, ...]
    credential: str
