"""A replay told: figures as text and as JSON, the jobs as a table, the starts as lines.

The same replay gives the same bytes: nothing here says when, where or how fast it ran.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from .figures import Figures, Group, Judgement, bounded_slowdown
from .schedule import Schedule

#: Users told in the text, those with the most work; JSON has all.
USERS_TOLD = 20
_CSV_TITLES = (
    "job",
    "user",
    "processors",
    "submitted_s",
    "started_s",
    "ended_s",
    "wait_s",
    "run_s",
    "estimate_s",
    "bounded_slowdown",
)
_TITLES = ("jobs", "work", "mean slowdown", "mean wait", "median", "95 %", "longest")


class Told(msgspec.Struct, frozen=True):
    """What a report is about: names and what became of them."""

    trace: str
    machine: str
    processors: int
    policy: str
    runtimes: str
    dropped: dict[str, int]
    schedule: Schedule
    judgement: Judgement | None


def render_text(told: Told) -> str:
    """Return the report for a terminal."""
    lines = _heading(told)
    if told.judgement is not None:
        lines += ["", *_summary(told.judgement)]
        users = sorted(told.judgement.users, key=lambda group: (-group.figures.work_s, group.name))
        more = f" (the {USERS_TOLD} with the most work of {len(users)})" if len(users) > USERS_TOLD else ""
        lines += ["", *_table(f"user{more}", "user", users[:USERS_TOLD], told.judgement.figures.work_s)]
        lines += ["", *_table("width", "processors", told.judgement.widths, told.judgement.figures.work_s)]
    return "\n".join(lines) + "\n"


def _heading(told: Told) -> list[str]:
    schedule = told.schedule
    lines = [
        f"trace    {told.trace}: {_count(len(schedule.runs), 'job')} replayed{_dropped(told.dropped)}",
        f"machine  {told.machine}",
        f"policy   {told.policy}, planning with the {told.runtimes}",
    ]
    lines += _left_out("refused, asking for what no idle machine has", schedule.refused)
    lines += _left_out("waiting to the end", schedule.unstarted)
    return lines


def _dropped(dropped: dict[str, int]) -> str:
    if not dropped:
        return ""
    return f", {sum(dropped.values()):,} left out ({', '.join(f'{n:,} {cause}' for cause, n in dropped.items())})"


def _left_out(what: str, why_by_id: dict[int, str]) -> list[str]:
    if not why_by_id:
        return []
    job_id, why = next(iter(why_by_id.items()))
    return [f"         {_count(len(why_by_id), 'job')} {what}, first {job_id}: {why or 'no reason is known'}"]


def _summary(judgement: Judgement) -> list[str]:
    figures = judgement.figures
    return [
        f"bounded slowdown  mean {figures.mean_bounded_slowdown:,.3f}   most {figures.max_bounded_slowdown:,.1f}",
        f"wait              mean {figures.mean_wait_s:,.0f} s   median {figures.median_wait_s:,} s   "
        f"95 % {figures.p95_wait_s:,} s",
        f"longest wait      {figures.max_wait_s:,} s (job {judgement.longest})",
        f"flow              mean {figures.mean_flow_s:,.0f} s",
        f"utilisation       {judgement.utilisation:.2%} of {judgement.makespan_s:,} s",
    ]


def _table(title: str, noun: str, groups: Sequence[Group], work_s: int) -> list[str]:
    rows = [(group.name, *_cells(group.figures, work_s)) for group in groups]
    table = [(noun, *_TITLES), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [f"by {title}"]
    return lines + ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]


def _cells(figures: Figures, work_s: int) -> tuple[str, ...]:
    return (
        f"{figures.jobs:,}",
        f"{figures.work_s / work_s:.1%}",
        f"{figures.mean_bounded_slowdown:,.2f}",
        f"{figures.mean_wait_s:,.0f}",
        f"{figures.median_wait_s:,}",
        f"{figures.p95_wait_s:,}",
        f"{figures.max_wait_s:,}",
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def as_json(told: Told) -> dict[str, Any]:
    """Return the whole report as plain values."""
    judgement = told.judgement
    by_name: dict[str, Any] = {
        "trace": told.trace,
        "machine": told.machine,
        "processors": told.processors,
        "policy": told.policy,
        "runtimes": told.runtimes,
        "dropped": told.dropped,
        "refused": {str(job_id): why for job_id, why in told.schedule.refused.items()},
        "unstarted": {str(job_id): why for job_id, why in told.schedule.unstarted.items()},
        "passes": told.schedule.counts.passes,
        "pending_max": told.schedule.counts.pending_max,
    }
    if judgement is not None:
        by_name |= msgspec.to_builtins(judgement.figures)
        by_name |= {
            "utilisation": judgement.utilisation,
            "makespan_s": judgement.makespan_s,
            "longest_waiting_job": judgement.longest,
            "users": _by_name(judgement.users),
            "widths": _by_name(judgement.widths),
        }
    return by_name


def _by_name(groups: Iterable[Group]) -> dict[str, Any]:
    return {group.name: msgspec.to_builtins(group.figures) for group in groups}


def render_json(told: Told) -> str:
    return json.dumps(as_json(told), indent=2) + "\n"


def render_csv(schedule: Schedule) -> str:
    """Return a line a job that ran, in order of submission."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_TITLES)
    for run in schedule.runs:
        job = run.job
        given = (job.id, job.user, job.processors, job.submitted_s, run.started_s, run.ended_s)
        writer.writerow((*given, run.wait_s, job.run_s, job.estimate_s, f"{bounded_slowdown(run):.6f}"))
    return out.getvalue()


def render_starts(schedule: Schedule) -> str:
    """Return a line `job-id start-second` a job that ran, in order of submission."""
    return "".join(f"{run.job.id} {run.started_s}\n" for run in schedule.runs)


def write_text(path: Path, text: str) -> None:
    """Write a file, compressed if its name ends in .gz; equal texts give equal files."""
    data = text.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
