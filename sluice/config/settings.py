"""The cluster-wide settings that have an effect, typed: one field per key of schema_cluster.py that names it.

The defaults here are the table's; load() fills in those that depend on other settings.  Times are in
seconds whatever unit the key has in the file.  Text that is unset is "".
"""

from __future__ import annotations

import msgspec


class Controller(msgspec.Struct, frozen=True):
    """One SlurmctldHost: the host's name and the address that reaches it."""

    name: str
    address: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What slurm.conf says about the whole cluster."""

    #: The first one is in charge.
    controllers: tuple[Controller, ...] = ()
    #: With what each word brings along: safe brings limits, limits brings associations.
    accounting_storage_enforce: tuple[str, ...] = ()
    accounting_storage_tres: tuple[str, ...] = ("cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages")
    accounting_storage_type: str = "accounting_storage/none"
    accounting_store_flags: tuple[str, ...] = ()
    allow_spec_resources_usage: bool = False
    #: Lists of words: name -> value, "" for a bare word, names in lower case.
    auth_info: dict[str, str] = {}
    auth_type: str = "auth/key"
    batch_start_timeout_s: int = 10
    bcast_exclude: tuple[str, ...] = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
    bcast_parameters: dict[str, str] = {}
    cli_filter_plugins: tuple[str, ...] = ()
    cluster_name: str = ""
    complete_wait_s: int = 0
    #: None: no default.
    cpus_per_gpu: int | None = None
    #: Memory in MiB; None: no limit, or all memory of the node.
    default_memory_per_cpu_mib: int | None = None
    default_memory_per_gpu_mib: int | None = None
    default_memory_per_node_mib: int | None = None
    dependency_parameters: dict[str, str] = {}
    disable_root_jobs: bool = False
    #: NO, ANY or ALL.
    enforce_partition_limits: str = "NO"
    epilog: str = ""
    epilog_controller: str = ""
    fair_share_dampening_factor: int = 1
    first_job_id: int = 1
    get_env_timeout_s: int = 2
    gres_types: tuple[str, ...] = ()
    group_update_interval_s: int = 600
    #: 0: never.
    failing_users_max: int = 0
    health_check_interval_s: int = 0
    health_check_node_state: tuple[str, ...] = ("ANY",)
    health_check_program: str = ""
    #: 0: no limit, here and in wait_s and complete_wait_s.
    inactive_limit_s: int = 0
    interactive_step_options: str = "--interactive --preserve-env --pty $SHELL"
    sample_interval_s: int = 30
    job_acct_gather_type: str = "jobacct_gather/none"
    job_acct_gather_parameters: dict[str, str] = {}
    job_completion_location: str = "/var/log/slurm_jobcomp.log"
    job_completion_type: str = "jobcomp/none"
    job_file_append: bool = False
    job_requeue: bool = True
    job_submit_plugins: tuple[str, ...] = ()
    kill_on_bad_exit: bool = False
    kill_wait_s: int = 30
    launch_parameters: dict[str, str] = {}
    licenses: dict[str, int] = {}
    mail_domain: str = ""
    mail_program: str = "/bin/mail"
    #: One more than the largest index of a job array.
    array_size_max: int = 1001
    batch_requeues_max: int = 5
    jobs_max: int = 10000
    job_id_max: int = 67043328
    max_memory_per_cpu_mib: int | None = None
    max_memory_per_node_mib: int | None = None
    #: None: as many nodes as the configuration has.
    nodes_max: int | None = None
    steps_per_job_max: int = 40000
    tasks_per_node_max: int = 512
    message_timeout_s: int = 10
    min_job_age_s: int = 300
    mpi_default: str = "none"
    mpi_parameters: dict[str, str] = {}
    #: Seconds past the time limit before a job is killed; None: never.
    over_limit_s: int | None = 0
    plug_stack_config: str = ""
    #: Subset of GANG, OFF, CANCEL, REQUEUE, SUSPEND, WITHIN, PRIORITY.
    preempt_mode: tuple[str, ...] = ("OFF",)
    preempt_parameters: dict[str, str] = {}
    preempt_type: str = "preempt/none"
    preempt_exempt_s: int = 0
    prep_plugins: tuple[str, ...] = ("script",)
    #: Weights of the site's own factors, by their plugins' names.
    priority_parameters: dict[str, str] = {}
    priority_site_factor_parameters: str = ""
    priority_site_factor_plugin: str = ""
    #: 0: usage does not decay.
    priority_decay_half_life_s: int = 604800
    priority_calc_period_s: int = 300
    priority_favor_small: bool = False
    priority_flags: tuple[str, ...] = ()
    priority_max_age_s: int = 604800
    priority_usage_reset_period: str = "NONE"
    priority_type: str = "priority/multifactor"
    priority_weight_age: int = 0
    priority_weight_assoc: int = 0
    priority_weight_fair_share: int = 0
    priority_weight_job_size: int = 0
    priority_weight_partition: int = 0
    priority_weight_qos: int = 0
    priority_weight_tres: dict[str, float] = {}
    private_data: tuple[str, ...] = ()
    proctrack_type: str = "proctrack/cgroup"
    prolog: str = ""
    #: None: for ever.
    prolog_epilog_timeout_s: int | None = None
    prolog_controller: str = ""
    #: With what each word brings along: Contain brings Alloc.
    prolog_flags: tuple[str, ...] = ()
    x11_parameters: tuple[str, ...] = ()
    propagate_prio_process: int = 0
    propagate_resource_limits: tuple[str, ...] = ("ALL",)
    propagate_resource_limits_except: tuple[str, ...] = ()
    reboot_program: str = ""
    requeue_exit: tuple[int, ...] = ()
    requeue_exit_hold: tuple[int, ...] = ()
    resume_fail_program: str = ""
    resume_program: str = ""
    resume_nodes_per_minute: int = 300
    resume_timeout_s: int = 60
    reservation_epilog: str = ""
    #: None: for ever.
    reservation_overrun_s: int | None = 0
    reservation_prolog: str = ""
    #: 0: an administrator only, 1: when it was down for not responding, 2: whenever it registers well.
    return_to_service: int = 0
    scheduler_parameters: dict[str, str] = {}
    scheduler_time_slice_s: int = 30
    scheduler_type: str = "sched/backfill"
    scron_parameters: dict[str, str] = {}
    select_type: str = "select/cons_tres"
    select_type_parameters: tuple[str, ...] = ("CR_Core_Memory",)
    slurm_user: str = "root"
    slurmctld_debug: str = "info"
    slurmctld_log_file: str = ""
    slurmctld_port: int = 6817
    slurmctld_timeout_s: int = 120
    slurmctld_parameters: dict[str, str] = {}
    slurmd_debug: str = "info"
    slurmd_log_file: str = ""
    slurmd_parameters: dict[str, str] = {}
    #: Paths of agents: %n is the node name, %h the host name.
    slurmd_pid_file: str = "/run/sluice/sluiced-%n.pid"
    slurmd_port: int = 6818
    slurmd_spool_dir: str = "/var/spool/sluice/%n"
    slurmd_timeout_s: int = 300
    slurmd_user: str = "root"
    slurmctld_pid_file: str = "/run/sluice/sluicectld.pid"
    agent_socket: str = "/run/sluice/sluiced-%n.sock"
    controller_socket: str = "/run/sluice/sluicectld.sock"
    #: An SQLAlchemy URL; load() fills in the file in state_save_location.
    database_url: str = ""
    #: load() fills in sluice.key beside the configuration file.
    key_file: str = ""
    output_tail_bytes: int = 4096
    private_dirs: tuple[str, ...] = ()
    srun_epilog: str = ""
    #: First and last; None: any.
    srun_port_range: tuple[int, int] | None = None
    srun_prolog: str = ""
    state_save_location: str = "/var/lib/sluice"
    suspend_except_nodes: tuple[str, ...] = ()
    suspend_except_partitions: tuple[str, ...] = ()
    suspend_except_states: tuple[str, ...] = ()
    suspend_program: str = ""
    suspend_nodes_per_minute: int = 60
    #: None: nodes are never powered down.
    suspend_idle_s: int | None = None
    suspend_timeout_s: int = 30
    task_epilog: str = ""
    #: Without task/.
    task_plugins: tuple[str, ...] = ("affinity", "cgroup")
    task_plugin_parameters: dict[str, str] = {}
    task_prolog: str = ""
    tmp_fs: str = "/tmp"
    topology_parameters: dict[str, str] = {}
    topology_plugin: str = "topology/flat"
    track_wckey: bool = False
    tree_width: int = 16
    unkillable_step_program: str = ""
    unkillable_step_timeout_s: int = 60
    wait_s: int = 0
