"""A job as listings see it: the maps of a JobView, read through functions that know their defaults.

In a reply fields with default values are missing; whoever reads one here gives the default.
Counts of a job that has started are those of its allocation, of a waiting one those that it asks for.
"""

from __future__ import annotations

import os

from sluice import array_spec, timepoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Map = dict[str, Any]

SHORT_STATES = {
    "PENDING": "PD",
    "RUNNING": "R",
    "SUSPENDED": "S",
    "COMPLETED": "CD",
    "CANCELLED": "CA",
    "FAILED": "F",
    "TIMEOUT": "TO",
    "NODE_FAIL": "NF",
    "PREEMPTED": "PR",
    "BOOT_FAIL": "BF",
    "DEADLINE": "DL",
    "OUT_OF_MEMORY": "OOM",
    "COMPLETING": "CG",
    "CONFIGURING": "CF",
    "RESIZING": "RS",
    "RESV_DEL_HOLD": "RD",
    "REQUEUED": "RQ",
    "REQUEUE_FED": "RF",
    "REQUEUE_HOLD": "RH",
    "REVOKED": "RV",
    "SIGNALING": "SI",
    "SPECIAL_EXIT": "SE",
    "STAGE_OUT": "SO",
    "STOPPED": "ST",
}
#: States in which a job has processes.
ACTIVE_STATES = ("RUNNING", "SUSPENDED")
LONG_STATES = {short: long for long, short in SHORT_STATES.items()}


class Context:
    """What the rows of one listing share: the controller's clock, the cluster, how times and arrays are shown."""

    __slots__ = ("array_length_max", "cluster", "now_at", "time_format")

    def __init__(self, now_at: float, cluster: str = "") -> None:
        self.now_at = now_at
        self.cluster = cluster
        self.time_format = os.environ.get("SLURM_TIME_FORMAT", "")
        length = os.environ.get("SLURM_BITSTR_LEN", "")
        self.array_length_max = int(length[:6]) if length.isdecimal() else array_spec.DISPLAY_LENGTH

    def clock(self, at: float | None, unset: str) -> str:
        """Return a point in time as SLURM_TIME_FORMAT says."""
        return timepoint.format_local(at, self.time_format, self.now_at, unset)


class JobRow:
    """One line of a listing of jobs: a job, one task of its waiting array, or one of its partitions.

    tasks: the indices that the line stands for, None unless it is a waiting array; index: the task that it stands for.
    """

    __slots__ = ("context", "index", "job", "partition", "spec", "state", "tasks", "throttle", "view")

    def __init__(self, view: Map, context: Context) -> None:
        self.view = view
        self.context = context
        self.job: Map = view["job"]
        self.spec: Map = self.job["spec"]
        self.state: str = self.job.get("state", "PENDING")
        self.index: int | None = self.job.get("array_task_id")
        self.tasks: array_spec.Ranges | None = None
        self.throttle = 0
        pending = self.job.get("pending_array")
        if pending is not None:
            self.tasks = tuple([(first, last, step) for first, last, step in pending["ranges"]])
            self.throttle = pending.get("throttle", 0)
        self.partition = ""

    def with_tasks(self, tasks: array_spec.Ranges) -> JobRow:
        """Return the row for only these tasks of a waiting array."""
        row = self._copy()
        row.tasks = tasks
        if array_spec.count(tasks) == 1:
            row.index, row.tasks = tasks[0][0], None
        return row

    def with_task(self, index: int) -> JobRow:
        """Return the row for one task of a waiting array."""
        row = self._copy()
        row.index, row.tasks = index, None
        return row

    def with_partition(self, partition: str) -> JobRow:
        """Return the row for one of the partitions that the job waits in."""
        row = self._copy()
        row.partition = partition
        return row

    def _copy(self) -> JobRow:
        """Return the same row; the view is not read again, since an array may have millions of rows."""
        row = JobRow.__new__(JobRow)
        row.view, row.context, row.job, row.spec, row.state = self.view, self.context, self.job, self.spec, self.state
        row.index, row.tasks, row.throttle, row.partition = self.index, self.tasks, self.throttle, self.partition
        return row

    @property
    def grants(self) -> list[Map]:
        """The nodes' parts of the allocation, none before it starts."""
        allocation = self.job.get("allocation")
        return allocation["grants"] if allocation else []

    @property
    def licenses(self) -> str:
        """The licenses that the job has, as name:count,..., empty before it starts."""
        granted = (self.job.get("allocation") or {}).get("licenses", ())
        return ",".join([f"{name}:{count}" for name, count in granted])


def shown_state(row: JobRow) -> str:
    """Return the long word of the state, with the facts beside the base state that take its place."""
    job = row.job
    if row.state in ACTIVE_STATES:
        return "CONFIGURING" if job.get("is_in_prolog") or job.get("preparing_nodes") else row.state
    if job.get("completing_nodes") or job.get("is_in_epilog"):
        return "COMPLETING"
    if row.state == "PENDING":
        if job.get("reason") == "ReservationDeleted":
            return "RESV_DEL_HOLD"
        return "SPECIAL_EXIT" if job.get("is_special_exit") else "PENDING"
    return "REQUEUED" if job.get("is_requeued") else row.state


def short_state(row: JobRow) -> str:
    return SHORT_STATES[shown_state(row)]


def display_id(row: JobRow) -> str:
    """Return 12, a task's 12_4, a waiting array's 12_[4-9%2], or a component's 12+1."""
    job = row.job
    if job.get("het_job_id"):
        return f"{job['het_job_id']}+{job.get('het_offset', 0)}"
    if row.tasks is not None:
        ranges = array_spec.format_ranges(row.tasks, row.throttle, row.context.array_length_max)
        return f"{job['array_job_id']}_[{ranges}]"
    if row.index is not None:
        return f"{job['array_job_id']}_{row.index}"
    return str(job["id"])


def component_ids(row: JobRow) -> str:
    """Return the ids of all components of the heterogeneous job, 12-14; "" for any other job."""
    first = row.job.get("het_job_id")
    return f"{first}-{first + row.job['het_size'] - 1}" if first else ""


def id_key(row: JobRow) -> tuple[int, int]:
    """Return the sort key of ids: array by array, its tasks in order, the waiting ones after those that started.

    Components of a heterogeneous job have ids that follow one another.
    """
    array_id = row.job.get("array_job_id") or row.job["id"]
    if row.tasks is not None:
        return array_id, array_spec.SIZE_MAX + array_spec.least(row.tasks)
    return array_id, -1 if row.index is None else row.index


def task_text(row: JobRow, unset: str = "N/A") -> str:
    if row.tasks is not None:
        return array_spec.format_ranges(row.tasks, row.throttle, row.context.array_length_max)
    return unset if row.index is None else str(row.index)


def elapsed_s(row: JobRow) -> float:
    """Return how long the job has run, without the time it was suspended."""
    job = row.job
    started_at = job.get("started_at")
    if started_at is None or row.state == "PENDING":
        return 0.0
    suspended_s: float = job.get("suspended_s", 0.0)
    suspended_at = job.get("suspended_at")
    now_at = row.context.now_at
    end_at = job.get("ended_at")
    if end_at is None:
        end_at = suspended_at if suspended_at is not None and row.state == "SUSPENDED" else now_at
    return max(0.0, int(end_at) - int(started_at) - suspended_s)


def start_at(row: JobRow) -> float | None:
    """Return when the job started, or is expected to; for one that was cancelled before, when that was."""
    job = row.job
    at: float | None = job.get("started_at")
    if row.state == "PENDING":
        at = row.view.get("planned_start_at")
        return at if at is not None else job.get("begin_at")
    return at if at is not None else job.get("ended_at")


def end_at(row: JobRow) -> float | None:
    """Return when the job ended, or will at the latest; None when unknown or never."""
    ended: float | None = row.job.get("ended_at")
    if ended is not None and row.state != "PENDING":
        return ended
    begin_at = start_at(row)
    limit_s = row.job.get("limit_s")
    if begin_at is None or limit_s is None:
        return None
    at = float(begin_at + limit_s + row.job.get("suspended_s", 0.0))
    grace = row.job.get("preemption")
    return min(at, grace["ends_at"]) if grace and row.state == "RUNNING" else at


def batch_flag(row: JobRow) -> int:
    """Return 1 for a batch job, all components of one included, though only the first runs the script."""
    is_of_batch = row.job.get("het_job_id") and row.spec.get("origin", "sbatch") == "sbatch"
    return int(bool(row.spec.get("is_batch", True) or is_of_batch))


def partitions(row: JobRow) -> str:
    if row.partition:
        return row.partition
    job = row.job
    if row.state == "PENDING":
        names = row.spec.get("partitions")
        if names and len(names) > 1:
            return ",".join(names)
    return str(job.get("partition", ""))
