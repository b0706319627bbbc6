"""A job with its steps of sacct --json."""

from __future__ import annotations

from sluice_cli import account_line, fields_step, job_row, job_size, job_text
from sluice_cli.json_out import exit_code, minutes, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice.tres import Tres
    from sluice_cli.account_line import AccountLine

    Map = dict[str, Any]

_TRES_IDS = {"cpu": 1, "mem": 2, "energy": 3, "node": 4, "billing": 5}
_FIRST_GRES_ID = 1001


def job_object(lines: list[AccountLine]) -> Map:
    """Return one job with all its keys; lines: its own and its steps'."""
    line = lines[0]
    job, spec, row = line.job, line.spec, line.row
    nodes = account_line.node_text(line)
    return {
        "job_id": job["id"],
        "name": spec["name"],
        "array": {
            "job_id": job.get("array_job_id", 0),
            "task_id": number(row.index),
            "task": job_row.task_text(row, "") if row.tasks is not None else "",
        },
        "het": {
            "job_id": job.get("het_job_id", 0),
            "job_offset": number(job.get("het_offset", 0) if job.get("het_job_id") else None),
        },
        "account": spec.get("account", ""),
        "user": spec["user"],
        "group": job_text.group_name(row),
        "cluster": line.context.cluster,
        "partition": job.get("partition", ""),
        "qos": spec.get("qos", ""),
        "priority": number(job.get("priority", 0)),
        "state": {"current": [account_line.state(line).split()[0]], "reason": line.entry.get("reason", "None")},
        "kill_request_user": job.get("cancelled_by"),
        "exit_code": exit_code(job.get("exit_code", 0), job.get("exit_signal", 0)),
        "derived_exit_code": exit_code(job.get("derived_exit_code", 0), job.get("derived_exit_signal", 0)),
        "time": {
            "submission": _seconds(job.get("submitted_at")),
            "eligible": _seconds(job.get("eligible_at")),
            "limit": minutes(job.get("limit_s"), job.get("limit_s") is None),
            "suspended": int(job.get("suspended_s", 0)),
            **_times(line),
        },
        "nodes": nodes,
        "allocation_nodes": len(row.grants),
        "required": {"CPUs": job_size.requested_cpus(spec), "memory": job_size.requested_memory_mib(spec)},
        "tres": {
            "allocated": _tres(job_size.granted_tres(row.grants)) if row.grants else [],
            "requested": _tres(job_size.requested_tres(spec)),
        },
        "restart_cnt": job.get("attempt", 0),
        "comment": {"administrator": spec.get("admin_comment", ""), "job": spec.get("comment", ""), "system": ""},
        "constraints": spec.get("features", ""),
        "licenses": spec.get("licenses", ""),
        "reservation": {"name": job.get("reservation") or spec.get("reservation", "")},
        "submit_line": spec.get("submit_line", ""),
        "working_directory": spec.get("work_dir", ""),
        "stdout": job_text.stdout_path(row),
        "stderr": job_text.stderr_path(row),
        "stdin": job_text.stdin_path(row),
        "failed_node": job.get("failed_node", ""),
        "wckey": {"wckey": spec.get("wckey", ""), "flags": []},
        "steps": [_step_object(step) for step in lines[1:]],
    }


def _step_object(line: AccountLine) -> Map:
    step = line.step
    assert step is not None
    used = account_line.usage(line)
    return {
        "step": {
            "id": account_line.raw_id(line),
            "name": step["spec"].get("name") or fields_step.step_word(step["step_id"]),
        },
        "state": [account_line.state(line).split()[0]],
        "kill_request_user": step.get("cancelled_by"),
        "exit_code": exit_code(step.get("exit_code", 0), step.get("exit_signal", 0)),
        "nodes": {
            "count": account_line.node_count(line),
            "range": account_line.node_text(line),
            "list": [node["node"] for node in step.get("nodes", ())],
        },
        "tasks": {"count": account_line.tasks(line)},
        "cpus": account_line.cpus(line),
        "time": _times(line),
        "usage": {
            "max_rss_kib": used.get("max_rss_kib", 0),
            "max_rss_node": used.get("max_rss_node", ""),
            "max_rss_task": used.get("max_rss_task", 0),
            "total_rss_kib": used.get("total_rss_kib", 0),
            "max_vmsize_kib": used.get("max_vmsize_kib", 0),
            "disk_read_bytes": used.get("disk_read_bytes", 0),
            "disk_written_bytes": used.get("disk_written_bytes", 0),
            "gpu": _gpu(used.get("gpu", {})),
        },
    }


def _gpu(used: Map) -> Map:
    """Return what the step had of its GPUs; nodes 0: nobody looked, a utilization of null: no GPU could tell."""
    counts = {
        key: used.get(key, 0) for key in ("nodes", "memory_peak_bytes", "memory_total_bytes", "memory_mean_bytes")
    }
    return counts | {key: used.get(key) for key in ("util_peak_percent", "util_mean_percent")}


def _times(line: AccountLine) -> Map:
    return {
        "elapsed": account_line.elapsed_s(line),
        "start": _seconds(account_line.start_at(line)),
        "end": _seconds(account_line.end_at(line)),
        "user": _split(account_line.cpu_seconds(line, "user_s")),
        "system": _split(account_line.cpu_seconds(line, "system_s")),
        "total": _split(account_line.cpu_seconds(line, "user_s", "system_s")),
    }


def _seconds(at: float | None) -> int:
    return int(at or 0)


def _split(spent_s: float) -> Map:
    return {"seconds": int(spent_s), "microseconds": round(spent_s % 1 * 1_000_000)}


def _tres(counts: Tres) -> list[Map]:
    entries = []
    for name, count in counts.items():
        kind, _, own = name.partition("/")
        entries.append({"type": kind, "name": own, "id": _TRES_IDS.get(name, _FIRST_GRES_ID), "count": count})
    return entries
