"""`python -m sluicectld.replay`: the program behind `sluice replay`.  The report goes to stdout, progress to stderr."""

import os
from pathlib import Path
from typing import NoReturn

import click

from sluice.config.light import find_config
from sluice.errors import SluiceError
from sluice.standard_streams import run_printing

from . import policies
from .run_history import HistoryOptions, run_history
from .run_trace import TraceOptions, run_trace

_RESERVATIONS = 8


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("trace", metavar="[TRACE.swf[.gz]]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--processors",
    type=click.IntRange(min=1),
    metavar="N",
    help="Replay on one pool of N processors (default: what the trace's header says).",
)
@click.option(
    "--conf", metavar="FILE", help="Replay on the nodes of this configuration, a trace in its default partition."
)
@click.option(
    "--policy",
    type=click.Choice(policies.NAMES),
    help="Backfill policy (default: easy; with --conf: what the configuration says).",
)
@click.option(
    "--reservations",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Planned starts that --policy hybrid keeps at a time (default: {_RESERVATIONS}).",
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
@click.option("--history", "is_history", is_flag=True, help="Replay the cluster's own past instead of a trace.")
@click.option("--since", metavar="TIME", help="Of the past, what came at TIME or later (2026-11-01, now-2days).")
@click.option(
    "-f", "own_conf", metavar="FILE", help="Configuration of the cluster whose past it is (default: in use here)."
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def main(
    trace: Path | None,
    processors: int | None,
    conf: str | None,
    policy: str | None,
    reservations: int | None,
    runtimes: str,
    fill: bool,
    starts: Path | None,
    folder: Path | None,
    is_history: bool,
    since: str | None,
    own_conf: str | None,
    is_json: bool,
) -> None:
    """Replay a workload trace, or this cluster's past, on virtual time and tell how its jobs fared.

    The decisions are those of the controller's scheduler.  TRACE is in Standard Workload Format.  A FILE whose name
    ends in .gz is compressed.

    With --history every pass of the scheduler that started something is made again from the journal and compared with
    what it started.  With --conf as well, the jobs of the past are replayed under that configuration, to tell who
    would have waited longer or shorter.
    """
    if is_history == (trace is not None):
        raise click.UsageError("give either a TRACE or --history")
    if is_history and (processors or policy or starts or folder or fill or runtimes != "estimate"):
        raise click.UsageError("--history goes with --since, --conf, -f and --json alone")
    if not is_history and (since is not None or own_conf is not None):
        raise click.UsageError("--since and -f go with --history")
    if reservations is not None and policy != "hybrid":
        raise click.UsageError("--reservations goes with --policy hybrid alone")
    if conf is not None and processors is not None:
        raise click.UsageError("--processors and --conf exclude each other: a configuration says what there is")
    try:
        if trace is not None:
            run_trace(
                TraceOptions(
                    trace,
                    processors,
                    conf,
                    policy or "",
                    reservations or _RESERVATIONS,
                    runtimes,
                    fill,
                    starts,
                    folder,
                    is_json,
                )
            )
        else:
            run_history(HistoryOptions(os.path.abspath(own_conf or find_config()), conf, since, is_json))
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}")
    except SluiceError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"sluice: error: {message}", err=True)
    raise SystemExit(1) from None


if __name__ == "__main__":
    run_printing("sluice", lambda: main(prog_name="sluice replay"))
