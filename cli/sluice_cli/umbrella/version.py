"""sluice version: of this command, and of the controller if one answers."""

from __future__ import annotations

import click

from sluice import SLURM_VERSION, __version__
from sluice.errors import SluiceError
from sluice_cli import client
from sluice_cli.umbrella.options import json_option, put_json


@click.command()
@json_option
def command(is_json: bool) -> None:
    """Print the version of Sluice here and at the controller."""
    try:
        controller = client.call("Ping", {}, deadline_s=5.0)
        problem = ""
    except SluiceError as error:
        controller, problem = None, str(error)
    if is_json:
        put_json({"version": __version__, "slurm_version": SLURM_VERSION, "controller": controller})
        return
    click.echo(f"sluice {__version__} (the drop-in commands answer as slurm {SLURM_VERSION})")
    if controller is None:
        click.echo(f"controller: not reached: {problem}", err=True)
        return
    condition = controller.get("condition", "up")
    click.echo(
        f"controller {controller['version']} at {controller['host']}, cluster {controller['cluster']}, "
        f"epoch {controller['epoch']}, {condition}"
    )
