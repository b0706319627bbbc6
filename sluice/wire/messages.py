"""Every message by name: who sends it, what comes back.

The struct's class name is the name on the wire.  Unknown fields are ignored, missing ones take their default, so
that a side may be one release older.  Commands send plain maps of the same shape (they do not import this module).
`REQUESTS` lists what a daemon accepts, with the type of its reply; a test keeps the two in step.
"""

import msgspec

from sluice.model.job import Job
from sluice.model.node import Inventory, Node
from sluice.model.partition import Partition
from sluice.model.reason import Blocker
from sluice.model.request import JobSpec, StepSpec
from sluice.model.reservation import Reservation
from sluice.model.states import Ending
from sluice.model.step import Step, StepNode, Usage


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Base of all messages."""


class Done(Message, frozen=True, kw_only=True):
    """The reply of a request that only acts.  lines: what the user should be told, one a line."""

    lines: tuple[str, ...] = ()


# --- from commands to the controller: jobs


class SubmitJob(Message, frozen=True, kw_only=True):
    """Submit a job.  A repeated token returns the first submission's id.

    environment: NAME=value strings; script: the batch script, empty for an interactive job.
    """

    token: str
    spec: JobSpec
    script: bytes = b""
    environment: tuple[bytes, ...] = ()


class Submitted(Message, frozen=True, kw_only=True):
    """job_id is committed.  warnings go to the user's stderr; placement is told when it started at once."""

    job_id: int
    warnings: tuple[str, ...] = ()


class SubmitJobs(Message, frozen=True, kw_only=True):
    """Several submissions in one frame, each accepted or refused by itself."""

    submissions: tuple[SubmitJob, ...]


class SubmitOutcome(Message, frozen=True, kw_only=True):
    """job_id 0: refused with code and message."""

    job_id: int = 0
    code: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()


class SubmittedJobs(Message, frozen=True, kw_only=True):
    outcomes: tuple[SubmitOutcome, ...]


class TestJob(Message, frozen=True, kw_only=True):
    """--test-only: validate and estimate; nothing is queued."""

    __test__ = False

    spec: JobSpec


class TestedJob(Message, frozen=True, kw_only=True):
    """When and where the job would start; job_id is what it would be called if it were submitted now."""

    __test__ = False

    job_id: int = 0
    start_at: float
    cpu_count: int
    nodes: str
    partition: str


class WaitJobStart(Message, frozen=True, kw_only=True):
    """Answered when the job has its allocation; refused (code "revoked") when it ended before."""

    job_id: int


class StartedJob(Message, frozen=True, kw_only=True):
    job: Job
    #: Of the allocation's nodes: (node, address, port).
    addresses: tuple[tuple[str, str, int], ...] = ()
    is_ended: bool = False


class WaitJobEnd(Message, frozen=True, kw_only=True):
    """Answered when the job (all tasks of an array) has ended."""

    job_id: int


class EndedJob(Message, frozen=True, kw_only=True):
    """exit_code is the highest of an array's tasks."""

    state: str
    exit_code: int
    exit_signal: int = 0


class FinishAllocation(Message, frozen=True, kw_only=True):
    """The interactive job's command is done: release the allocation."""

    job_id: int
    exit_code: int = 0
    exit_signal: int = 0


class KillJobs(Message, frozen=True, kw_only=True):
    """scancel: end jobs or send them a signal.

    ids: job id expressions; the other filters combine with AND.  signal 0: end the job.
    """

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    reservations: tuple[str, ...] = ()
    wckeys: tuple[str, ...] = ()
    signal: int = 0
    batch_only: bool = False
    full: bool = False


class KillOutcome(Message, frozen=True, kw_only=True):
    """id: as the user wrote it.  code "" is done; "unknown", "ended", "not_permitted" otherwise."""

    id: str
    code: str = ""
    message: str = ""


class KilledJobs(Message, frozen=True, kw_only=True):
    outcomes: tuple[KillOutcome, ...]


class ChangeJobs(Message, frozen=True, kw_only=True):
    """hold, uhold, release, requeue, requeuehold, suspend, resume, top on job id expressions."""

    action: str
    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    is_incomplete: bool = False
    is_special_exit: bool = False


class UpdateJobs(Message, frozen=True, kw_only=True):
    """scontrol update JobId=...: changes are (key, value) as typed, keys in any case."""

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    changes: tuple[tuple[str, str], ...] = ()


class UpdateNodes(Message, frozen=True, kw_only=True):
    nodes: str
    changes: tuple[tuple[str, str], ...] = ()


class UpdatePartition(Message, frozen=True, kw_only=True):
    """action: update, create or delete."""

    name: str
    action: str = "update"
    changes: tuple[tuple[str, str], ...] = ()


class UpdateReservation(Message, frozen=True, kw_only=True):
    """action: update, create or delete.  changes: (key, value) as typed; a key may end in + or -.

    A new reservation without a name gets one, which the reply's line tells.
    """

    name: str = ""
    action: str = "update"
    changes: tuple[tuple[str, str], ...] = ()


# --- from commands to the controller: questions


class JobFilter(Message, frozen=True, kw_only=True):
    """Which jobs; empty fields do not restrict.  states empty: all states."""

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    reservations: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()


class QueryJobs(Message, frozen=True, kw_only=True):
    """Jobs in memory: all that are active, and the ended ones of the last MinJobAge.

    Streams JobViews parts, then JobViews.
    """

    filter: JobFilter = JobFilter()


class JobView(Message, frozen=True, kw_only=True):
    """A job with what the scheduler says of it."""

    job: Job
    blockers: tuple[Blocker, ...] = ()
    planned_start_at: float | None = None
    planned_nodes: str = ""
    #: The submission's nodes folded, so that a command need not fold ("n[1-4]").
    nodes: str = ""
    last_scheduled_at: float | None = None
    #: What is to become of a running or suspended job that makes room for another.
    note: str = ""


class JobViews(Message, frozen=True, kw_only=True):
    """jobs: encoded JobView records.  now_at: the controller's clock, for elapsed times."""

    jobs: tuple[msgspec.Raw, ...] = ()
    now_at: float = 0.0


class QuerySteps(Message, frozen=True, kw_only=True):
    filter: JobFilter = JobFilter()


class StepView(Message, frozen=True, kw_only=True):
    step: Step
    nodes: str
    partition: str
    user: str
    uid: int
    job_name: str = ""
    array_job_id: int = 0
    array_task_id: int | None = None


class StepViews(Message, frozen=True, kw_only=True):
    steps: tuple[StepView, ...] = ()
    now_at: float = 0.0


class QueryNodes(Message, frozen=True, kw_only=True):
    """names: hostlist, empty for all."""

    names: str = ""


class NodeView(Message, frozen=True, kw_only=True):
    """A node with what is allocated on it.

    state: base word as listings use it ("idle", "mixed", "allocated", "down", "unknown", "future");
    flags: upper case words ("DRAIN", "COMPLETING", "NOT_RESPONDING", "FAIL", "PLANNED", "MAINTENANCE", "RESERVED").
    """

    node: Node
    state: str
    flags: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    allocated_cpus: int = 0
    allocated_memory_mib: int = 0
    #: "gpu:a100:2(IDX:0-1)" in Slurm's form.
    gres_used: str = ""
    cpu_load: float | None = None
    free_memory_mib: int | None = None
    reason_user: str = ""
    #: The reservation in force there.
    reservation: str = ""


class NodeViews(Message, frozen=True, kw_only=True):
    nodes: tuple[NodeView, ...] = ()
    now_at: float = 0.0


class QueryPartitions(Message, frozen=True, kw_only=True):
    name: str = ""


class PartitionViews(Message, frozen=True, kw_only=True):
    partitions: tuple[Partition, ...] = ()
    now_at: float = 0.0


class QueryReservations(Message, frozen=True, kw_only=True):
    """name: empty for all."""

    name: str = ""


class ReservationViews(Message, frozen=True, kw_only=True):
    """reservations: with the times that hold now."""

    reservations: tuple[Reservation, ...] = ()
    now_at: float = 0.0


class QueryConfig(Message, frozen=True, kw_only=True):
    pass


class ConfigView(Message, frozen=True, kw_only=True):
    """settings: (key, value as shown)."""

    settings: tuple[tuple[str, str], ...] = ()
    now_at: float = 0.0


class QueryTopology(Message, frozen=True, kw_only=True):
    """scontrol show topology.

    name: a topology, a unit (switch, block) or a node; empty: the default topology.  unit, node: that alone.
    """

    name: str = ""
    unit: str = ""
    node: str = ""


class TopologyUnitView(Message, frozen=True, kw_only=True):
    """One unit: its keys and values in the order to print."""

    name: str
    fields: tuple[tuple[str, str], ...]


class TopologyViews(Message, frozen=True, kw_only=True):
    """is_flat: there is no topology to show."""

    units: tuple[TopologyUnitView, ...] = ()
    is_flat: bool = False
    now_at: float = 0.0


class QueryAccounting(Message, frozen=True, kw_only=True):
    """sacct: jobs of any age from SQL, in order of id; streams AccountingRows parts.

    start_at, end_at: the window in which a job must have existed; None is open.
    with_duplicates: every attempt of a requeued job.
    """

    filter: JobFilter = JobFilter()
    start_at: float | None = None
    end_at: float | None = None
    uids: tuple[int, ...] = ()
    all_users: bool = False
    with_steps: bool = True
    with_duplicates: bool = False


class AccountingRow(Message, frozen=True, kw_only=True):
    """A job (at one attempt) with its steps."""

    job: Job
    steps: tuple[Step, ...] = ()
    nodes: str = ""
    reason: str = ""


class AccountingRows(Message, frozen=True, kw_only=True):
    rows: tuple[AccountingRow, ...] = ()
    now_at: float = 0.0
    cluster: str = ""


class QueryScript(Message, frozen=True, kw_only=True):
    job_id: int


class ScriptText(Message, frozen=True, kw_only=True):
    script: bytes


class QueryOutput(Message, frozen=True, kw_only=True):
    """sluice output JOB: the kept end of each stream and any launch error."""

    job_id: int


class StreamTail(Message, frozen=True, kw_only=True):
    """The end of one stream of one step on one node.  error: why the file could not be written, empty if it could."""

    step_id: int
    node: str
    stream: str
    path: str = ""
    tail: bytes = b""
    is_cut: bool = False
    error: str = ""


class OutputView(Message, frozen=True, kw_only=True):
    tails: tuple[StreamTail, ...] = ()


class ExplainJob(Message, frozen=True, kw_only=True):
    job_id: int


class Ping(Message, frozen=True, kw_only=True):
    pass


class Pong(Message, frozen=True, kw_only=True):
    host: str
    version: str
    cluster: str
    epoch: int
    #: "up", or why the controller cannot store ("storage: database or disk is full").
    condition: str = "up"


class Reconfigure(Message, frozen=True, kw_only=True):
    pass


class Shutdown(Message, frozen=True, kw_only=True):
    pass


class QueryStatistics(Message, frozen=True, kw_only=True):
    pass


class Statistics(Message, frozen=True, kw_only=True):
    """Counters and seconds by name, for sdiag and the benchmarks."""

    counters: dict[str, float] = {}


# --- from srun to the controller: steps


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


class FinishStep(Message, frozen=True, kw_only=True):
    """srun could not launch the step: release it."""

    job_id: int
    step_id: int
    exit_code: int = 1


class LocateJob(Message, frozen=True, kw_only=True):
    """A job's allocation, for srun --jobid and for a step that knows its job id alone."""

    job_id: int


# --- from agents to the controller


class RunningStep(Message, frozen=True, kw_only=True):
    """A step that an agent still has; is_ended: its result waits in the agent's next Report."""

    job_id: int
    attempt: int
    step_id: int
    is_ended: bool = False


class NodeReport(Message, frozen=True, kw_only=True):
    """One node of a registration: what it measured and what it runs."""

    node: str
    inventory: Inventory
    steps: tuple[RunningStep, ...] = ()
    #: Where commands on other hosts reach this agent; empty: as configured.
    address: str = ""
    port: int = 0


class Register(Message, frozen=True, kw_only=True):
    """An agent (or a relay for many nodes) introduces its nodes; sent at every connection."""

    nodes: tuple[NodeReport, ...]
    config_digest: str = ""


class Registered(Message, frozen=True, kw_only=True):
    """epoch: messages of an older controller must be refused.  config: what the agents need of the configuration.

    cluster_id: of the controller's database.  An agent that remembers another one forgets that cluster's jobs.
    """

    epoch: int
    config: "AgentConfig"
    cluster_id: str = ""
    #: (node, job_id, attempt) of jobs that the controller does not have on that node: end them.
    stale_jobs: tuple[tuple[str, int, int], ...] = ()


class AgentConfig(Message, frozen=True, kw_only=True):
    """The numbered configuration that agents run with."""

    version: int
    digest: str
    cluster: str
    kill_wait_s: float = 30.0
    heartbeat_interval_s: float = 30.0
    output_tail_bytes: int = 4096
    job_file_append: bool = False
    tmp_fs: str = "/tmp"
    mpi_default: str = "none"
    kill_on_bad_exit: bool = False
    prolog: tuple[str, ...] = ()
    epilog: tuple[str, ...] = ()
    task_prolog: str = ""
    task_epilog: str = ""
    prolog_timeout_s: float = 0.0
    #: What KILL has not ended after this long stays, and its node is drained; 0: wait for ever.
    unkillable_timeout_s: float = 60.0
    prolog_flags: tuple[str, ...] = ()
    propagate_limits: str = "ALL"
    constrain_cores: bool = False
    constrain_memory: bool = False
    constrain_swap: bool = False
    constrain_devices: bool = False
    settings: dict[str, str] = {}
    #: node -> (way to it from the top of the network, what the parts are), for the agent's own nodes.
    topology_addresses: dict[str, tuple[str, str]] = {}


class Heartbeat(Message, frozen=True, kw_only=True):
    """A NOTICE from an agent: still here; per node (node, load of the last minute, free memory in MiB)."""

    nodes: tuple[tuple[str, float, int], ...]


class StepResult(Message, frozen=True, kw_only=True):
    """A step's tasks on one node have ended.

    reason: why it could not run or was ended (a Reason's word), empty for a plain exit; ending: the cause told to it.
    is_node_clean: nothing of the job is left on this node and its epilog ran (told with the last step).
    """

    node: str
    job_id: int
    attempt: int
    step_id: int
    started_at: float = 0.0
    ended_at: float = 0.0
    exit_code: int = 0
    exit_signal: int = 0
    reason: str = ""
    reason_text: str = ""
    usage: Usage = Usage()
    tails: tuple[StreamTail, ...] = ()
    is_node_clean: bool = False


class NodeClean(Message, frozen=True, kw_only=True):
    """Nothing of this attempt of the job is left on the node; problem: why the node should be drained, empty if not."""

    node: str
    job_id: int
    attempt: int
    problem: str = ""


class Report(Message, frozen=True, kw_only=True):
    """What happened on the agent's nodes, in order; the reply Done means it is committed.  Repeats change nothing."""

    results: tuple[StepResult, ...] = ()
    clean: tuple[NodeClean, ...] = ()
    #: (node, reason): set the node to drain.
    drains: tuple[tuple[str, str], ...] = ()


# --- from the controller to agents (NOTICEs; every one carries epoch and attempt, and may be repeated)


class LaunchJob(Message, frozen=True, kw_only=True):
    """Start a job's batch script on its first node."""

    node: str
    epoch: int
    job: Job
    script: msgspec.Raw | bytes = b""
    #: NAME=value strings as submitted, encoded once.
    environment: msgspec.Raw | tuple[bytes, ...] = ()


class EndJob(Message, frozen=True, kw_only=True):
    """End all processes of a job on the node: TERM, after kill_wait_s KILL; then epilog; then NodeClean.

    by: the user's name or "" for the system; text: for the job's stderr ("DUE TO TIME LIMIT").
    """

    node: str
    epoch: int
    job_id: int
    attempt: int
    ending: Ending
    kill_wait_s: float
    by_uid: int = 0
    ended_at: float = 0.0


class SignalJob(Message, frozen=True, kw_only=True):
    """Send a signal: to steps, to the batch shell, or (full) to the batch shell with all its children and steps.

    step_id None: every step of the job.
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
    #: Why, for the program to read; "" for a signal that somebody sent.  deadline_at: when KILL follows.
    reason: str = ""
    deadline_at: float | None = None


class EndStep(Message, frozen=True, kw_only=True):
    """End one step: TERM, then KILL."""

    node: str
    epoch: int
    job_id: int
    attempt: int
    step_id: int
    kill_wait_s: float
    ending: Ending = Ending.CANCEL


class Orders(Message, frozen=True, kw_only=True):
    """A batch of orders on one connection, in order."""

    launches: tuple[LaunchJob, ...] = ()
    ends: tuple[EndJob, ...] = ()
    signals: tuple[SignalJob, ...] = ()
    step_ends: tuple[EndStep, ...] = ()
    config: AgentConfig | None = None


# --- from srun to agents and step daemons


class TaskLaunch(Message, frozen=True, kw_only=True):
    """srun to each agent of its step; the connection is then the step daemon's.

    stdin: "all", "none" or a rank as text; a pattern for files ("" streams to srun).
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
    multi_prog: str = ""
    task_prolog: str = ""
    task_epilog: str = ""
    mpi: str = "none"
    cluster: str = ""


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


class Credential(Message, frozen=True, kw_only=True):
    credential: str


#: name -> (request type, reply type) of what the controller accepts from commands and agents.
CONTROLLER_REQUESTS: dict[str, tuple[type[Message], type[Message]]] = {
    request.__name__: (request, reply)
    for request, reply in (
        (SubmitJob, Submitted),
        (SubmitJobs, SubmittedJobs),
        (TestJob, TestedJob),
        (WaitJobStart, StartedJob),
        (WaitJobEnd, EndedJob),
        (FinishAllocation, Done),
        (KillJobs, KilledJobs),
        (ChangeJobs, Done),
        (UpdateJobs, Done),
        (UpdateNodes, Done),
        (UpdatePartition, Done),
        (UpdateReservation, Done),
        (QueryJobs, JobViews),
        (QuerySteps, StepViews),
        (QueryNodes, NodeViews),
        (QueryPartitions, PartitionViews),
        (QueryReservations, ReservationViews),
        (QueryConfig, ConfigView),
        (QueryTopology, TopologyViews),
        (QueryAccounting, AccountingRows),
        (QueryScript, ScriptText),
        (QueryOutput, OutputView),
        (ExplainJob, JobView),
        (Ping, Pong),
        (Reconfigure, Done),
        (Shutdown, Done),
        (QueryStatistics, Statistics),
        (CreateStep, StepCreated),
        (FinishStep, Done),
        (LocateJob, StartedJob),
        (Register, Registered),
        (Report, Done),
    )
}
