"""squeue's listing of jobs: what the controller streams becomes rows, sorted and printed in one write."""

from __future__ import annotations

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


def list_jobs(voice: Voice, values: Values, layout: Layout, comparisons: list[Comparison]) -> int:
    """Print the jobs that *values* select; return the exit status.

    Raises Refusal, SluiceError.
    """
    try:
        rows = fetch_rows(voice, values)
    except squeue_select.Refusal as refusal:
        if not refusal.is_empty:
            raise
        rows = []
    if listing.is_structured(values):
        from sluice_cli import json_job, json_out

        return json_out.put(values, "jobs", [json_job.job_object(row) for row in rows])
    rows = list(_split(rows, values))
    listing.sort_rows(rows, comparisons)
    if "noheader" not in values:
        talk.put(layout.header() + "\n")
    if rows:
        talk.put("\n".join(layout.lines(rows)) + "\n")
    return 0


def fetch_rows(voice: Voice, values: Values) -> list[JobRow]:
    """Return the selected jobs, a row each, in the controller's order.  Raises Refusal, SluiceError."""
    selection = squeue_select.read_selection(values, voice)
    where = client.find_endpoints()
    with light.connect(where) as connection:
        if values.get("nodelist"):
            known = connection.call("QueryNodes", {}).get("nodes", [])
            selection.filter["nodes"] = squeue_select.read_nodes(values["nodelist"], known)
        hidden = _hidden_partitions(connection, values)
        views: list[Map] = []
        context = Context(0.0, where.cluster_name)
        for part in connection.stream("QueryJobs", {"filter": selection.filter}):
            views += part.get("jobs", ())
            context.now_at = part.get("now_at", 0.0)
    return list(_visible(views, context, selection, hidden))


def _visible(views: list[Map], context: Context, selection: Selection, hidden: frozenset[str]) -> Iterator[JobRow]:
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


def _split(rows: Iterable[JobRow], values: Values) -> Iterator[JobRow]:
    """Give one row for each waiting task (-r) and for each partition (-P), where that is asked."""
    is_by_task = "array" in values or "array-unique" in values
    is_by_partition = "priority" in values
    if not (is_by_task or is_by_partition):
        yield from rows
        return
    for row in rows:
        parts = [row]
        if is_by_task and row.tasks is not None:
            parts = [row.with_tasks(((index, index, 1),)) for index in array_spec.iterate(row.tasks)]
        names = row.spec.get("partitions", ())
        for part in parts:
            if is_by_partition and row.state == "PENDING" and len(names) > 1:
                yield from [part.with_partition(name) for name in names]
            else:
                yield part
