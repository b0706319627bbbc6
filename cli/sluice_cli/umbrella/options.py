"""Options and answers that several subcommands share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from sluice.config.light import CONFIG_VARIABLES, find_config
from sluice.errors import NotFound
from sluice.local.place import Place, folder_of_conf
from sluice_cli import client

dir_option = click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Folder of the cluster (default: that of SLUICE_CONF or SLURM_CONF, else the usual one).",
)
json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


def place_of(folder: str | None) -> Place:
    """Return the place of the cluster that is meant: the named one, that of this shell, or the usual one."""
    return Place(folder or _folder_in_use())


def _folder_in_use() -> str | None:
    """Return the folder of the local cluster whose configuration the environment names, None if it names none."""
    conf = next((path for name in CONFIG_VARIABLES if (path := os.environ.get(name))), "")
    return folder_of_conf(conf) if conf else None


def put_json(value: Any) -> None:
    """Print *value*, records included, as indented JSON."""
    click.echo(json.dumps(msgspec.to_builtins(value), indent=2))


def find_job(text: str) -> int:
    """Return the id of the job JOB or JOB_TASK.  Raises a usage error, or NotFound for a task that has none yet."""
    job, underscore, task = text.partition("_")
    if not all(part.isascii() and part.isdecimal() for part in ((job, task) if underscore else (job,))):
        raise click.BadParameter(f"{text!r} is not a job id, expected a number or JOB_TASK", param_hint="JOB")
    if not underscore:
        return int(job)
    for view in _views(text):
        if view["job"].get("array_task_id") == int(task):
            job_id: int = view["job"]["id"]
            return job_id
    raise NotFound(f"job {text}: no such array task, or it has not started", code="invalid_job")


def _views(text: str) -> list[dict[str, Any]]:
    """Return jobs of any age that *text* names."""
    query = {"filter": {"ids": [text]}, "with_steps": False, "all_users": True}
    return [row for part in client.stream("QueryAccounting", query) for row in part.get("rows", [])]


def run_controller_program(module: str, conf: str | None) -> None:
    """Run a program of the controller's package on a configuration and exit as it does."""
    exit_as_controller_program(module, ("-f", os.path.abspath(conf or find_config())))


def exit_as_controller_program(module: str, words: Sequence[str]) -> None:
    """Run a program of the controller's package with these words and exit as it does.

    Commands never import a daemon, so that they can be installed and started without one.
    """
    done = subprocess.run([sys.executable, "-P", "-m", module, *words], check=False)
    raise SystemExit(done.returncode)
