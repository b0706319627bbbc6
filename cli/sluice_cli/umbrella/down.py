"""sluice down: end every process of the cluster on this machine."""

from __future__ import annotations

import click

from sluice.local import cluster
from sluice_cli.umbrella.options import dir_option, place_of


@click.command()
@click.option("--force", "is_forced", is_flag=True, help="Kill at once, without letting jobs end by themselves.")
@click.option("--delete", "is_deleting", is_flag=True, help="Remove the cluster's files too: jobs, accounting, logs.")
@dir_option
def command(is_forced: bool, is_deleting: bool, folder: str | None) -> None:
    """End the cluster's daemons and the processes of its jobs.

    Pending jobs are kept for the next `sluice up`.
    """
    place = place_of(folder)
    count = cluster.down(place, is_forced=is_forced)
    if is_deleting:
        place.delete()
    what_now = f"; {place.folder} removed" if is_deleting else f", cluster in {place.folder}"
    click.echo(f"sluice: {count} daemons ended{what_now}", err=True)
