"""sluice status: every daemon of the cluster on this machine."""

from __future__ import annotations

import click

from sluice.local import cluster
from sluice.local.cluster import DaemonStatus
from sluice_cli.umbrella.options import dir_option, json_option, place_of


@click.command()
@json_option
@dir_option
def command(is_json: bool, folder: str | None) -> None:
    """List the cluster's daemons: role, node, pid, state, log file."""
    status = cluster.status(place_of(folder))
    if is_json:
        from sluice_cli.umbrella.options import put_json

        put_json(status)
        return
    click.echo(f"{status.folder}, configuration {status.conf}")
    rows = [("ROLE", "NODE", "PID", "DAEMON", "NODE STATE", "LOG"), *map(_row, status.daemons)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _row(daemon: DaemonStatus) -> tuple[str, ...]:
    pid = str(daemon.pid) if daemon.pid is not None else "-"
    return daemon.role, daemon.node or "-", pid, daemon.state, daemon.node_state or "-", daemon.log
