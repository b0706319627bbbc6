"""What a job asks for (JobSpec) and what a step asks for (StepSpec), after the command has read its options.

None means "not asked"; the controller fills the defaults of the partition when it accepts the request.
Sizes are MiB, durations seconds, time points seconds since the epoch.
"""

from .base import Record


class GresRequest(Record, frozen=True, kw_only=True):
    """`name[:type]:count` of one generic resource."""

    name: str
    type: str = ""
    count: int = 1


class DependencyTerm(Record, frozen=True, kw_only=True):
    """One condition: `type:job[_task][+minutes]`; job_id 0 for singleton."""

    type: str
    job_id: int = 0
    task_id: int | None = None
    delay_s: int = 0


class Dependency(Record, frozen=True, kw_only=True):
    """Conditions on other jobs: all of them, or any one of them."""

    terms: tuple[DependencyTerm, ...] = ()
    is_any: bool = False


class WarnSignal(Record, frozen=True, kw_only=True):
    """`--signal`: which signal, how long before the limit, and to whom."""

    number: int
    before_s: int = 60
    to_batch_only: bool = False
    at_reservation: bool = False


class JobSpec(Record, frozen=True, kw_only=True):
    """A job as it was asked for.  Immutable: an update makes a new one under a new spec_id."""

    #: Who and what.
    name: str
    uid: int
    gid: int
    user: str
    group: str = ""
    account: str = ""
    qos: str = ""
    comment: str = ""
    wckey: str = ""
    admin_comment: str = ""
    command: str = ""
    arguments: tuple[str, ...] = ()
    submit_line: str = ""
    submit_host: str = ""
    submit_sid: int = 0
    #: A batch job has a script on the node; an interactive one (salloc, srun) has not.
    is_batch: bool = True
    #: "sbatch", "salloc" or "srun".
    origin: str = "sbatch"
    script_digest: str = ""
    environment_digest: str = ""
    #: --export: which of the submitter's variables the job gets (ALL, NONE, NIL or a list).
    export: str = ""
    get_user_env: bool = False

    #: Where it may run.
    partitions: tuple[str, ...] = ()
    required_nodes: tuple[str, ...] = ()
    #: -m arbitrary: the node of each rank; required_nodes has each of them once.  Read by nodes_of_ranks.
    task_nodes: tuple[str, ...] = ()
    excluded_nodes: tuple[str, ...] = ()
    features: str = ""
    reservation: str = ""
    licenses: str = ""
    is_contiguous: bool = False
    switches: str = ""

    #: How large.
    min_nodes: int = 1
    max_nodes: int = 0
    ntasks: int = 1
    cpus_per_task: int = 1
    ntasks_per_node: int = 0
    ntasks_per_core: int = 0
    ntasks_per_socket: int = 0
    min_cpus_per_node: int = 0
    memory_per_node_mib: int | None = None
    memory_per_cpu_mib: int | None = None
    memory_per_gpu_mib: int | None = None
    tmp_disk_mib: int = 0
    gres_per_node: tuple[GresRequest, ...] = ()
    gres_per_job: tuple[GresRequest, ...] = ()
    gres_per_task: tuple[GresRequest, ...] = ()
    gres_per_socket: tuple[GresRequest, ...] = ()
    cpus_per_gpu: int = 0
    gpu_bind: str = ""
    #: "" shared as the partition says, "node" whole nodes, "user" shared only with the same user, "mcs".
    exclusive: str = ""
    can_oversubscribe: bool = False
    is_overcommitted: bool = False
    sockets_per_node: int = 0
    cores_per_socket: int = 0
    threads_per_core: int = 0
    core_spec: int = 0
    hint: str = ""
    distribution: str = ""
    #: Options that the user gave, by long name; environment variables such as SLURM_NTASKS depend on it.
    given: frozenset[str] = frozenset()

    #: When and how long.
    limit_s: int | None = None
    is_unlimited: bool = False
    min_limit_s: int | None = None
    begin_at: float | None = None
    deadline_at: float | None = None
    dependency: Dependency = Dependency()
    kill_on_invalid_dependency: bool | None = None
    is_held: bool = False
    priority: int | None = None
    nice: int = 0
    can_requeue: bool | None = None
    #: ranges (first, last, step) of an array, empty for a plain job.
    array: tuple[tuple[int, int, int], ...] = ()
    array_throttle: int = 0
    #: The controller takes the job back when it has not started within so long (--immediate).
    immediate_s: int | None = None

    #: Input and output.
    work_dir: str = ""
    std_in: str = ""
    std_out: str = ""
    std_err: str = ""
    #: "a" append, "t" truncate, "" the site's default.
    open_mode: str = ""
    umask: int = 0o022
    #: (name, soft, hard) of the resource limits to set; -1 is unlimited.
    rlimits: tuple[tuple[str, int, int], ...] = ()
    warn_signal: WarnSignal | None = None
    mail_types: tuple[str, ...] = ()
    mail_user: str = ""
    no_kill: bool = False
    wait_all_nodes: bool = False
    kill_on_bad_exit: bool | None = None
    #: Options that are accepted, kept and shown, by long name.
    other: tuple[tuple[str, str], ...] = ()
    #: Nodes of each segment, which lie in one block of the topology; 0: no segments.
    segment: int = 0

    @property
    def nodes_of_ranks(self) -> tuple[str, ...]:
        """The node of each rank (-m arbitrary), as long as the list still is what the request asks for; else ()."""
        named = self.task_nodes
        if not named or len(named) != self.ntasks or set(named) != set(self.required_nodes):
            return ()
        return named


class StepSpec(Record, frozen=True, kw_only=True):
    """A parallel launch as srun asks for it inside an allocation."""

    name: str
    argv: tuple[str, ...] = ()
    ntasks: int | None = None
    min_nodes: int | None = None
    max_nodes: int | None = None
    cpus_per_task: int | None = None
    ntasks_per_node: int | None = None
    memory_per_node_mib: int | None = None
    memory_per_cpu_mib: int | None = None
    gres_per_node: tuple[GresRequest, ...] = ()
    gres_per_step: tuple[GresRequest, ...] = ()
    gres_per_task: tuple[GresRequest, ...] = ()
    #: --gres=none: nothing of what the job has.
    has_no_gres: bool = False
    required_nodes: tuple[str, ...] = ()
    excluded_nodes: tuple[str, ...] = ()
    relative: int | None = None
    distribution: str = ""
    hint: str = ""
    threads_per_core: int | None = None
    ntasks_per_core: int | None = None
    ntasks_per_socket: int | None = None
    is_overlapping: bool = False
    is_exact: bool = False
    is_overcommitted: bool = False
    is_interactive: bool = False
    limit_s: int | None = None
    cpu_bind: str = ""
    mem_bind: str = ""
    gpu_bind: str = ""
    mpi: str = ""
    #: Ports to lease on every node; -1: as many as the fullest node has tasks.
    ports: int = 0
    srun_host: str = ""
    srun_pid: int = 0
    #: Do not wait when it does not fit at once (--immediate).
    is_immediate: bool = False
