"""A step of squeue -s --json and scontrol show step --json."""

from __future__ import annotations

from sluice_cli import fields_step
from sluice_cli.json_out import number, time_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.fields_step import StepRow

    Map = dict[str, Any]


def step_object(row: StepRow) -> Map:
    """Return one step with all its keys."""
    step = row.step
    return {
        "id": fields_step.display_id(row),
        "job_id": step["job_id"],
        "step_id": fields_step.step_word(step["step_id"]),
        "array_job_id": number(row.view.get("array_job_id", 0)),
        "array_task_id": number(row.view.get("array_task_id")),
        "name": row.spec["name"],
        "user_name": row.view["user"],
        "user_id": row.view["uid"],
        "partition": row.view["partition"],
        "state": [step.get("state", "RUNNING")],
        "nodes": {"list": row.view["nodes"], "count": len(step.get("nodes", ()))},
        "tasks": {"count": fields_step.task_count(row)},
        "cpus": {"count": sum(node.get("cpu_count", 0) for node in step.get("nodes", ()))},
        "tres_alloc_str": fields_step.step_tres(step),
        "time": {"start": time_point(step.get("started_at")), "elapsed": int(fields_step.elapsed_s(row))},
        "srun": {"host": row.spec.get("srun_host", ""), "pid": row.spec.get("srun_pid", 0)},
    }
