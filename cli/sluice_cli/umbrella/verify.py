"""sluice verify: do the tables say what the journal says?  The work is the controller's, run as a program."""

from __future__ import annotations

import click

from sluice_cli.umbrella.options import run_controller_program


@click.command()
@click.option("--conf", metavar="FILE", help="Configuration (default: the one that is in use here).")
def command(conf: str | None) -> None:
    """Rebuild the tables from the journal and compare; exit 1 where they differ.

    Reads the database on this host; the controller may run meanwhile.
    """
    run_controller_program("sluicectld.verify", conf)
