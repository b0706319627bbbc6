"""squeue: jobs and steps that the controller has in memory.

Options become a selection, a layout and an order; squeue_jobs and squeue_steps do the listing.
Source: CONTRACT section 5.
"""

from __future__ import annotations

import gc
import sys

from sluice.errors import SluiceError
from sluice_cli import fields_job, listing, squeue_jobs, squeue_options, squeue_select, talk
from sluice_cli.render import parse_long, parse_short
from sluice_cli.talk import Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice_cli.fields import FieldTable
    from sluice_cli.listing import Comparison
    from sluice_cli.render import Layout
    from sluice_cli.squeue_select import Values


def main(words: Sequence[str] | None = None) -> int:
    """Run squeue; return its exit status."""
    # Ten thousand jobs are a quarter million objects without a cycle among them.
    gc.disable()
    voice = Voice("squeue")
    given = sys.argv[1:] if words is None else words
    answer = listing.read_command_line(voice, squeue_options.TABLE, given, squeue_options.SYNOPSIS)
    if isinstance(answer, int):
        return answer
    found, positionals = answer
    values = squeue_options.settle(found, positionals)
    if positionals:
        talk.put_standard_answer("squeue", "usage", squeue_options.TABLE, squeue_options.SYNOPSIS)
        voice.error(f"Unrecognized option: {positionals[0]}")
        return listing.REFUSED_EXIT
    try:
        return _run(voice, values)
    except KeyboardInterrupt:
        return talk.INTERRUPTED_EXIT
    except squeue_select.Refusal as refusal:
        for line in refusal.lines:
            voice.error(line)
        return listing.REFUSED_EXIT
    except SluiceError as error:
        return listing.tell_load_failure(voice, "slurm_load_jobs error", error)


def _run(voice: Voice, values: Values) -> int:
    is_steps = "steps" in values
    table = _table(is_steps)
    if "helpformat" in values or "helpstate" in values:
        return _put_help(table, "helpstate" in values)
    if "format" in values and "Format" in values:
        voice.error("-O (--Format) is incompatible with -o (--format)")
        return listing.REFUSED_EXIT
    if not listing.check_clusters(voice, values.get("cluster")):
        return listing.REFUSED_EXIT
    layout = _read_layout(voice, values, table, is_steps)
    comparisons = _read_order(values, table, is_steps)
    interval_s = listing.read_interval(voice, values["iterate"]) if "iterate" in values else 0
    if "iterate" in values and not interval_s:
        return listing.REFUSED_EXIT

    def list_once() -> int:
        if is_steps:
            from sluice_cli import squeue_steps

            return squeue_steps.list_steps(voice, values, layout, comparisons)
        return squeue_jobs.list_jobs(voice, values, layout, comparisons)

    if interval_s:
        return listing.iterate(list_once, interval_s)
    if "long" in values and "noheader" not in values and not listing.is_structured(values):
        listing.put_date()
    return list_once()


def _table(is_steps: bool) -> FieldTable:
    if not is_steps:
        return fields_job.TABLE
    from sluice_cli import fields_step

    return fields_step.TABLE


def _read_layout(voice: Voice, values: Values, table: FieldTable, is_steps: bool) -> Layout:
    kind = "job step" if is_steps else "job"

    def complain(name: str) -> None:
        voice.error(f"Invalid {kind} format specification: {name}")

    if "Format" in values:
        return parse_long(values["Format"], table, complain)
    return parse_short(values.get("format", _default_format(values, is_steps)), table, complain)


def _read_order(values: Values, table: FieldTable, is_steps: bool) -> list[Comparison]:
    """Return the comparisons of --sort.  Raises Refusal."""
    default = fields_job.START_SORT if "start" in values else fields_job.DEFAULT_SORT
    asked = values.get("sort") or ("P,i" if is_steps else default)
    comparisons, unknown = listing.read_sort(asked, table, "" if is_steps else fields_job.UNSORTED_LETTERS)
    if unknown:
        raise squeue_select.Refusal(f"Invalid sort specification: {unknown}")
    return comparisons


def _default_format(values: Values, is_steps: bool) -> str:
    if is_steps:
        from sluice_cli import fields_step

        return fields_step.DEFAULT_FORMAT
    if "start" in values:
        return fields_job.START_FORMAT
    if "only-job-state" in values:
        return fields_job.STATE_FORMAT
    return fields_job.LONG_FORMAT if "long" in values else fields_job.DEFAULT_FORMAT


def _put_help(table: FieldTable, is_states: bool) -> int:
    from sluice_cli.job_row import SHORT_STATES

    names = SHORT_STATES if is_states else [field.names[0] for field in table.fields]
    talk.put("".join(f"{name}\n" for name in names))
    return 0
