"""`sluice replay --history`: the cluster's past from its database, from the journal to the report."""

import json
import os
import time
from typing import Any

import click
import msgspec

from sluice import timepoint
from sluice.config.load import load
from sluice.config.records import ClusterConfig
from sluicectld.policy import policy_of
from sluicectld.store import schema
from sluicectld.store.database import name_of, open_engine
from sluicectld.store.read import read_events

from .drive import replay
from .history import Comparison, Row, compare_history, read_rows
from .machine import configured_machine
from .past import Wait, compare_waits, read_past
from .progress import Progress
from .schedule import Schedule
from .trace import TraceJob
from .waits_report import render_waits, waits_as_json

#: Differences that are told; the first ones say enough.
_TOLD_MAX = 50


class HistoryOptions(msgspec.Struct, frozen=True):
    """conf: of the cluster.  other: the configuration to try, None to make the recorded passes again."""

    conf: str
    other: str | None
    since: str | None
    is_json: bool


def run_history(options: HistoryOptions) -> None:
    """Replay and print the report.  Raises SluiceError; SystemExit 1 when a pass made again decides otherwise."""
    since_at = 0.0 if options.since is None else timepoint.parse(options.since, time.time(), is_past=True)
    config = load(options.conf)
    other = load(options.other) if options.other is not None else None
    name, rows = _read_journal(config)
    if other is None or options.other is None:
        found = compare_history(rows, config.settings, policy_of(config), config.digest, since_at)
        click.echo(_render_comparison(found, name, rows, options.is_json), nl=False)
        raise SystemExit(1 if found.differences else 0)
    past = read_past(rows)
    before = _replay(past.jobs, config, options.conf)
    after = _replay(past.jobs, other, options.other)
    waits = compare_waits(past, before, after, int(since_at))
    click.echo(_render_waits(waits, past.idle, name, options), nl=False)


def _read_journal(config: ClusterConfig) -> tuple[str, list[Row]]:
    url = config.settings.database_url
    schema.check(url)
    engine = open_engine(url, is_read_only=True)
    try:
        return name_of(engine.url), read_rows((stored.sequence, stored.payload) for stored in read_events(engine))
    finally:
        engine.dispose()


def _replay(jobs: tuple[TraceJob, ...], config: ClusterConfig, file: str) -> Schedule:
    machine = configured_machine(config, file, counts_memory=policy_of(config).has_memory)
    progress = Progress()
    schedule = replay(jobs, machine, machine.policy, progress)
    progress.end(schedule.counts.passes)
    return schedule


def _render_comparison(found: Comparison, name: str, rows: list[Row], is_json: bool) -> str:
    if is_json:
        return json.dumps({"database": name, "events": len(rows)} | msgspec.to_builtins(found), indent=2) + "\n"
    lines = [
        f"database {name}: {len(rows):,} events",
        f"passes that started something: {found.passes:,}; starts: {found.starts:,}",
        *found.differences[:_TOLD_MAX],
    ]
    more = len(found.differences) - _TOLD_MAX
    if more > 0:
        lines.append(f"and {more:,} more")
    count = len(found.differences)
    lines.append(f"{count:,} differences" if count else "every start is decided again as it was recorded")
    return "\n".join(lines) + "\n"


def _render_waits(waits: list[Wait], idle: int, name: str, options: HistoryOptions) -> str:
    other = os.path.abspath(options.other or "")
    if options.is_json:
        values: dict[str, Any] = {"database": name, "conf": options.conf, "other": other, "never_ran": idle}
        return json.dumps(values | waits_as_json(waits), indent=2) + "\n"
    lines = [
        f"database  {name}: {len(waits):,} jobs that ran, {idle:,} that never did are left out",
        f"replayed  {options.conf}",
        f"then      {other}",
        "",
        *render_waits(waits),
    ]
    return "\n".join(lines) + "\n"
