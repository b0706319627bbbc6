"""sacct: jobs of any age and their steps.

Source: CONTRACT section 9.
"""

from __future__ import annotations

import gc
import os
import sys
import time

from sluice.errors import RequestError, SluiceError
from sluice_cli import account_table, client, fields_accounting, listing, sacct_options, sacct_select, talk
from sluice_cli.account_line import Scale, lines_of
from sluice_cli.job_row import Context, JobRow
from sluice_cli.talk import Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice_cli.account_line import AccountLine
    from sluice_cli.account_table import Column
    from sluice_cli.sacct_select import Question

    Map = dict[str, Any]
    Values = dict[str, str]

_RULE = "-" * 80


def main(words: Sequence[str] | None = None) -> int:
    """Run sacct; return its exit status."""
    # What a query returns has no cycles worth looking for.
    gc.disable()
    voice = Voice("sacct")
    given = sys.argv[1:] if words is None else words
    answer = listing.read_command_line(voice, sacct_options.TABLE, given, sacct_options.SYNOPSIS, False)
    if isinstance(answer, int):
        return answer
    found, positionals = answer
    values = sacct_options.settle(found)
    if positionals:
        voice.error("Unknown arguments:")
        for word in positionals:
            voice.error(f" {word}")
        return listing.REFUSED_EXIT
    try:
        return _run(voice, values)
    except KeyboardInterrupt:
        return talk.INTERRUPTED_EXIT
    except sacct_options.Refusal as refusal:
        talk.plain(str(refusal))
        return listing.REFUSED_EXIT
    except account_table.UnknownField as error:
        voice.error(f'Invalid field requested: "{error}"')
        return listing.REFUSED_EXIT
    except SluiceError as error:
        client.tell_failure(voice, error)
        return listing.REFUSED_EXIT


def _run(voice: Voice, values: Values) -> int:
    if "helpformat" in values:
        talk.put("\n".join(account_table.help_lines()) + "\n")
        return 0
    if "completion" in values:
        talk.plain("Slurm job completion is disabled")
        return listing.REFUSED_EXIT
    scale = Scale(_read_unit(values))
    columns = account_table.read_columns(_format(values))
    has_steps = "allocations" not in values
    names = {column.field.name for column in columns}
    needs_steps = has_steps or not names.isdisjoint(fields_accounting.SUMMED_FIELDS) or listing.is_structured(values)
    question = sacct_select.read_question(values, time.time(), needs_steps)
    is_here = _is_own_cluster(values)
    entries, context = _fetch(question) if is_here else ([], Context(time.time()))
    if "truncate" in values:
        entries = [_truncated(entry, question.body) for entry in entries]
    if "batch-script" in values or "env-vars" in values:
        return _put_stored(voice, values, entries, context)
    if listing.is_structured(values):
        from sluice_cli import json_accounting, json_out

        return json_out.put(
            values, "jobs", [json_accounting.job_object(lines_of(entry, context, scale, True)) for entry in entries]
        )
    lines = [
        line for entry in entries for line in lines_of(entry, context, scale, has_steps) if _is_named(question, line)
    ]
    _put_table(values, columns, lines)
    return 0


def _read_unit(values: Values) -> str:
    unit = values.get("units", "").upper() if "noconvert" not in values else ""
    if unit and unit not in tuple("KMGTP"):
        raise sacct_options.Refusal("sacct: fatal: Invalid unit type")
    return unit


def _format(values: Values) -> str:
    if "format" in values:
        return values["format"]
    if "brief" in values:
        return fields_accounting.BRIEF_FORMAT
    return fields_accounting.LONG_FORMAT if "long" in values else fields_accounting.DEFAULT_FORMAT


def _is_own_cluster(values: Values) -> bool:
    """Jobs of another cluster are none; that is no error."""
    if not values.get("cluster"):
        return True
    own = client.find_endpoints().cluster_name
    return any(name.strip().lower() in (own, "all") for name in values["cluster"].split(","))


def _fetch(question: Question) -> tuple[list[Map], Context]:
    """Return the jobs that pass every test, in order of id."""
    entries: list[Map] = []
    context = Context(time.time())
    for part in client.stream("QueryAccounting", question.body):
        entries += part.get("rows", ())
        context.now_at = part.get("now_at") or context.now_at
        context.cluster = part.get("cluster") or context.cluster
    if question.tests:
        rows = ((entry, JobRow(entry, context)) for entry in entries)
        entries = [entry for entry, row in rows if all(test(row) for test in question.tests)]
    return entries, context


def _is_named(question: Question, line: AccountLine) -> bool:
    if not question.ids:
        return True
    if line.step is None:
        return sacct_select.is_job_named(question.ids, line.row)
    return sacct_select.is_step_named(question.ids, line.row, line.step["step_id"])


def _truncated(entry: Map, body: Map) -> Map:
    """Return the entry with start and end moved into the window."""
    job = dict(entry["job"])
    start_at, end_at = body.get("start_at"), body.get("end_at")
    if job.get("started_at") is not None and start_at is not None:
        job["started_at"] = max(job["started_at"], start_at)
    if job.get("ended_at") is not None and end_at is not None:
        job["ended_at"] = min(job["ended_at"], end_at)
    return {**entry, "job": job}


def _put_table(values: Values, columns: list[Column], lines: list[AccountLine]) -> None:
    if not columns:
        return
    has_header = "noheader" not in values
    if "parsable" in values or "parsable2" in values:
        delimiter = values.get("delimiter", "|")
        shown = account_table.delimited_lines(columns, lines, has_header, delimiter, "parsable" in values)
    else:
        shown = account_table.column_lines(columns, lines, has_header)
    if shown:
        talk.put("\n".join(shown) + "\n")


def _put_stored(voice: Voice, values: Values, entries: list[Map], context: Context) -> int:
    """Print the scripts of jobs; environments are not given out."""
    if not values.get("jobs"):
        voice.fatal("Please specify -j <jobid> to use -B or --env-vars")
        return listing.REFUSED_EXIT
    for entry in entries:
        row = JobRow(entry, context)
        if "batch-script" not in values:
            talk.put(f"Environment used for {row.job['id']} (must be batch to display)\n{_RULE}\nNONE\n")
            continue
        try:
            script = os.fsdecode(client.call("QueryScript", {"job_id": row.job["id"]})["script"])
        except RequestError:
            script = "NONE\n"
        talk.put(f"Batch Script for {row.job['id']}\n{_RULE}\n{script}\n")
    return 0
