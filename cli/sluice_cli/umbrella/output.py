"""sluice output: the kept end of a job's streams, also where its output file could not be written."""

from __future__ import annotations

import base64
from typing import Any

import click

from sluice import timepoint
from sluice.model.base import step_name
from sluice_cli import client, job_text
from sluice_cli.job_row import ACTIVE_STATES, Context, JobRow
from sluice_cli.umbrella.options import find_job, json_option, put_json


@click.command()
@json_option
@click.argument("job")
def command(is_json: bool, job: str) -> None:
    """Print the end of every stream of JOB, and why it could not be launched or written.

    What is kept is the last 4096 bytes of each stream (SluiceOutputTail); it arrives when the step has ended.
    """
    job_id = find_job(job)
    tails = client.call("QueryOutput", {"job_id": job_id}).get("tails", [])
    if is_json:
        put_json({"job_id": job_id, "streams": list(map(_as_json, tails))})
        return
    if not tails:
        click.echo(f"sluice: job {job}: no output is kept: {_why_none(job_id)}", err=True)
    for tail in tails:
        _print(job_id, tail)


def _why_none(job_id: int) -> str:
    """Return what is the matter with a job without kept output, and where its file is or will be."""
    view = client.call("ExplainJobs", {"ids": [str(job_id)], "is_brief": True})["jobs"][0]
    row = JobRow(view, Context(0.0))
    paths = dict.fromkeys(filter(None, (job_text.stdout_path(row), job_text.stderr_path(row))))
    where = f"; it writes to {' and '.join(paths)}" if paths else ""
    if row.state == "PENDING":
        return f"it has not run{where}"
    if row.state in ACTIVE_STATES:
        return f"no step of it has ended{where}"
    where = f"; it wrote to {' and '.join(paths)} on {view['nodes']}" if paths and view.get("nodes") else ""
    return f"it is {row.state.lower()} since {timepoint.format_local(view['job'].get('ended_at'))}{where}"


def _print(job_id: int, tail: dict[str, Any]) -> None:
    where = f" {tail['path']}" if tail.get("path") else ""
    cut = ", the end" if tail.get("is_cut") else ""
    click.echo(f"==> {job_id}.{step_name(tail['step_id'])} {tail['stream']} on {tail['node']}{where}{cut} <==")
    data: bytes = tail.get("tail", b"")
    if data:
        click.echo(data, nl=not data.endswith(b"\n"))
    if tail.get("error"):
        click.echo(tail["error"].rstrip("\n"))


def _as_json(tail: dict[str, Any]) -> dict[str, Any]:
    data: bytes = tail.get("tail", b"")
    try:
        content = {"text": data.decode()}
    except UnicodeDecodeError:
        content = {"base64": base64.b64encode(data).decode()}
    return {
        "step": step_name(tail["step_id"]),
        "node": tail["node"],
        "stream": tail["stream"],
        "path": tail.get("path", ""),
        **content,
        "is_cut": tail.get("is_cut", False),
        "error": tail.get("error", ""),
    }
