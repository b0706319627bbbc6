"""A job of squeue --json and scontrol show job --json."""

from __future__ import annotations

from sluice import hostlist, tres
from sluice_cli import job_row, job_size, job_text
from sluice_cli.fields_job import accrued_at
from sluice_cli.json_out import exit_code, minutes, number, time_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.job_row import JobRow

    Map = dict[str, Any]


def job_object(row: JobRow) -> Map:
    """Return one job with all its keys, however it was asked for."""
    return {**_identity(row), **_life(row), **_size(row), **_files(row)}


def _identity(row: JobRow) -> Map:
    job, spec = row.job, row.spec
    tasks = job_row.task_text(row, "") if row.tasks is not None else ""
    return {
        "job_id": job["id"],
        "array_job_id": number(job.get("array_job_id", 0)),
        "array_task_id": number(row.index),
        "array_task_string": tasks,
        "array_max_tasks": number(row.throttle),
        "het_job_id": number(job.get("het_job_id", 0)),
        "het_job_id_set": job_row.component_ids(row),
        "het_job_offset": number(job.get("het_offset", 0) if job.get("het_job_id") else None),
        "name": spec["name"],
        "user_id": spec["uid"],
        "user_name": spec["user"],
        "group_id": spec["gid"],
        "group_name": job_text.group_name(row),
        "account": spec.get("account", ""),
        "qos": spec.get("qos", ""),
        "wckey": spec.get("wckey", ""),
        "comment": spec.get("comment", ""),
        "admin_comment": spec.get("admin_comment", ""),
        "cluster": row.context.cluster,
        "partition": job_row.partitions(row),
        "reservation": job_text.reservation(row),
        "priority": number(job.get("priority", 0)),
        "nice": spec.get("nice", 0),
        "hold": bool(job.get("hold")),
        "batch_flag": spec.get("is_batch", True),
        "requeue": spec.get("can_requeue") is not False,
        "restart_cnt": job.get("attempt", 0),
    }


def _life(row: JobRow) -> Map:
    job, spec = row.job, row.spec
    limit_s = job.get("limit_s")
    shown = job_row.shown_state(row)
    return {
        "job_state": [row.state] if shown == row.state else [row.state, shown],
        "state_reason": job_text.reason(row).partition(",")[0],
        "state_description": job.get("reason_text", ""),
        "blockers": [{"reason": each["reason"], "text": each.get("text", "")} for each in row.view.get("blockers", ())],
        "dependency": "" if job_text.dependency(row) == job_text.NULL else job_text.dependency(row),
        "time_limit": minutes(limit_s, limit_s is None),
        "time_minimum": minutes(spec.get("min_limit_s")),
        "submit_time": time_point(job.get("submitted_at")),
        "eligible_time": time_point(job.get("eligible_at")),
        "accrue_time": time_point(accrued_at(row)),
        "start_time": time_point(job_row.start_at(row)),
        "end_time": time_point(job_row.end_at(row)),
        "suspend_time": time_point(job.get("suspended_at")),
        "deadline": time_point(spec.get("deadline_at")),
        "last_sched_evaluation": time_point(row.view.get("last_scheduled_at")),
        "elapsed": int(job_row.elapsed_s(row)),
        "exit_code": exit_code(job.get("exit_code", 0), job.get("exit_signal", 0)),
        "derived_exit_code": exit_code(job.get("derived_exit_code", 0), job.get("derived_exit_signal", 0)),
        "failed_node": job.get("failed_node", ""),
    }


def _size(row: JobRow) -> Map:
    spec = row.spec
    nodes: str = row.view.get("nodes", "")
    return {
        "nodes": nodes,
        "batch_host": row.grants[0]["node"] if row.grants else "",
        "scheduled_nodes": row.view.get("planned_nodes", ""),
        "required_nodes": job_size.node_list(spec.get("required_nodes")),
        "excluded_nodes": job_size.node_list(spec.get("excluded_nodes")),
        "node_count": number(job_size.node_count(row)),
        "max_nodes": number(spec.get("max_nodes", 0)),
        "cpus": number(job_size.cpu_count(row)),
        "tasks": number(job_size.requested_tasks(spec)),
        "cpus_per_task": number(spec.get("cpus_per_task", 1)),
        "tasks_per_node": number(spec.get("ntasks_per_node", 0)),
        "minimum_cpus_per_node": number(job_size.least_cpus_per_node(spec)),
        "memory_per_node": number(spec.get("memory_per_node_mib")),
        "memory_per_cpu": number(spec.get("memory_per_cpu_mib")),
        "minimum_tmp_disk_per_node": number(spec.get("tmp_disk_mib", 0)),
        "features": spec.get("features", ""),
        "licenses": spec.get("licenses", ""),
        "shared": [over] if (over := job_text.over_subscribe(spec)) != "OK" else [],
        "contiguous": bool(spec.get("is_contiguous")),
        "tres_req_str": tres.format_by_id(job_size.requested_tres(spec)),
        "tres_alloc_str": tres.format_by_id(job_size.granted_tres(row.grants)) if row.grants else "",
        "tres_per_node": job_size.gres_text(spec, "gres_per_node", ""),
        "tres_per_job": job_size.gres_text(spec, "gres_per_job", ""),
        "tres_per_task": job_size.gres_text(spec, "gres_per_task", ""),
        "tres_per_socket": job_size.gres_text(spec, "gres_per_socket", ""),
        "job_resources": _resources(row, nodes),
    }


def _resources(row: JobRow, nodes: str) -> Map:
    """Return the allocation node by node; empty for a job that has none."""
    if not row.grants:
        return {}
    return {
        "cpus": job_size.cpu_count(row),
        "nodes": {
            "count": len(row.grants),
            "list": nodes or hostlist.fold(grant["node"] for grant in row.grants),
            "allocation": [
                {
                    "name": grant["node"],
                    "cpus": {"count": grant["cpu_count"], "list": grant["cpus"]},
                    "memory": {"allocated": grant.get("memory_mib", 0)},
                    "gres": [
                        {
                            "name": each["name"],
                            "type": each.get("type", ""),
                            "count": each.get("count", 0),
                            "index": each.get("units", ""),
                        }
                        for each in grant.get("gres", ())
                    ],
                }
                for grant in row.grants
            ],
        },
    }


def _files(row: JobRow) -> Map:
    command = job_text.command(row)
    return {
        "command": "" if command == job_text.NULL else command,
        "submit_line": row.spec.get("submit_line", ""),
        "current_working_directory": row.spec.get("work_dir", ""),
        "standard_input": job_text.stdin_path(row),
        "standard_output": job_text.stdout_path(row),
        "standard_error": job_text.stderr_path(row),
        "allocating_node": row.spec.get("submit_host", ""),
        "mail_user": row.spec.get("mail_user", ""),
        "mail_type": list(row.spec.get("mail_types", ())),
    }
