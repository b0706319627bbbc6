"""From commands to the controller: questions, and the little that administrators order."""

import msgspec

from sluice.model.explanation import Explanation
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.reason import Blocker
from sluice.model.reservation import Reservation
from sluice.model.step import Step

from .base import Message


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
    #: Of heterogeneous jobs: all components with any that is named; None: with the first; False: only those named.
    whole_het: bool | None = None


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


class ExplainJobs(Message, frozen=True, kw_only=True):
    """sluice explain: everything about a few jobs.  is_brief: do not look for changes that would start them now."""

    ids: tuple[str, ...]
    is_brief: bool = False


class Explanations(Message, frozen=True, kw_only=True):
    """In the order of the ids; of an array that still waits, its waiting part."""

    jobs: tuple[Explanation, ...] = ()
    now_at: float = 0.0


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

    counters: dict[str, float] = msgspec.field(default_factory=dict)
