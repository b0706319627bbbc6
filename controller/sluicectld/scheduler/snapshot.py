"""What one pass sees: an immutable view of the cluster at one version.

The state keeps these records up to date as it applies events and hands out shallow copies; a pass reads nothing else.
"""

import msgspec

from sluice.model.allocation import Allocation
from sluice.model.association import Association, AssociationKey
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptSetup
from sluice.model.priority import PrioritySetup, PriorityTables
from sluice.model.qos import Qos
from sluice.model.reservation import Reservation
from sluice.model.usage import Holder, Usage
from sluice_plugins.interfaces import PreemptPlugin, PriorityRule
from sluice_plugins.registry import Network

from .memo import StandingMemo
from .patience import Patience
from .plan import PlannedStart
from .totals import Totals


class GresFree(msgspec.Struct, frozen=True):
    """One kind of unit on a node: total and free unit numbers as masks, bit n for unit n.

    is_counted: the units have no identity; total and free are then how many there are.
    """

    name: str
    type: str
    total: int
    free: int
    is_counted: bool = False

    @property
    def total_count(self) -> int:
        return self.total if self.is_counted else self.total.bit_count()

    @property
    def free_count(self) -> int:
        return self.free if self.is_counted else self.free.bit_count()


#: CPUs that jobs of a partition share, by partition: masks of those with exactly one, two, ... jobs.
Shared = tuple[tuple[str, tuple[int, ...]], ...]


class NodeFree(msgspec.Struct, frozen=True):
    """A node and what is free on it.

    free_cpus: mask of schedulable CPU numbers.  job_count: jobs that hold a part of it.
    exclusive_job: the job that has the whole node, 0 if none.  uids: whose jobs are here (for exclusive=user).
    """

    node: Node
    free_cpus: int
    free_memory_mib: int
    gres: tuple[GresFree, ...] = ()
    job_count: int = 0
    exclusive_job: int = 0
    uids: tuple[int, ...] = ()
    #: The only user whose jobs may come (exclusive=user), None: any.
    exclusive_uid: int | None = None
    shared: Shared = ()


class RunningJob(msgspec.Struct, frozen=True):
    """A job that holds resources; expected_end_at is its start plus its limit, None when unlimited."""

    job_id: int
    name: str
    allocation: Allocation
    expected_end_at: float | None
    uid: int = 0
    partition: str = ""
    #: The reservation that it runs in, and the licenses that it holds.
    reservation: str = ""
    licenses: tuple[tuple[str, int], ...] = ()
    #: Its record; a job without one is never preempted.  One that is suspended holds no CPUs.
    job: Job | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """nodes: in configuration order.  pending: jobs that could start now (not held, begun, nothing to wait for).

    running_tasks: by array job id, for throttles.  A job with pending_array stands for all its unstarted tasks.
    promised: planned starts of an earlier pass that are to be kept, by job id (Policy.keeps_promises).
    is_freed: something ended since those promises were made, so that jobs may move ahead.
    """

    version: int
    now_at: float
    nodes: tuple[NodeFree, ...]
    partitions: dict[str, Partition]
    pending: tuple[Job, ...]
    running: tuple[RunningJob, ...] = ()
    running_tasks: dict[int, int] = {}
    licenses_free: dict[str, int] = {}
    promised: dict[int, PlannedStart] = {}
    is_freed: bool = True
    #: What accounting knows that counts for priorities.
    priority_tables: PriorityTables = PriorityTables()
    #: Jobs that run or are suspended, when their priorities go on changing (PriorityFlags=CALCULATE_RUNNING).
    renumbered: tuple[Job, ...] = ()
    #: By job id, as the pass before this one found them.
    priorities: dict[int, int] = {}
    #: Accounts and users with their limits, QOS with theirs, and what each holder of limits uses now.
    associations: dict[AssociationKey, Association] = {}
    qos: dict[str, Qos] = {}
    usage: dict[Holder, Usage] = {}
    reservations: tuple[Reservation, ...] = ()
    #: How long pending jobs will probably run, by job id, fixed at their submission (Policy.is_predicting).
    predicted_s: dict[int, float] = {}
    #: Jobs that are being preempted, that were and are suspended, or have ended and still hold what is not clean.
    leaving: tuple[RunningJob, ...] = ()
    #: All others that have ended and still hold what is not clean.
    completing: tuple[RunningJob, ...] = ()


class Policy(msgspec.Struct, frozen=True):
    """The scheduler's configuration: everything that a decision depends on besides the snapshot."""

    is_backfilling: bool = True
    #: Pending jobs for which a pass looks into the future at most (bf_max_job_test).
    backfill_jobs_max: int = 500
    #: Nodes looked at over time in one pass at most, all planned jobs together: bounds the time of a pass.
    backfill_node_looks_max: int = 10_000_000
    backfill_window_s: float = 86400.0
    #: Planned starts are at multiples of it (bf_resolution); 0: exact.
    backfill_resolution_s: float = 0.0
    #: Starts in one pass at most.
    starts_max: int = 1000
    #: Planned starts for one shape of request in one pass at most; further twins wait behind them.
    planned_per_shape_max: int = 20
    #: "cpu", "core" or "socket": the unit in which CPUs are granted; "node" for whole nodes (select/linear).
    select_unit: str = "core"
    has_memory: bool = True
    is_least_loaded: bool = False
    default_memory_per_node_mib: int | None = None
    default_memory_per_cpu_mib: int | None = None
    default_cpus_per_gpu: int = 0
    enforce_partition_limits: str = "NO"
    #: Seconds east of UTC for the clock times in blockers' texts.
    utc_offset_s: int = 0
    #: Jobs of a queue that get a planned start which no lower job may delay; the others only fill gaps.  1: EASY.
    planned_max: int = 500
    #: Bounds of backfill (bounds.py); 0: none.
    backfill_user_jobs_max: int = 0
    backfill_partition_jobs_max: int = 0
    backfill_user_partition_jobs_max: int = 0
    backfill_starts_max: int = 0
    #: A job holds a planned start only when it has waited so long and has such a priority, or is among the first ones.
    plan_age_min_s: float = 0.0
    plan_priority_min: int = 0
    partition_plans_min: int = 0
    #: Candidates for backfill go shortest first (SJBF), equal ones in the order of the queue.
    is_shortest_first: bool = False
    #: Planned starts outlive the pass and only ever move earlier (conservative backfill).
    keeps_promises: bool = False
    #: Blockers have their texts; without, only their reasons.
    is_explaining: bool = True
    #: Candidates for backfill go shortest first by prediction, and planned jobs are patient (with planned_max = 1).
    is_predicting: bool = False
    priority: PrioritySetup = PrioritySetup()
    #: The priority plugin at work; None: the order of arrival.
    priority_rule: PriorityRule | None = None
    #: What the cluster has, for factors that are parts of it.
    totals: Totals = Totals()
    memo: StandingMemo = msgspec.field(default_factory=StandingMemo)
    #: Topologies by the name that a partition gives; empty: every node is as near as any other.
    networks: dict[str, Network] = {}
    #: A job waits this long at most for the switches that it asks for (max_switch_wait).
    switch_wait_max_s: float = 300.0
    #: MiB a GPU unless asked otherwise.
    default_memory_per_gpu_mib: int | None = None
    #: CR_ONE_TASK_PER_CORE, unless --ntasks-per-core says otherwise.
    is_one_task_per_core: bool = False
    #: CR_CORE_DEFAULT_DIST_BLOCK: few sockets rather than all in turn, unless -m says otherwise.
    is_block_by_default: bool = False
    #: CR_Pack_Nodes: tasks on whole nodes fill one after the other rather than evenly.
    packs_tasks: bool = False
    #: pack_serial_at_end: jobs of one CPU come to the last nodes.
    puts_serial_last: bool = False
    #: bf_busy_nodes: planned starts prefer nodes that are in use.
    prefers_busy_nodes: bool = False
    #: AllowSpecResourcesUsage: --core-spec replaces what the node withholds.
    allows_core_spec: bool = False
    #: Words of AccountingStorageEnforce; limits of associations and QOS count with "limits".
    accounting_enforced: frozenset[str] = frozenset()
    #: Billing is the greatest of a node's weighted TRES instead of their sum (PriorityFlags=MAX_TRES).
    is_billing_max: bool = False
    #: A job that a limit keeps from starting keeps lower ones of its partition waiting (assoc_limit_stop).
    stops_at_limits: bool = False
    #: Of the cluster, for partitions that say nothing of their own.
    max_memory_per_cpu_mib: int | None = None
    max_memory_per_node_mib: int | None = None
    #: Zone of the clock times at which repeating reservations come: "Europe/Berlin", "UTC+01:00".
    time_zone: str = "UTC"
    #: How long jobs may go on after their reservation (ResvOverRun); None: any time.
    reservation_overrun_s: float | None = 0.0
    #: How long jobs let shorter ones pass, with predictions.
    patience: Patience = Patience()
    preempt: PreemptSetup = PreemptSetup()
    #: The preempt plugin at work; None: nobody preempts.
    preempt_plugin: PreemptPlugin | None = None
