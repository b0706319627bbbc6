"""The tables of the lines that describe things: nodes, partitions, GRES, and cgroup.conf (CONTRACT 16.2-16.4).

A row: name, kind, default as written in the file, the field of the record it sets (none: known, no effect here).
The first row of a line's table is the key that such a line begins with.
"""

from __future__ import annotations

from sluice.config.key import Key, Table
from sluice.config.kinds import (
    BOOL,
    COUNT_WITH_UNIT,
    GRES,
    HOSTLIST,
    HOSTS_OR_ALL,
    LIST,
    MIB,
    MIB_OR_ZERO,
    MINUTES,
    NAMES_OR_ALL,
    PARAMETERS,
    PATH,
    PERCENT,
    SECONDS,
    TEXT,
    TIME_LIMIT,
    WEIGHTS,
    Kind,
    number_or_no_limit,
    one_of,
    some_of,
    whole_number,
)
from sluice.config.schema_cluster import PREEMPT_MODE, SELECT_FLAGS

COUNT = whole_number(0, 2**32 - 1)
COUNT_FROM_1 = whole_number(1, 2**32 - 1)
COUNT_OR_NO_LIMIT = number_or_no_limit(0, 2**32 - 1)
FACTOR = whole_number(0, 65533)
BIND = one_of(
    "none", "socket", "ldom", "core", "thread", "off", BOARD="socket", SOCKETS="socket", CORES="core", THREADS="thread"
)
#: A node that the file calls idle or busy is one whose state its agent will tell.
NODE_STATE = one_of(
    "UNKNOWN", "CLOUD", "FUTURE", "DOWN", "DRAIN", "FAIL",
    IDLE="UNKNOWN", UP="UNKNOWN", DRAINED="DRAIN", DRAINING="DRAIN", FAILING="FAIL",
)  # fmt: skip
OVERSUBSCRIBE_WORDS = ("NO", "YES", "FORCE", "EXCLUSIVE")


def _parse_oversubscribe(text: str) -> str:
    """Return NO, EXCLUSIVE, YES:n or FORCE:n; n is 4 unless written, as in Slurm."""
    word, colon, jobs = text.upper().partition(":")
    if word not in OVERSUBSCRIBE_WORDS or (colon and (word in ("NO", "EXCLUSIVE") or not jobs.isdigit())):
        raise ValueError(f"{text!r} is none of them")
    return f"{word}:{int(jobs or 4)}" if word in ("YES", "FORCE") else word


OVERSUBSCRIBE = Kind("one of NO, YES[:jobs], FORCE[:jobs], EXCLUSIVE", _parse_oversubscribe)
AUTODETECT = one_of("off", "nvidia", "nvml", "rsmi", "oneapi", "nrt", "full")
GRES_FLAGS = some_of(
    "CountOnly", "explicit", "nvidia_gpu_env", "amd_gpu_env", "intel_gpu_env", "opencl_env", "no_gpu_env",
    "one_sharing", "all_sharing", "env_uuid",
)  # fmt: skip

# fmt: off
NODE = Table(
    "node",
    Key("NodeName", HOSTLIST, "", "name"),
    Key("NodeHostname", HOSTLIST, "", "hostname"),
    Key("NodeAddr", HOSTLIST, "", "address"),
    Key("Port", TEXT, "", "port"),
    Key("CPUs", COUNT_FROM_1, "", "cpus"),
    Key("Procs", COUNT_FROM_1, "", "cpus"),
    Key("Boards", COUNT_FROM_1, "", "boards"),
    Key("Sockets", COUNT_FROM_1, "", "sockets"),
    Key("SocketsPerBoard", COUNT_FROM_1, "", "sockets_per_board"),
    Key("CoresPerSocket", COUNT_FROM_1, "", "cores_per_socket"),
    Key("ThreadsPerCore", COUNT_FROM_1, "", "threads_per_core"),
    Key("RealMemory", MIB, "1", "memory_mib"),
    Key("TmpDisk", MIB, "0", "tmp_disk_mib"),
    Key("Features", LIST, "", "features"),
    Key("Feature", LIST, "", "features"),
    Key("Gres", GRES, "", "gres"),
    Key("Weight", COUNT, "1", "weight"),
    Key("State", NODE_STATE, "UNKNOWN", "state"),
    Key("Reason", TEXT, "", "reason"),
    Key("CoreSpecCount", COUNT, "0", "core_spec_count"),
    Key("CpuSpecList", TEXT, "", "cpu_spec_list"),
    Key("MemSpecLimit", MIB, "0", "mem_spec_limit_mib"),
    Key("CpuBind", BIND, "none", "cpu_bind"),
    Key("BcastAddr", TEXT),
    Key("Parameters", TEXT),
    Key("RestrictedCoresPerGPU", TEXT),
    Key("SuspendTime", TEXT),
    Key("Topology", TEXT),
)

DOWN_NODES = Table(
    "down nodes",
    Key("DownNodes", HOSTLIST, "", "nodes"),
    Key("State", NODE_STATE, "DOWN", "state"),
    Key("Reason", TEXT, "", "reason"),
)

NODE_SET = Table(
    "node set",
    Key("NodeSet", TEXT, "", "name"),
    Key("Nodes", HOSTLIST, "", "nodes"),
    Key("Feature", TEXT, "", "feature"),
)

#: Front ends stood before the nodes of machines that Sluice does not run on.
FRONTEND = Table(
    "front end",
    Key("FrontendName", TEXT),
    Key("FrontendAddr", TEXT),
    Key("AllowGroups", TEXT),
    Key("AllowUsers", TEXT),
    Key("DenyGroups", TEXT),
    Key("DenyUsers", TEXT),
    Key("Port", TEXT),
    Key("Reason", TEXT),
    Key("State", TEXT),
)

PARTITION = Table(
    "partition",
    Key("PartitionName", TEXT, "", "name"),
    Key("Nodes", TEXT, "", "nodes"),
    Key("Default", BOOL, "NO", "is_default"),
    Key("State", one_of("UP", "DOWN", "DRAIN", "INACTIVE"), "UP", "state"),
    Key("MaxTime", TIME_LIMIT, "UNLIMITED", "max_limit_s"),
    Key("DefaultTime", TIME_LIMIT, "", "default_limit_s"),
    Key("MaxNodes", COUNT_OR_NO_LIMIT, "UNLIMITED", "max_nodes"),
    Key("MinNodes", COUNT, "0", "min_nodes"),
    Key("PriorityTier", FACTOR, "1", "priority_tier"),
    Key("PriorityJobFactor", FACTOR, "1", "priority_job_factor"),
    Key("Priority", FACTOR, "", "priority"),
    Key("OverSubscribe", OVERSUBSCRIBE, "NO", "oversubscribe"),
    Key("Shared", OVERSUBSCRIBE, "", "oversubscribe"),
    Key("Exclusive", one_of("NO", "NODE", "USER", "TOPO", YES="NODE"), "NO", "exclusive"),
    Key("ExclusiveUser", BOOL, "NO", "exclusive_user"),
    Key("AllowGroups", NAMES_OR_ALL, "ALL", "allow_groups"),
    Key("AllowAccounts", NAMES_OR_ALL, "ALL", "allow_accounts"),
    Key("DenyAccounts", LIST, "", "deny_accounts"),
    Key("AllowQos", NAMES_OR_ALL, "ALL", "allow_qos"),
    Key("DenyQos", LIST, "", "deny_qos"),
    Key("QOS", TEXT, "", "qos"),
    Key("AllocNodes", HOSTS_OR_ALL, "ALL", "allow_submit_nodes"),
    Key("Alternate", TEXT, "", "alternate"),
    Key("PreemptMode", PREEMPT_MODE, "", "preempt_mode"),
    Key("GraceTime", SECONDS, "0", "grace_s"),
    Key("DefMemPerCPU", MIB_OR_ZERO, "", "default_memory_per_cpu_mib"),
    Key("DefMemPerNode", MIB_OR_ZERO, "", "default_memory_per_node_mib"),
    Key("DefMemPerGPU", MIB_OR_ZERO, "", "default_memory_per_gpu_mib"),
    Key("MaxMemPerCPU", MIB_OR_ZERO, "", "max_memory_per_cpu_mib"),
    Key("MaxMemPerNode", MIB_OR_ZERO, "", "max_memory_per_node_mib"),
    Key("DefCpuPerGPU", COUNT, "", "cpus_per_gpu"),
    Key("JobDefaults", PARAMETERS, "", "job_defaults"),
    Key("Hidden", BOOL, "NO", "is_hidden"),
    Key("RootOnly", BOOL, "NO", "root_only"),
    Key("DisableRootJobs", BOOL, "", "disable_root_jobs"),
    Key("ReqResv", BOOL, "NO", "requires_reservation"),
    Key("LLN", BOOL, "NO", "least_loaded"),
    Key("MaxCPUsPerNode", COUNT_OR_NO_LIMIT, "UNLIMITED", "max_cpus_per_node"),
    Key("MaxCPUsPerSocket", COUNT_OR_NO_LIMIT, "UNLIMITED", "max_cpus_per_socket"),
    Key("OverTimeLimit", MINUTES, "", "over_limit_s"),
    Key("SelectTypeParameters", SELECT_FLAGS, "NONE", "select_type_parameters"),
    Key("TRESBillingWeights", WEIGHTS, "", "billing_weights"),
    Key("CpuBind", BIND, "none", "cpu_bind"),
    Key("PowerDownOnIdle", TEXT),
    Key("ResumeTimeout", TEXT),
    Key("SuspendTime", TEXT),
    Key("SuspendTimeout", TEXT),
    Key("Topology", TEXT, "", "topology"),
)

GRES_LINE = Table(
    "gres.conf",
    Key("Name", TEXT, "", "name"),
    Key("NodeName", HOSTLIST, "", "node_names"),
    Key("Type", TEXT, "", "type"),
    Key("Count", COUNT_WITH_UNIT, "", "count"),
    Key("File", TEXT, "", "files"),
    Key("MultipleFiles", TEXT, "", "multiple_files"),
    Key("Cores", TEXT, "", "cores"),
    Key("CPUs", TEXT, "", "cores"),
    Key("AutoDetect", AUTODETECT, "", "auto_detect"),
    Key("Flags", GRES_FLAGS, "", "flags"),
    Key("Links", LIST, "", "links"),
)

CGROUP = Table(
    "cgroup.conf",
    Key("AllowedKmemSpace", TEXT),
    Key("AllowedRAMSpace", PERCENT, "100", "allowed_ram_space_percent"),
    Key("AllowedSwapSpace", PERCENT, "0", "allowed_swap_space_percent"),
    Key("CgroupAutomount", TEXT, "no"),
    Key("CgroupJobIdPaths", TEXT, shown="hidden"),
    Key("CgroupMountpoint", PATH, "/sys/fs/cgroup", "mountpoint"),
    Key("CgroupPlugin", one_of("autodetect", "cgroup/v1", "cgroup/v2", "disabled"), "autodetect", "plugin"),
    Key("CgroupSlice", TEXT, shown="hidden"),
    Key("ConstrainCores", BOOL, "no", "constrain_cores", "lower yes or no"),
    Key("ConstrainDevices", BOOL, "no", "constrain_devices", "lower yes or no"),
    Key("ConstrainKmemSpace", TEXT, "no"),
    Key("ConstrainRAMSpace", BOOL, "no", "constrain_ram_space", "lower yes or no"),
    Key("ConstrainSwapSpace", BOOL, "no", "constrain_swap_space", "lower yes or no"),
    Key("EnableControllers", BOOL, "no", "enable_controllers", "hidden"),
    Key("IgnoreSystemd", BOOL, "no", "ignore_systemd", "lower yes or no"),
    Key("IgnoreSystemdOnFailure", BOOL, "no", "ignore_systemd_on_failure", "lower yes or no"),
    Key("MaxKmemPercent", TEXT, "100.0%"),
    Key("MaxRAMPercent", PERCENT, "100", "max_ram_percent"),
    Key("MaxSwapPercent", PERCENT, "100", "max_swap_percent"),
    Key("MemorySwappiness", whole_number(0, 100), "", "memory_swappiness"),
    Key("MinKmemSpace", TEXT, "30 MB"),
    Key("MinRAMSpace", MIB, "30", "min_ram_space_mib", "megabytes"),
    Key("SignalChildrenProcesses", BOOL, "no", "signal_children_processes", "hidden"),
    Key("SluiceAllowedDevices", LIST, "", "allowed_devices"),
    Key("SluiceMaxProcesses", COUNT, "0", "processes_max"),
    Key("SystemdTimeout", TEXT, shown="hidden"),
    Key("TaskAffinity", TEXT, shown="hidden"),
)
# fmt: on
