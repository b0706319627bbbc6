"""From the controller to agents: NOTICEs; every one carries epoch and attempt, and may be repeated."""

import msgspec

from sluice.model.job import Job
from sluice.model.states import Ending

from .base import Message
from .managers import TellManager
from .reports import AgentConfig


class LaunchJob(Message, frozen=True, kw_only=True):
    """Start a job's batch script on its first node."""

    node: str
    epoch: int
    job: Job
    script: msgspec.Raw | bytes = b""
    #: NAME=value strings as submitted, encoded once.
    environment: msgspec.Raw | tuple[bytes, ...] = ()


class PrepareJob(Message, frozen=True, kw_only=True):
    """Run the prolog of a job that has just got the node; NodePrepared tells what came of it.

    variables: what prologs and epilogs see of the job.  job: with its part of that node alone, for its extern step
    (PrologFlags=Contain); None: it has none.
    """

    node: str
    epoch: int
    job_id: int
    attempt: int
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    job: Job | None = None


class EndJob(Message, frozen=True, kw_only=True):
    """End all processes of a job on the node: TERM, after kill_wait_s KILL; then epilog; then NodeClean.

    text: why, in somebody's words, for the program to read.  variables: what the epilog sees of the job, for a node
    that has never heard of it; empty where there is no epilog.
    """

    node: str
    epoch: int
    job_id: int
    attempt: int
    ending: Ending
    kill_wait_s: float
    by_uid: int = 0
    ended_at: float = 0.0
    text: str = ""
    variables: dict[str, str] = msgspec.field(default_factory=dict)


class SignalJob(Message, frozen=True, kw_only=True):
    """Send a signal: to steps, to the batch shell, or (full) to the batch shell with all its children and steps.

    step_id None: every step of the job.  is_suspension: STOP or CONT that suspends the job or lets it go on.  signal 0:
    none, the reason is all there is to tell.
    """

    node: str
    epoch: int
    job_id: int
    attempt: int
    signal: int
    step_id: int | None = None
    to_batch: bool = False
    to_steps: bool = True
    full: bool = False
    is_suspension: bool = False
    #: Why, for the program to read; "" for a signal that somebody sent.  deadline_at: when KILL follows.
    reason: str = ""
    deadline_at: float | None = None
    #: Who is named above gets it and nobody else; without it a signal with a reason is a warning to all programs.
    is_exact: bool = False
    #: The reason in somebody's words.
    text: str = ""
    #: With "new limit" and "resume": when the job's time is over now; None: never.
    limit_at: float | None = None


class EndStep(Message, frozen=True, kw_only=True):
    """End one step: TERM, then KILL.

    only_unlaunched: if its srun has not launched it on that node and is not connected to do so; may_come: nor comes
    back soon, where it was connected to an agent that is gone.
    """

    node: str
    epoch: int
    job_id: int
    attempt: int
    step_id: int
    kill_wait_s: float
    ending: Ending = Ending.CANCEL
    only_unlaunched: bool = False
    may_come: bool = False


class TellStep(Message, frozen=True, kw_only=True):
    """A line for the user: into the batch step's stderr, or to the srun of another step.  May be lost, not repeated."""

    node: str
    epoch: int
    job_id: int
    attempt: int
    step_id: int
    text: str


class Orders(Message, frozen=True, kw_only=True):
    """A batch of orders on one connection, in order."""

    launches: tuple[LaunchJob, ...] = ()
    ends: tuple[EndJob, ...] = ()
    signals: tuple[SignalJob, ...] = ()
    step_ends: tuple[EndStep, ...] = ()
    talks: tuple[TellStep, ...] = ()
    prepares: tuple[PrepareJob, ...] = ()
    managers: tuple[TellManager, ...] = ()
    #: (node, reason): restart the machine.
    reboots: tuple[tuple[str, str], ...] = ()
    #: Nodes that are to run their health check.
    checks: tuple[str, ...] = ()
    config: AgentConfig | None = None
