"""sluice explain: everything that keeps a job from starting, with the numbers, and when it will start."""

from __future__ import annotations

from typing import Any

import click

from sluice import timepoint
from sluice_cli import client
from sluice_cli.umbrella.options import find_job, json_option, put_json


@click.command()
@json_option
@click.argument("job")
def command(is_json: bool, job: str) -> None:
    """Tell why JOB waits: the reasons that the scheduler found in its last pass, and its planned start."""
    view = client.call("ExplainJob", {"job_id": find_job(job)})
    if is_json:
        put_json(_as_json(view))
        return
    for line in explanation(view):
        click.echo(line)


def explanation(view: dict[str, Any]) -> list[str]:
    """Return the answer, a line each."""
    job = view["job"]
    state = job.get("state", "PENDING")
    lines = [f"job {_name(job)} ({job['spec'].get('name', '')}) is {state.lower()}{_facts(view)}"]
    lines += [f"  {each['reason']}: {each.get('text') or 'no more is known'}" for each in view.get("blockers", [])]
    if view.get("note"):
        lines.append(f"  {view['note']}")
    if state == "PENDING":
        at = view.get("planned_start_at")
        nodes = f" on {view['planned_nodes']}" if view.get("planned_nodes") else ""
        lines.append(f"planned start: {timepoint.format_local(at)}{nodes}" if at else "planned start: none yet")
    return lines


def _facts(view: dict[str, Any]) -> str:
    job = view["job"]
    facts = []
    if job.get("state", "PENDING") == "PENDING":
        facts.append(f" since {timepoint.format_local(job.get('submitted_at'))}")
        facts.append(f"partition {job.get('partition', '')}, priority {job.get('priority', 0)}")
    else:
        facts.append(f" on {view['nodes']}" if view.get("nodes") else "")
        facts.append(f"started {timepoint.format_local(job.get('started_at'))}")
    if job.get("ended_at"):
        facts.append(f"ended {timepoint.format_local(job['ended_at'])}")
        facts.append(f"exit code {job.get('exit_code', 0)}:{job.get('exit_signal', 0)}")
    reason = job.get("reason", "None")
    if reason != "None" and not view.get("blockers"):
        facts.append(f"{reason}: {job['reason_text']}" if job.get("reason_text") else reason)
    return ", ".join(facts)


def _name(job: dict[str, Any]) -> str:
    if job.get("array_task_id") is not None:
        return f"{job['array_job_id']}_{job['array_task_id']} ({job['id']})"
    return str(job["id"])


def _as_json(view: dict[str, Any]) -> dict[str, Any]:
    job = view["job"]
    return {
        "job_id": job["id"],
        "name": job["spec"].get("name", ""),
        "state": job.get("state", "PENDING"),
        "partition": job.get("partition", ""),
        "priority": job.get("priority", 0),
        "nodes": view.get("nodes", ""),
        "blockers": [{"reason": each["reason"], "text": each.get("text", "")} for each in view.get("blockers", [])],
        "planned_start_at": view.get("planned_start_at"),
        "planned_nodes": view.get("planned_nodes", ""),
        "reason": job.get("reason", "None"),
        "reason_text": job.get("reason_text", ""),
        "note": view.get("note", ""),
    }
