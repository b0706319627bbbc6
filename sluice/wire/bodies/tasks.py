"""From srun to agents and step daemons, and back; and the credentials that a host's agent makes."""

from sluice.model.job import Job
from sluice.model.states import Ending
from sluice.model.step import Step, StepNode

from .base import Message


class PeerAddress(Message, frozen=True, kw_only=True):
    """Where a node's agent listens."""

    address: str
    port: int


class StepPart(Message, frozen=True, kw_only=True):
    """What one component of a heterogeneous job runs of a step over several.

    nodes: with their tasks' ranks in the whole step.  credential: for the agents of these nodes.
    """

    job_id: int
    attempt: int
    nodes: tuple[StepNode, ...]
    credential: str


class TaskLaunch(Message, frozen=True, kw_only=True):
    """srun to each agent of its step; the connection is then the step daemon's.

    std_in: "all", "none", a rank of the step as text, or a pattern of files on the nodes.  std_out, std_err: "" or
    "all" streams to srun, a rank of the step streams that task's alone, else a pattern of files on the nodes.
    """

    credential: str
    job: Job
    step: Step
    node: str
    argv: tuple[str, ...]
    environment: tuple[bytes, ...] = ()
    work_dir: str = ""
    umask: int = 0o022
    rlimits: tuple[tuple[str, int, int], ...] = ()
    std_in: str = "all"
    std_out: str = ""
    std_err: str = ""
    open_mode: str = ""
    is_pty: bool = False
    pty_size: tuple[int, int] = (24, 80)
    is_labelled: bool = False
    is_unbuffered: bool = False
    kill_on_bad_exit: bool = False
    #: What the tasks leave behind is waited for, where it would be ended with the last of them.
    waits_for_children: bool = False
    multi_prog: str = ""
    #: The rlimits are what --propagate named, whatever the site's configuration says.
    is_limits_asked: bool = False
    task_prolog: str = ""
    task_epilog: str = ""
    #: The step daemons tell which CPUs and GPUs the tasks have.
    is_verbose: bool = False
    mpi: str = "none"
    #: NAME=value that hold over what the step gives its tasks: of a step over several components, the whole of it.
    own_environment: tuple[bytes, ...] = ()
    #: The plugin of --launch.
    launcher: str = ""
    cluster: str = ""
    #: Where the agents of the step's nodes listen, in their order; sent where step daemons have to find each other.
    peers: tuple[PeerAddress, ...] = ()
    #: Of a step over several components whose step daemons have to find each other: all of them, in the order of ranks.
    #: The peers are then those of all parts.
    parts: tuple[StepPart, ...] = ()


class JoinStep(Message, frozen=True, kw_only=True):
    """A step daemon to the agent of another node of its step: hand this connection to the step daemon there.

    The hello brought the step's credential.  node: who asks.  That step daemon answers, once the step is launched
    there; before, the agent answers "not_launched".
    """

    node: str
    job_id: int
    attempt: int
    step_id: int


class TaskAttach(Message, frozen=True, kw_only=True):
    """sattach to each agent of a running step; the connection is then the step daemon's.

    What follows is as after TaskLaunch, the output from now on.  TaskInput counts, its end and TaskSignal do not.
    Nothing may be sent before TaskStarted has come.
    """

    credential: str
    node: str


# The connection after TaskLaunch, all NOTICEs.  From the step daemon: TaskStarted once, then TaskOutput, TaskExit and
# StepTalk as they come, StepDone last.  From srun: TaskInput, TaskSignal, TerminalSize.


class TaskStarted(Message, frozen=True, kw_only=True):
    """The tasks exist.  pids: (rank, pid)."""

    node: str
    pids: tuple[tuple[int, int], ...]


class TaskOutput(Message, frozen=True, kw_only=True):
    """Bytes that a task wrote; stream 1 is stdout, 2 stderr."""

    task: int
    stream: int
    data: bytes


class TaskExit(Message, frozen=True, kw_only=True):
    task: int
    exit_code: int = 0
    exit_signal: int = 0
    is_out_of_memory: bool = False
    #: It has ended the whole step (MPI_Abort): its exit code is the step's.
    has_aborted: bool = False


class StepTalk(Message, frozen=True, kw_only=True):
    """A line for the user's stderr, whole: "slurmstepd-n2: error: execve(): /no/such: No such file or directory"."""

    text: str


class StepDone(Message, frozen=True, kw_only=True):
    """Every task of this node has ended and every byte was sent.  ending: set when the step was ended from outside."""

    node: str
    ending: Ending | None = None


class TaskInput(Message, frozen=True, kw_only=True):
    """Bytes for a task's stdin; task -1 is all of them."""

    task: int = -1
    data: bytes = b""
    is_end: bool = False


class TaskSignal(Message, frozen=True, kw_only=True):
    signal: int


class TerminalSize(Message, frozen=True, kw_only=True):
    rows: int
    columns: int


class MintCredential(Message, frozen=True, kw_only=True):
    """A command asks its host's agent, over the UNIX socket, for a credential that names it."""

    audience: str = "sluicectld"


class AdoptProcess(Message, frozen=True, kw_only=True):
    """root to its host's agent, over the UNIX socket: take a process that came by another way into its user's job.

    Answered with Adopted; by the code "no_job" where the user has none there.  uid: whose job it is to be.  job_id
    None: of several, the one that came last.
    """

    pid: int
    uid: int
    job_id: int | None = None


class Adopted(Message, frozen=True, kw_only=True):
    """The process is in that job's extern step."""

    job_id: int
    node: str


class Credential(Message, frozen=True, kw_only=True):
    credential: str
