"""sluice up: a controller and its nodes on this machine, in the background."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import Any

import click

from sluice import hostlist
from sluice.errors import InvalidRequest
from sluice.local import cluster
from sluice.local.cluster import Running
from sluice.local.place import FOLDER_VARIABLE, Place
from sluice.local.shape import Wish
from sluice.size import parse_mib
from sluice_cli.umbrella.options import dir_option, place_of


def _memory(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_mib(text)
    except InvalidRequest as error:
        raise click.BadParameter(str(error)) from None


_count = click.IntRange(min=1)


@click.command()
@click.option("--nodes", type=_count, metavar="N", help="Number of nodes, each with an agent of its own (default 3).")
@click.option("--cpus", type=_count, metavar="C", help="CPUs of each node (default: those of this machine).")
@click.option("--memory", callback=_memory, metavar="M", help="Memory of each node, MiB or 4G (default: its share).")
@click.option("--emulated", type=_count, metavar="N", help="Instead, N nodes in one process whose jobs are timers.")
@click.option("--conf", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Use this configuration.")
@click.option("--timeout", "limit_s", type=click.FloatRange(min=1), default=cluster.START_LIMIT_S, metavar="SECONDS")
@dir_option
def command(
    nodes: int | None,
    cpus: int | None,
    memory: int | None,
    emulated: int | None,
    conf: str | None,
    limit_s: float,
    folder: str | None,
) -> None:
    """Bring up a cluster on this machine and wait until its nodes are idle.

    The cluster is kept in DIR; where it runs already, only what is missing is started.  What the shell needs is
    printed on stdout:  eval "$(sluice up)"
    """
    if nodes and emulated:
        raise click.UsageError("--nodes and --emulated exclude each other")
    if conf and (nodes or cpus or memory or emulated):
        raise click.UsageError("--conf says how many nodes there are; leave out --nodes, --cpus, --memory, --emulated")
    # A configuration of one's own is set up in the usual folder, not in that of the cluster which this shell uses.
    place = place_of(folder) if conf is None else Place(folder)
    running = cluster.up(place, Wish(nodes=nodes, cpus=cpus, memory_mib=memory, emulated=emulated), conf, limit_s)
    _tell(running, str(place.folder))
    for line in export_lines(running.config.path, str(place.folder)):
        click.echo(line)


def export_lines(conf_path: str, folder: str) -> list[str]:
    """Return what a shell must be told so that the commands find the cluster, and it the commands."""
    lines = [f"export SLURM_CONF={shlex.quote(conf_path)}"]
    if os.environ.get("SLUICE_CONF"):
        lines.append(f"export SLUICE_CONF={shlex.quote(conf_path)}")
    if folder != os.path.dirname(os.path.realpath(conf_path)):
        lines.append(f"export {FOLDER_VARIABLE}={shlex.quote(folder)}")
    programs = os.path.dirname(os.path.abspath(sys.argv[0]))
    if not os.path.exists(os.path.join(programs, "sbatch")):
        programs = os.path.dirname(sys.executable)
    found = shutil.which("sbatch")
    if found is None or os.path.dirname(os.path.abspath(found)) != programs:
        lines.append(f'export PATH={shlex.quote(programs)}:"$PATH"')
    return lines


def _tell(running: Running, folder: str) -> None:
    names = [node["node"]["name"] for node in running.nodes]
    word = "is up" if running.started else "was up already"
    click.echo(
        f"sluice: cluster {running.config.settings.cluster_name!r} {word}: {_count_of(len(names))} "
        f"({hostlist.fold(names)}), {len(running.daemons)} daemons, in {folder}",
        err=True,
    )
    for text, where in _by_text(running.nodes, _not_enforced).items():
        click.echo(f"sluice: note: {hostlist.fold(where)}: not enforced: {text}", err=True)
    for text, where in _by_text(running.nodes, _unusable).items():
        click.echo(f"sluice: warning: {hostlist.fold(where)}: {text}", err=True)


def _count_of(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes} nodes"


def _by_text(nodes: list[dict[str, Any]], text_of: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in nodes:
        if text := text_of(node):
            found.setdefault(text, []).append(node["node"]["name"])
    return found


def _not_enforced(node: dict[str, Any]) -> str:
    inventory: dict[str, str] = node["node"].get("inventory") or {}
    return inventory.get("unenforced", "")


def _unusable(node: dict[str, Any]) -> str:
    flags = [flag for flag in node.get("flags", ()) if flag in ("DRAIN", "FAIL")]
    if node["state"] != "down" and not flags:
        return ""
    reason = node["node"].get("reason", "")
    return " ".join([node["state"], *map(str.lower, flags)]) + (f" ({reason})" if reason else "")
