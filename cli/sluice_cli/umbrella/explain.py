"""sluice explain: all that keeps jobs from starting, with the numbers, on whom they wait, and what would help."""

from __future__ import annotations

from typing import Any

import click

from sluice.errors import InvalidRequest
from sluice.jobid_spec import parse_list
from sluice_cli import client, explanation
from sluice_cli.umbrella.options import json_option, put_json


@click.command()
@json_option
@click.option("--brief", "is_brief", is_flag=True, help="Do not look for changes that would let the job start now.")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
def command(is_json: bool, is_brief: bool, jobs: tuple[str, ...]) -> None:
    """Tell why each JOB waits: every reason, the jobs that hold what it lacks, and what would let it start now.

    JOB is a number, or names tasks of an array: 12_3, 12_[1-5].
    """
    for text in jobs:
        _check(text)
    reply = client.call("ExplainJobs", {"ids": list(jobs), "is_brief": is_brief})
    views = reply.get("jobs", [])
    if is_json:
        put_json({"jobs": [_as_json(view) for view in views]})
        return
    for place, view in enumerate(views):
        if place:
            click.echo()
        for line in explanation.lines(view):
            click.echo(line)


def _check(text: str) -> None:
    try:
        parse_list(text)
    except InvalidRequest:
        raise click.BadParameter(f"{text!r} is not a job id, expected a number or JOB_TASK", param_hint="JOB") from None


def _as_json(view: dict[str, Any]) -> dict[str, Any]:
    job = view["job"]
    return {
        "job_id": job["id"],
        "id": view.get("name") or str(job["id"]),
        "name": job["spec"].get("name", ""),
        "state": job.get("state", "PENDING"),
        "partition": job.get("partition", ""),
        "priority": job.get("priority", 0),
        "place": view.get("place", 0),
        "queue_length": view.get("queue_length", 0),
        "nodes": view.get("nodes", ""),
        "blockers": [_with(each, reason="None", text="", partition="") for each in view.get("blockers", [])],
        "outlooks": [_outlook(each) for each in view.get("outlooks", [])],
        "planned_start_at": view.get("planned_start_at"),
        "planned_nodes": view.get("planned_nodes", ""),
        "planned_partition": view.get("planned_partition", ""),
        "likely_start_at": view.get("likely_start_at"),
        "safe_start_at": view.get("safe_start_at"),
        "forecasts_scored": view.get("forecasts_scored", 0),
        "late_share": view.get("late_share", 0.0),
        "suggestions": [_with(each, words=[], command="", cost=0.0) for each in view.get("suggestions", [])],
        "is_searched": view.get("is_searched", False),
        "reason": job.get("reason", "None"),
        "reason_text": job.get("reason_text", ""),
        "started_at": job.get("started_at"),
        "ended_at": job.get("ended_at"),
        "exit_code": job.get("exit_code", 0),
        "exit_signal": job.get("exit_signal", 0),
        "note": view.get("note", ""),
    }


def _outlook(view: dict[str, Any]) -> dict[str, Any]:
    found = _with(
        view, partition="", reservation="", blockers=[], steps=[], needs="", holders=[], holders_left_off=0, kept_for=[]
    )
    found["blockers"] = [_with(each, reason="None", text="", partition="") for each in found["blockers"]]
    found["steps"] = [_with(each, nodes=0, demand="", lost="") for each in found["steps"]]
    found["holders"] = [_with(each, job_id=0, name="", nodes="", end_at=None, holds="") for each in found["holders"]]
    return found


def _with(view: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return exactly these fields: those with default values are missing in replies."""
    return {key: view.get(key, value) for key, value in defaults.items()}
