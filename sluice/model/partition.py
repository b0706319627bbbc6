"""A partition: a named set of nodes with limits, defaults and allowed users; a job waits in one or more."""

from .base import Record


class Partition(Record, frozen=True, kw_only=True):
    """One partition.  None stands for unlimited or unset, as the field's comment says."""

    name: str
    nodes: tuple[str, ...] = ()
    is_default: bool = False
    #: UP, DOWN (accepts, does not start), DRAIN (starts, does not accept) or INACTIVE (neither).
    state: str = "UP"
    #: None: unlimited.
    max_limit_s: int | None = None
    #: None: the maximum is the default.
    default_limit_s: int | None = None
    #: None: unlimited.
    max_nodes: int | None = None
    min_nodes: int = 0
    max_cpus_per_node: int | None = None
    priority_tier: int = 1
    priority_job_factor: int = 1
    #: NO, YES:n, FORCE:n or EXCLUSIVE.
    oversubscribe: str = "NO"
    #: None: the cluster's default.
    default_memory_per_cpu_mib: int | None = None
    default_memory_per_node_mib: int | None = None
    max_memory_per_cpu_mib: int | None = None
    max_memory_per_node_mib: int | None = None
    #: Empty: all.
    allow_groups: tuple[str, ...] = ()
    allow_accounts: tuple[str, ...] = ()
    deny_accounts: tuple[str, ...] = ()
    allow_qos: tuple[str, ...] = ()
    deny_qos: tuple[str, ...] = ()
    allow_submit_nodes: tuple[str, ...] = ()
    qos: str = ""
    grace_s: int = 0
    preempt_mode: str = ""
    is_hidden: bool = False
    root_only: bool = False
    disable_root_jobs: bool = False
    requires_reservation: bool = False
    exclusive_user: bool = False
    least_loaded: bool = False
    #: None: the cluster's OverTimeLimit.
    over_limit_s: int | None = None
    billing_weights: str = ""
    index: int = 0
    #: The topology by which its jobs are placed; "": the cluster's default.
    topology: str = ""
    #: None: the cluster's.
    default_memory_per_gpu_mib: int | None = None
    default_cpus_per_gpu: int | None = None
    #: None: unlimited.
    max_cpus_per_socket: int | None = None
