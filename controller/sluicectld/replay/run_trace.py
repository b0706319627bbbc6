"""`sluice replay TRACE`: a workload trace on virtual time, from the file to the report."""

from pathlib import Path

import click
import msgspec

from sluice.config.load import load

from . import policies, report
from .drive import replay
from .figures import compute_judgement
from .gantt import draw_gantt
from .machine import Machine, configured_machine, pool_machine
from .progress import Progress
from .trace import Trace, read_trace
from .utilisation import draw_utilisation


class TraceOptions(msgspec.Struct, frozen=True):
    """policy: empty for the configuration's own, or easy without a configuration."""

    trace: Path
    processors: int | None
    conf: str | None
    policy: str
    reservations: int
    runtimes: str
    is_filled: bool
    starts: Path | None
    folder: Path | None
    is_json: bool


def run_trace(options: TraceOptions) -> None:
    """Replay, write what is to be written, print the report.  Raises SluiceError, and OSError of a file to write."""
    machine = configured_machine(load(options.conf), options.conf) if options.conf is not None else None
    processors = machine.processors if machine else options.processors
    found = read_trace(options.trace, processors, options.is_filled, options.runtimes == "perfect")
    machine = machine or pool_machine(options.processors or found.processors or 0)
    _make_room(options.starts, options.folder)
    told = _replay(found, machine, options)
    if options.starts is not None:
        report.write_text(options.starts, report.render_starts(told.schedule))
    if options.folder is not None:
        _write_folder(options.folder, told, machine)
    click.echo(report.render_json(told) if options.is_json else report.render_text(told), nl=False)


def _make_room(starts: Path | None, folder: Path | None) -> None:
    """Find out before a long replay whether its results can be written."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    if starts is not None:
        starts.open("ab").close()


def _replay(trace: Trace, machine: Machine, options: TraceOptions) -> report.Told:
    name = options.policy or ("" if options.conf else "easy")
    policy = policies.policy_named(name, machine.policy, options.reservations) if name else machine.policy
    shown = f"{name}, {options.reservations} reservations" if name == "hybrid" else name
    progress = Progress()
    schedule = replay(trace.jobs, machine, policy, progress)
    progress.end(schedule.counts.passes)
    judgement = compute_judgement(schedule, machine.processors)
    words = "run times, known beforehand" if options.runtimes == "perfect" else "users' estimates"
    return report.Told(
        trace.name,
        machine.name,
        machine.processors,
        shown or "as configured",
        words,
        trace.dropped,
        schedule,
        judgement,
    )


def _write_folder(folder: Path, told: report.Told, machine: Machine) -> None:
    title = f"{told.trace}, {told.policy}"
    report.write_text(folder / "figures.json", report.render_json(told))
    report.write_text(folder / "report.txt", report.render_text(told))
    report.write_text(folder / "jobs.csv", report.render_csv(told.schedule))
    report.write_text(folder / "gantt.svg", draw_gantt(told.schedule, machine.nodes, title))
    report.write_text(folder / "utilisation.svg", draw_utilisation(told.schedule, told.processors, title))
