"""The fields of squeue's steps.  A row is a StepRow: the maps of a StepView.

Source: CONTRACT section 5; headers and unset values as Slurm 22.05 prints them.
"""

# ruff: noqa: E501

from __future__ import annotations

from sluice import duration, tres
from sluice_cli import job_size
from sluice_cli.fields import Field, FieldTable, constant
from sluice_cli.job_text import NULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.fields import Getter
    from sluice_cli.job_row import Context

    Map = dict[str, Any]

SPECIAL_NAMES = {-5: "batch", -6: "interactive", -4: "extern"}


class StepRow:
    """One step."""

    __slots__ = ("context", "spec", "step", "view")

    def __init__(self, view: Map, context: Context) -> None:
        self.view = view
        self.context = context
        self.step: Map = view["step"]
        self.spec: Map = self.step["spec"]

    @property
    def is_launched(self) -> bool:
        """Was it launched by srun, as against the batch script?"""
        return bool(self.step["step_id"] >= 0)


def step_word(step_id: int) -> str:
    return SPECIAL_NAMES.get(step_id, str(step_id))


def display_id(row: StepRow) -> str:
    """Return 12.0, 12.batch, or 10_4.0 of an array's task."""
    index = row.view.get("array_task_id")
    job = row.step["job_id"] if index is None else f"{row.view.get('array_job_id', 0)}_{index}"
    return f"{job}.{step_word(row.step['step_id'])}"


def id_key(row: StepRow) -> tuple[int, int]:
    step_id = row.step["step_id"]
    # The special steps come after the numbered ones of their job: interactive, batch, extern.
    return row.step["job_id"], step_id if step_id >= 0 else 2**32 + step_id


def task_count(row: StepRow) -> int:
    return sum([node["ntasks"] for node in row.step.get("nodes", ())])


def cpu_count(row: StepRow) -> int:
    """Return the CPUs of a launched step; the batch script's are its job's."""
    return sum([node.get("cpu_count", 0) for node in row.step.get("nodes", ())]) if row.is_launched else 0


def step_tres(step: Map) -> str:
    """Return the TRES of a step: cpu=8,mem=46000M,node=2."""
    nodes = step.get("nodes", ())
    counts = {
        "cpu": sum([node.get("cpu_count", 0) for node in nodes]),
        "mem": sum([node.get("memory_mib", 0) for node in nodes]),
        "node": len(nodes),
    }
    return tres.format_by_id(tres.without_zeros(counts))


def elapsed_s(row: StepRow) -> float:
    until_at = row.step.get("ended_at") or row.context.now_at
    return max(0.0, int(until_at) - int(row.step.get("started_at", 0.0)))


def _gres(key: str) -> Getter:
    return lambda row: job_size.gres_text(row.spec, key, NULL)


# fmt: off

TABLE = FieldTable((
    Field("StepID", "i", "STEPID", display_id, id_key),
    Field("StepName", "j", "NAME", lambda row: row.spec["name"]),
    Field("StepState", "", "STATE", lambda row: row.step.get("state", "RUNNING")),
    Field("JobID", "", "JOB_ID", lambda row: str(row.step["job_id"]), id_key),
    Field("ArrayJobID", "", "ARRAY_JOB_ID", lambda row: str(row.view.get("array_job_id", 0))),
    Field("ArrayTaskID", "", "ARRAY_TASK_ID", lambda row: str(row.view.get("array_task_id", "N/A"))),
    Field("Partition", "P", "PARTITION", lambda row: row.view["partition"]),
    Field("UserName", "u", "USER", lambda row: row.view["user"]),
    Field("UserID", "U", "UID", lambda row: str(row.view["uid"]), lambda row: row.view["uid"]),
    Field("Nodes NodeList", "N", "NODELIST", lambda row: row.view["nodes"]),
    Field("NumCPUs", "", "NUM_CPUS", lambda row: str(cpu_count(row)), cpu_count),
    Field("NumTasks", "A", "TASKS", lambda row: str(task_count(row)), task_count),
    Field("TimeUsed", "M", "TIME", lambda row: duration.format_short(elapsed_s(row)), elapsed_s),
    Field("TimeLimit", "l", "TIME_LIMIT", lambda row: duration.format_short(row.spec.get("limit_s"))),
    Field("StartTime", "S", "START_TIME", lambda row: row.context.clock(row.step.get("started_at"), "N/A"), lambda row: row.step.get("started_at", 0.0)),
    Field("Gres tres-per-node", "b", "TRES_PER_JOB", _gres("gres_per_node")),
    Field("tres-per-step tres-per-job", "", "TRES_PER_STEP", _gres("gres_per_step")),
    Field("tres-per-task", "", "TRES_PER_TASK", _gres("gres_per_task")),
    Field("tres-per-socket", "", "TRES_PER_SOCKET", constant(NULL)),
    Field("mem-per-tres", "", "MEM_PER_TRES", constant(NULL)),
    Field("cpus-per-tres", "", "CPUS_PER_TRES", constant(NULL)),
    Field("tres-bind", "", "TRES_BIND", constant(NULL)),
    Field("tres-freq", "", "TRES_FREQ", constant(NULL)),
    Field("ResvPorts", "", "RESERVED_PORTS", lambda row: reserved_ports(row) or NULL),
    Field("CPUFreq", "", "CPU_FREQ", lambda row: "Unknown-Unknown:Unknown" if row.is_launched else "0-0:0"),
    Field("Network", "", "NETWORK", constant(NULL)),
    Field("Container", "", "CONTAINER", constant(NULL)),
    Field("ContainerID", "", "CONTAINER_ID", constant(NULL)),
    Field("Cluster", "", "CLUSTER", lambda row: row.context.cluster),
))

# fmt: on

DEFAULT_FORMAT = "%.15i %.8j %.9P %.8u %.9M %N"
DEFAULT_SORT = "P,i"


def reserved_ports(row: StepRow) -> str:
    """Return "13000-13007", empty for none."""
    first, last = row.step.get("ports") or (0, 0)
    return f"{first}-{last}" if first else ""
