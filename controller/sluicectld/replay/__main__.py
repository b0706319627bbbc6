"""`python -m sluicectld.replay TRACE --processors N --policy NAME`: replay a workload trace on virtual time.

The program behind `sluice replay`.  stdout is the report, stderr tells how far it is.
"""

import sys
import time
from pathlib import Path
from typing import NoReturn

import click

from sluice.config.load import load
from sluice.errors import SluiceError

from . import policies, report
from .drive import replay
from .figures import compute_judgement
from .gantt import draw_gantt
from .machine import Machine, configured_machine, pool_machine
from .trace import Trace, read_trace
from .utilisation import draw_utilisation

_RESERVATIONS = 8


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("trace", metavar="TRACE.swf[.gz]", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--processors",
    type=click.IntRange(min=1),
    metavar="N",
    help="Replay on one pool of N processors (default: what the trace's header says).",
)
@click.option("--conf", metavar="FILE", help="Replay on the nodes of this configuration, in its default partition.")
@click.option(
    "--policy",
    "policy_name",
    type=click.Choice(policies.NAMES),
    help="Backfill policy (default: easy; with --conf: what the configuration says).",
)
@click.option(
    "--reservations",
    type=click.IntRange(min=1),
    metavar="N",
    default=_RESERVATIONS,
    show_default=True,
    help="Planned starts that --policy hybrid keeps at a time.",
)
@click.option(
    "--runtimes",
    type=click.Choice(["estimate", "perfect"]),
    default="estimate",
    show_default=True,
    help="Plan with the users' estimates, or with run times known beforehand.",
)
@click.option("--fill", is_flag=True, help="Take the run time as the estimate of a job that has none.")
@click.option("--starts", metavar="FILE", type=click.Path(path_type=Path), help="Write `job-id start-second` lines.")
@click.option("--report", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Write pictures and tables.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def main(
    trace: Path,
    processors: int | None,
    conf: str | None,
    policy_name: str | None,
    reservations: int,
    runtimes: str,
    fill: bool,
    starts: Path | None,
    folder: Path | None,
    is_json: bool,
) -> None:
    """Replay a workload trace on virtual time and tell how its jobs fared.

    The decisions are those of the controller's scheduler.  TRACE is in Standard Workload Format.  A FILE whose name
    ends in .gz is compressed.
    """
    if conf is not None and processors is not None:
        raise click.UsageError("--processors and --conf exclude each other: a configuration says what there is")
    try:
        machine = configured_machine(load(conf), conf) if conf is not None else None
        found = read_trace(trace, machine.processors if machine else processors, fill, runtimes == "perfect")
        machine = machine or pool_machine(processors or found.processors or 0)
        _make_room(starts, folder)
        told = _replay(found, machine, policy_name or ("" if conf else "easy"), reservations, runtimes)
        if starts is not None:
            report.write_text(starts, report.render_starts(told.schedule))
        if folder is not None:
            _write_folder(folder, told, machine)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}")
    except SluiceError as error:
        _fail(str(error))
    click.echo(report.render_json(told) if is_json else report.render_text(told), nl=False)


def _fail(message: str) -> NoReturn:
    click.echo(f"sluice: error: {message}", err=True)
    raise SystemExit(1) from None


def _make_room(starts: Path | None, folder: Path | None) -> None:
    """Find out before a long replay whether its results can be written."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    if starts is not None:
        starts.open("ab").close()


def _replay(trace: Trace, machine: Machine, name: str, reservations: int, runtimes: str) -> report.Told:
    """name: of a policy, empty for the configuration's own."""
    policy = policies.policy_named(name, machine.policy, reservations) if name else machine.policy
    shown = f"{name}, {reservations} reservations" if name == "hybrid" else name
    progress = _Progress()
    schedule = replay(trace.jobs, machine, policy, progress)
    progress.end(schedule.counts.passes)
    judgement = compute_judgement(schedule, machine.processors)
    words = "run times, known beforehand" if runtimes == "perfect" else "users' estimates"
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


class _Progress:
    """Tells on stderr how far the replay is: over and over on one line of a terminal, each tenth elsewhere."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._tenths = 0
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, ended: int, total: int) -> None:
        percent = 100 * ended // total
        if self._is_terminal:
            click.echo(f"\r{percent:3} % of {total:,} jobs", nl=False, err=True)
        elif percent // 10 > self._tenths:
            self._tenths = percent // 10
            click.echo(f"{10 * self._tenths} % of {total:,} jobs", err=True)

    def end(self, passes: int) -> None:
        took_s = time.perf_counter() - self._began_s
        begin = "\r" if self._is_terminal else ""
        click.echo(f"{begin}passes: {passes:,} in {took_s:.1f} s", err=True)


if __name__ == "__main__":
    main(prog_name="sluice replay")
