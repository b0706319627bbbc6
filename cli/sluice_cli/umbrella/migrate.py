"""sluice migrate: bring the database to the schema of this release.  The work is the controller's, run as a program."""

from __future__ import annotations

import click

from sluice_cli.umbrella.options import run_controller_program


@click.command()
@click.option("--conf", metavar="FILE", help="Configuration (default: the one that is in use here).")
def command(conf: str | None) -> None:
    """Upgrade the database's schema; the controller does so too when it starts."""
    run_controller_program("sluicectld.migrate", conf)
