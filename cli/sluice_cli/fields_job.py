"""The fields of squeue's jobs: letters of -o, names of -O, headers, values.

Source: CONTRACT section 5; headers and unset values as Slurm 22.05 prints them.
"""

# ruff: noqa: E501

from __future__ import annotations

from sluice import duration, tres
from sluice_cli import job_row, job_size, job_text
from sluice_cli.fields import Field, FieldTable, constant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.fields import Getter, SortKey
    from sluice_cli.job_row import JobRow

NULL = job_text.NULL
_PRIORITY_MAX = 2**32 - 1
_FAR_AT = 1e18


def _spec(key: str, unset: str = NULL) -> Getter:
    return lambda row: str(row.spec.get(key) or unset)


def _number(key: str, unset: str = "0") -> Getter:
    return lambda row: str(row.spec.get(key) or unset)


def _option(key: str, unset: str = NULL) -> Getter:
    """Return the getter of an option that is kept and shown, no more."""
    return lambda row: dict(row.spec.get("other", ())).get(key) or unset


def _flag(key: str) -> Getter:
    return lambda row: "1" if row.spec.get(key) else "0"


def _gres(key: str) -> Getter:
    return lambda row: job_size.gres_text(row.spec, key, "N/A")


def _clock(key: str) -> Getter:
    return lambda row: row.context.clock(row.job.get(key), "N/A")


def _time_key(key: str) -> SortKey:
    return lambda row: row.job.get(key) or _FAR_AT


def _limit(row: JobRow) -> str:
    return duration.format_short(row.job.get("limit_s"))


def _limit_key(row: JobRow) -> float:
    limit_s = row.job.get("limit_s")
    return _FAR_AT if limit_s is None else limit_s


def _left_s(row: JobRow) -> float:
    limit_s = row.job.get("limit_s")
    return _FAR_AT if limit_s is None else limit_s - job_row.elapsed_s(row)


def _left(row: JobRow) -> str:
    return duration.UNLIMITED if row.job.get("limit_s") is None else duration.format_short(_left_s(row))


def _start(row: JobRow) -> str:
    return row.context.clock(job_row.start_at(row), "N/A")


def _start_key(row: JobRow) -> float:
    at = job_row.start_at(row)
    return _FAR_AT if at is None else at


def _end(row: JobRow) -> str:
    return row.context.clock(job_row.end_at(row), "N/A")


def _end_key(row: JobRow) -> float:
    at = job_row.end_at(row)
    return _FAR_AT if at is None else at


def _pending_s(row: JobRow) -> int:
    job = row.job
    since_at = job.get("eligible_at") or job.get("submitted_at", 0.0)
    until_at = job.get("started_at") or row.context.now_at
    return max(0, int(until_at) - int(since_at))


def _nodes(row: JobRow) -> str:
    return str(row.view.get("nodes", ""))


def _required_nodes(row: JobRow) -> str:
    return _nodes(row) if row.grants else job_size.node_list(row.spec.get("required_nodes"))


def _batch_host(row: JobRow) -> str:
    return str(row.grants[0]["node"]) if row.grants else "n/a"


def _geometry(row: JobRow) -> str:
    return ":".join(
        str(row.spec.get(key) or "*") for key in ("sockets_per_node", "cores_per_socket", "threads_per_core")
    )


def _last_evaluated(row: JobRow) -> str:
    job = row.job
    at = row.view.get("last_scheduled_at") or job.get("started_at") or job.get("submitted_at")
    return row.context.clock(at, "N/A")


def _max_nodes(row: JobRow) -> str:
    return str(max(row.spec.get("max_nodes", 0), job_size.node_count(row)))


def _own_id(row: JobRow) -> str:
    return str(row.job["id"])


def _array_id(row: JobRow) -> str:
    return str(row.job.get("array_job_id") or row.job["id"])


def _switches(row: JobRow) -> str:
    return str(row.spec.get("switches") or "0").partition("@")[0]


# One row is one line, however long: the table is read by its columns.
# fmt: off

_QUEUE_FIELDS = (
    Field("JobArrayID", "i", "JOBID", job_row.display_id, job_row.id_key),
    Field("JobID", "A", "JOBID", _own_id, lambda row: row.job["id"]),
    Field("ArrayJobID", "F", "ARRAY_JOB_ID", _array_id, job_row.id_key),
    Field("ArrayTaskID", "K", "ARRAY_TASK_ID", job_row.task_text, job_row.id_key),
    Field("Name", "j", "NAME", lambda row: row.spec["name"]),
    Field("UserName", "u", "USER", lambda row: row.spec["user"]),
    Field("UserID", "U", "UID", lambda row: str(row.spec["uid"]), lambda row: row.spec["uid"]),
    Field("GroupName", "g", "GROUP", job_text.group_name),
    Field("GroupID", "G", "GROUP", lambda row: str(row.spec["gid"]), lambda row: row.spec["gid"]),
    Field("Account", "a", "ACCOUNT", _spec("account")),
    Field("Partition", "P", "PARTITION", job_row.partitions),
    Field("QOS", "q", "QOS", _spec("qos")),
    Field("State", "T", "STATE", job_row.shown_state),
    Field("StateCompact", "t", "ST", job_row.short_state),
    Field("Reason", "r", "REASON", job_text.reason),
    Field("ReasonList", "R", "NODELIST(REASON)", job_text.nodes_or_reason),
    Field("Dependency", "E", "DEPENDENCY", job_text.dependency),
    Field("PriorityLong", "Q", "PRIORITY", lambda row: str(row.job.get("priority", 0)), lambda row: row.job.get("priority", 0)),
    Field("Priority", "p", "PRIORITY", lambda row: f"{row.job.get('priority', 0) / _PRIORITY_MAX:.14f}", lambda row: row.job.get("priority", 0)),
    Field("Nice", "y", "NICE", _number("nice"), lambda row: row.spec.get("nice", 0)),
    Field("Comment", "k", "COMMENT", _spec("comment")),
    Field("admin_comment AdminComment", "", "ADMIN_COMMENT", _spec("admin_comment")),
    Field("system_comment SystemComment", "", "SYSTEM_COMMENT", constant(NULL)),
    Field("Reservation", "v", "RESERVATION", lambda row: job_text.reservation(row) or NULL),
    Field("WCKey", "w", "WCKEY", _spec("wckey")),
    Field("RestartCnt", "", "RESTART_COUNT", lambda row: str(row.job.get("attempt", 0))),
    Field("Requeue", "", "REQUEUE", lambda row: "0" if row.spec.get("can_requeue") is False else "1"),
    Field("exit_code", "", "EXIT_CODE", lambda row: str(row.job.get("exit_code", 0))),
    Field("DerivedEC", "", "DERIVED_EC", lambda row: str(row.job.get("derived_exit_code", 0))),
    Field("BatchFlag", "", "BATCH_FLAG", lambda row: str(job_row.batch_flag(row))),
)

def _preempt_time(row: JobRow) -> str:
    return row.context.clock((row.job.get("preemption") or {}).get("at"), "N/A")


_TIME_FIELDS = (
    Field("TimeUsed", "M", "TIME", lambda row: duration.format_short(job_row.elapsed_s(row)), job_row.elapsed_s),
    Field("TimeLimit", "l", "TIME_LIMIT", _limit, _limit_key),
    Field("TimeLeft", "L", "TIME_LEFT", _left, _left_s),
    Field("StartTime", "S", "START_TIME", _start, _start_key),
    Field("EndTime", "e", "END_TIME", _end, _end_key),
    Field("SubmitTime", "V", "SUBMIT_TIME", _clock("submitted_at"), _time_key("submitted_at")),
    Field("EligibleTime", "", "ELIGIBLE_TIME", _clock("eligible_at"), _time_key("eligible_at")),
    Field("AccrueTime", "", "ACCRUE_TIME", lambda row: row.context.clock(accrued_at(row), "N/A"), _time_key("eligible_at")),
    Field("Deadline", "", "DEADLINE", lambda row: row.context.clock(row.spec.get("deadline_at"), "N/A")),
    Field("PreemptTime", "", "PREEMPT_TIME", _preempt_time),
    Field("LastSchedEval", "", "LAST_SCHED_EVAL", _last_evaluated),
    Field("PendingTime", "", "PENDING_TIME", lambda row: str(_pending_s(row)), _pending_s),
    Field("MinTime", "", "TIME_MIN", lambda row: duration.format_short(row.spec.get("min_limit_s") or 0)),
    Field("ResizeTime", "", "RESIZE_TIME", constant("N/A")),
    Field("DelayBoot", "", "DELAY_BOOT", constant("0:00")),
    Field("Wait4Switch", "", "WAIT4SWITCH", constant("0:00")),
)

_SIZE_FIELDS = (
    Field("NodeList", "N", "NODELIST", _nodes),
    Field("NumNodes", "D", "NODES", lambda row: str(job_size.node_count(row)), job_size.node_count),
    Field("NumCPUs", "C", "CPUS", lambda row: str(job_size.cpu_count(row)), job_size.cpu_count),
    Field("NumTasks", "", "TASKS", lambda row: str(job_size.requested_tasks(row.spec))),
    Field("MaxNodes", "", "MAX_NODES", _max_nodes),
    Field("MaxCPUs", "", "MAX_CPUS", lambda row: str(job_size.cpu_count(row))),
    Field("MinCPUs", "c", "MIN_CPUS", lambda row: str(job_size.least_cpus_per_node(row.spec)), lambda row: job_size.least_cpus_per_node(row.spec)),
    Field("cpus-per-task", "", "CPUS_PER_TASK", _number("cpus_per_task", "1")),
    Field("MinMemory", "m", "MIN_MEMORY", lambda row: job_size.memory_text(row.spec), lambda row: job_size.requested_memory_mib(row.spec)),
    Field("MinTmpDisk", "d", "MIN_TMP_DISK", _number("tmp_disk_mib")),
    Field("Feature", "f", "FEATURES", _spec("features")),
    Field("tres-alloc tres", "", "TRES_ALLOC", lambda row: tres.format_by_id(job_size.tres_of(row))),
    Field("tres-per-node Gres", "b", "TRES_PER_NODE", _gres("gres_per_node")),
    Field("tres-per-job", "", "TRES_PER_JOB", _gres("gres_per_job")),
    Field("tres-per-task", "", "TRES_PER_TASK", _gres("gres_per_task")),
    Field("tres-per-socket", "", "TRES_PER_SOCKET", _gres("gres_per_socket")),
    Field("cpus-per-tres", "", "CPUS_PER_TRES", lambda row: f"gres:gpu:{row.spec['cpus_per_gpu']}" if row.spec.get("cpus_per_gpu") else "N/A"),
    Field("mem-per-tres", "", "MEM_PER_TRES", lambda row: f"gres:gpu:{row.spec['memory_per_gpu_mib']}" if row.spec.get("memory_per_gpu_mib") else "N/A"),
    Field("tres-bind", "", "TRES_BIND", lambda row: f"gres:gpu:{row.spec['gpu_bind']}" if row.spec.get("gpu_bind") else "N/A"),
    Field("tres-freq", "", "TRES_FREQ", _option("gpu-freq", "N/A")),
    Field("ReqNodes", "n", "REQ_NODES", _required_nodes),
    Field("ExcNodes exc_nodes", "x", "EXC_NODES", lambda row: job_size.node_list(row.spec.get("excluded_nodes"))),
    Field("SchedNodes", "Y", "SCHEDNODES", lambda row: row.view.get("planned_nodes") or NULL),
    Field("BatchHost", "B", "EXEC_HOST", _batch_host),
    Field("Licenses", "W", "LICENSES", _spec("licenses")),
    Field("LicensesAlloc", "", "LICENSES_ALLOC", lambda row: row.licenses or NULL),
    Field("OverSubscribe Shared", "h", "OVER_SUBSCRIBE", lambda row: job_text.over_subscribe(row.spec)),
    Field("Exclusive", "", "EXCLUSIVE", lambda row: (row.spec.get("exclusive") or "no").upper()),
    Field("Contiguous", "O", "CONTIGUOUS", _flag("is_contiguous")),
    Field("Sockets", "H", "SOCKETS_PER_NODE", _number("sockets_per_node", "*")),
    Field("Cores", "I", "CORES_PER_SOCKET", _number("cores_per_socket", "*")),
    Field("Threads", "J", "THREADS_PER_CORE", _number("threads_per_core", "*")),
    Field("SCT", "z", "S:C:T", _geometry),
    Field("CoreSpec", "X", "CORE_SPEC", _number("core_spec", "N/A")),
    Field("NTPerNode", "", "NTASKS_PER_NODE", _number("ntasks_per_node")),
    Field("NTPerCore", "", "NTASKS_PER_CORE", _number("ntasks_per_core", "N/A")),
    Field("NTPerSocket", "", "NTASKS_PER_SOCKET", _number("ntasks_per_socket", "N/A")),
    Field("NTPerBoard", "", "NTASKS_PER_BOARD", constant("0")),
    Field("BoardsPerNode", "", "BOARDS_PER_NODE", constant("0")),
    Field("SPerBoard", "", "SOCKETS_PER_BOARD", constant("0")),
    Field("ReqSwitch", "", "REQ_SWITCH", _switches),
    Field("SegmentSize", "", "SEGMENT_SIZE", lambda row: str(row.spec.get("segment") or "N/A")),
)

_FILE_FIELDS = (
    Field("Command", "o", "COMMAND", job_text.command),
    Field("WorkDir", "Z", "WORK_DIR", _spec("work_dir")),
    Field("StdOut", "", "STDOUT", job_text.stdout_path),
    Field("StdErr", "", "STDERR", job_text.stderr_path),
    Field("StdIn", "", "STDIN", job_text.stdin_path),
    Field("SubmitLine", "", "SUBMIT_LINE", _spec("submit_line")),
    Field("AllocNodes", "", "ALLOC_NODES", _spec("submit_host")),
    Field("AllocSID", "", "ALLOC_SID", _number("submit_sid")),
    Field("Cluster", "", "CLUSTER", lambda row: row.context.cluster),
    Field("Network", "", "NETWORK", _option("network")),
    Field("Container", "", "CONTAINER", _option("container")),
    Field("ContainerID", "", "CONTAINER_ID", _option("container-id")),
    Field("BurstBuffer", "", "BURST_BUFFER", _option("bb")),
    Field("BurstBufferState", "", "BURST_BUFFER_STATE", constant(NULL)),
    Field("ClusterFeature", "", "CLUSTER_FEATURES", _option("cluster-constraint")),
    Field("Prefer", "", "PREFER", _option("prefer")),
    Field("Extra", "", "EXTRA", _option("extra")),
    Field("MCSLabel", "", "MCSLABEL", _option("mcs-label")),
    Field("Profile", "", "PROFILE", _option("profile", "NotSet")),
    Field("Reboot", "", "REBOOT", constant("0")),
    Field("CronJob", "", "CRON_JOB", constant("No")),
    Field("AssocID", "", "ASSOC_ID", constant("0")),
    Field("SLUID", "s", "SLUID", _own_id),
    Field("HetJobID", "", "HET_JOB_ID", lambda row: str(row.job.get("het_job_id") or "N/A")),
    Field("HetJobOffset", "", "HET_JOB_OFFSET", lambda row: str(row.job.get("het_offset", 0)) if row.job.get("het_job_id") else "N/A"),
    Field("HetJobIDSet", "", "HET_JOB_ID_SET", lambda row: job_row.component_ids(row) or "N/A"),
    Field("Origin", "", "ORIGIN", constant("NA")),
    Field("OriginRaw", "", "ORIGIN_RAW", constant("NA")),
    Field("SiblingsActive", "", "ACTIVE_SIBLINGS", constant("NA")),
    Field("SiblingsActiveRaw", "", "ACTIVE_SIBLINGS_RAW", constant("NA")),
    Field("SiblingsViable", "", "VIABLE_SIBLINGS", constant("NA")),
    Field("SiblingsViableRaw", "", "VIABLE_SIBLINGS_RAW", constant("NA")),
    Field("Runtime", "", "RUNTIME", _option("runtime")),
)

# fmt: on


def accrued_at(row: JobRow) -> float | None:
    """Return since when the job gains priority by age: since it is eligible, if that has come."""
    at: float | None = row.job.get("eligible_at")
    return at if at is not None and at <= row.context.now_at else None


TABLE = FieldTable((*_QUEUE_FIELDS, *_TIME_FIELDS, *_SIZE_FIELDS, *_FILE_FIELDS))

DEFAULT_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG_FORMAT = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
START_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R"
STATE_FORMAT = "%.18i %.10T"
#: Letters that --sort does not take, as release 22.05 does not.
UNSORTED_LETTERS = "akoqrswxy"
DEFAULT_SORT = "P,t,-p"
START_SORT = "S"
