"""sluice config: is a configuration right, what would it change, what does it say?"""

from __future__ import annotations

import os

import click

from sluice.config.check import list_findings, render_report
from sluice.config.diff import Change, ConfigDiff, ObjectChange
from sluice.config.diff import diff as diff_configs
from sluice.config.light import find_config
from sluice.config.load import inspect, load
from sluice.config.show import CGROUP_TITLE, cgroup_entries, config_entries, format_entries
from sluice_cli.umbrella.options import json_option, put_json

_file = click.Path(exists=True, dir_okay=False)


@click.group()
def command() -> None:
    """Check, compare and show configuration files."""


@command.command()
@json_option
@click.argument("file", type=_file, required=False)
def check(is_json: bool, file: str | None) -> None:
    """Tell all that is wrong with FILE (default: the file in use) or has no effect; exit 1: it would be refused."""
    file = file or find_config()
    inspection = inspect(file)
    if is_json:
        findings = list_findings(inspection)
        put_json({"file": file, "is_accepted": inspection.config is not None, "findings": findings})
    else:
        click.echo(render_report(inspection))
    if inspection.config is None:
        raise SystemExit(1)


@command.command()
@json_option
@click.argument("files", type=_file, nargs=-1, required=True, metavar="[OLD] NEW")
def diff(is_json: bool, files: tuple[str, ...]) -> None:
    """Tell what NEW changes against OLD (default: the configuration that is in use here)."""
    if len(files) > 2:
        raise click.UsageError("two files at most: OLD and NEW")
    old = files[0] if len(files) == 2 else find_config()
    changes = diff_configs(load(old), load(files[-1]))
    if is_json:
        put_json(changes)
        return
    for line in diff_lines(changes):
        click.echo(line)


@command.command()
@json_option
@click.argument("file", type=_file, required=False)
def show(is_json: bool, file: str | None) -> None:
    """Print what FILE says, defaults included, as `scontrol show config` does (default: the file in use here)."""
    config = load(os.path.abspath(file or find_config()))
    entries, cgroup = config_entries(config, {}), cgroup_entries(config)
    if is_json:
        put_json({"config": dict(entries), "cgroup": dict(cgroup)})
        return
    click.echo(f"{format_entries(entries)}\n\n{CGROUP_TITLE}\n{format_entries(cgroup)}")


def diff_lines(changes: ConfigDiff) -> list[str]:
    """Return the differences, a line each."""
    if changes.is_empty:
        return ["no change"]
    lines = [_change(each) for each in (*changes.settings, *changes.cgroup)]
    for noun, added, removed, changed in (
        ("node", changes.nodes_added, changes.nodes_removed, changes.nodes_changed),
        ("partition", changes.partitions_added, changes.partitions_removed, changes.partitions_changed),
    ):
        lines += [f"{noun} {name}: added" for name in added]
        lines += [f"{noun} {name}: removed" for name in removed]
        lines += [line for each in changed for line in _object(noun, each)]
    if changes.are_gres_changed:
        lines.append("gres.conf: changed")
    if changes.are_topologies_changed:
        lines.append("topology: changed")
    return lines


def _change(change: Change) -> str:
    effect = "" if change.has_effect else " (has no effect)"
    return f"{change.key}: {change.old} -> {change.new}{effect}"


def _object(noun: str, changed: ObjectChange) -> list[str]:
    return [f"{noun} {changed.name}: {_change(each)}" for each in changed.changes]
