"""squeue's listing of jobs: what the controller streams becomes rows, sorted and printed a thousand at a time."""

from __future__ import annotations

import itertools
import os

from sluice import array_spec
from sluice.wire import light
from sluice_cli import client, listing, squeue_select, talk
from sluice_cli.job_row import Context, JobRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from sluice.wire.light import LightConnection
    from sluice_cli.listing import Comparison
    from sluice_cli.render import Layout
    from sluice_cli.squeue_select import Selection, Values
    from sluice_cli.talk import Voice

    Map = dict[str, Any]

#: Lines of one write.
_PIECE = 1_000


def list_jobs(voice: Voice, values: Values, layout: Layout, comparisons: list[Comparison]) -> int:
    """Print the jobs that *values* select; return the exit status.

    Raises Refusal, SluiceError.
    """
    rows = _selected_rows(voice, values)
    if listing.is_structured(values):
        from sluice_cli import json_job, json_out

        # Not sorted, so that the first is printed when it comes.
        return json_out.put_stream(values, "jobs", (json_job.job_object(row) for row in rows))
    lines = _sorted_lines(list(rows), values, layout, comparisons)
    header = [] if "noheader" in values else [layout.header()]
    _put_lines(itertools.chain(header, lines))
    return 0


def _selected_rows(voice: Voice, values: Values) -> Iterator[JobRow]:
    """Give the selected jobs, a row each, in the controller's order.  Raises Refusal, SluiceError."""
    try:
        selection = squeue_select.read_selection(values, voice)
    except squeue_select.Refusal as refusal:
        if refusal.is_empty:
            return
        raise
    where = client.find_endpoints()
    with light.connect(where) as connection:
        if values.get("nodelist"):
            known = connection.call("QueryNodes", {}).get("nodes", [])
            selection.filter["nodes"] = squeue_select.read_nodes(values["nodelist"], known)
        hidden = _hidden_partitions(connection, values)
        context = Context(0.0, where.cluster_name)
        for part in connection.stream("QueryJobs", {"filter": selection.filter}):
            context.now_at = part.get("now_at", 0.0)
            yield from _visible(part.get("jobs", ()), context, selection, hidden)


def _visible(views: Iterable[Map], context: Context, selection: Selection, hidden: frozenset[str]) -> Iterator[JobRow]:
    rows = selection.rows([JobRow(view, context) for view in views])
    if not hidden:
        return rows
    return (row for row in rows if not hidden.issuperset(row.spec.get("partitions") or [row.job.get("partition")]))


def _hidden_partitions(connection: LightConnection, values: Values) -> frozenset[str]:
    """Return the partitions whose jobs are left out: hidden ones, for users who did not ask for all or for one job."""
    if "all" in values or "jobs" in values or "partition" in values or os.getuid() == 0:
        return frozenset()
    partitions = connection.call("QueryPartitions", {}).get("partitions", ())
    return frozenset([partition["name"] for partition in partitions if partition.get("is_hidden")])


def _sorted_lines(rows: list[JobRow], values: Values, layout: Layout, comparisons: list[Comparison]) -> Iterator[str]:
    """Give the lines in order.  The tasks of a waiting array (-r) are made as they are printed: there may be millions.

    Only an order that tells the tasks of one array apart (-S i) needs all of them at once.
    """
    if "priority" in values:
        rows = [part for row in rows for part in _by_partition(row)]
    if not ("array" in values or "array-unique" in values):
        listing.sort_rows(rows, comparisons)
        return iter(layout.lines(rows))
    if any(_tells_tasks_apart(comparisons, row) for row in rows):
        rows = [task for row in rows for task in _by_task(row)]
    listing.sort_rows(rows, comparisons)
    return (layout.line(task) for row in rows for task in _by_task(row))


def _tells_tasks_apart(comparisons: list[Comparison], row: JobRow) -> bool:
    if row.tasks is None:
        return False
    first, last = (row.with_task(index) for index in (array_spec.least(row.tasks), array_spec.greatest(row.tasks)))
    return any(key(first) != key(last) for key, _ in comparisons)


def _by_task(row: JobRow) -> Iterator[JobRow]:
    """Give one row for each waiting task."""
    return iter((row,)) if row.tasks is None else map(row.with_task, array_spec.iterate(row.tasks))


def _by_partition(row: JobRow) -> list[JobRow]:
    """Return one row for each partition that the job waits in (-P)."""
    names = row.spec.get("partitions", ())
    return [row.with_partition(name) for name in names] if row.state == "PENDING" and len(names) > 1 else [row]


def _put_lines(lines: Iterator[str]) -> None:
    while piece := list(itertools.islice(lines, _PIECE)):
        talk.put("\n".join(piece) + "\n")
