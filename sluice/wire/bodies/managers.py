"""Between the controller and an agent that manages a job's steps: the handing over, ports, what the one has learnt.

Steps that such an agent has made come in its Reports.
"""

from sluice.model.job import Job
from sluice.model.step import Step

from .base import Message
from .reports import StepResult


class NodeAddress(Message, frozen=True, kw_only=True):
    """Where a node's agent listens."""

    node: str
    address: str
    port: int


class ManageSteps(Message, frozen=True, kw_only=True):
    """The agent of a job's first node wants to manage its steps; *node* is its own."""

    node: str
    job_id: int


class ManagedJob(Message, frozen=True, kw_only=True):
    """The job's steps are the agent's from now on, the next with the number job.next_step_id.

    addresses: of all nodes of the job, in their order.  The rest is what the configuration says of steps.
    """

    job: Job
    addresses: tuple[NodeAddress, ...]
    tasks_per_node_max: int
    steps_per_job_max: int
    cluster: str = ""
    mpi_default: str = "none"
    kill_wait_s: float = 30.0
    srun_prolog: str = ""
    srun_epilog: str = ""


class LeasePorts(Message, frozen=True, kw_only=True):
    """A new step that wants ports: which are free is known where all jobs are.  Answered with LeasedPorts."""

    node: str
    step: Step


class LeasedPorts(Message, frozen=True, kw_only=True):
    """first and last; both 0: none."""

    ports: tuple[int, int]


class TellManager(Message, frozen=True, kw_only=True):
    """An order: what the controller knows that the manager of a job's steps does not.

    results: of parts that nobody will report there.  job: as it is now, None where it is as before.
    """

    node: str
    epoch: int
    job_id: int
    attempt: int
    results: tuple[StepResult, ...] = ()
    job: Job | None = None


class StepsAt(Message, frozen=True, kw_only=True):
    """Where a job's steps are managed, and what the caller shows there."""

    node: str
    address: str
    port: int
    credential: str
