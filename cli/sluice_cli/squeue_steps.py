"""squeue -s: the running steps."""

from __future__ import annotations

from sluice import array_spec
from sluice.wire import light
from sluice_cli import client, fields_step, listing, squeue_select, talk
from sluice_cli.fields_step import StepRow
from sluice_cli.job_row import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice import jobid_spec
    from sluice_cli.listing import Comparison
    from sluice_cli.render import Layout
    from sluice_cli.squeue_select import Values
    from sluice_cli.talk import Voice


def list_steps(voice: Voice, values: Values, layout: Layout, comparisons: list[Comparison]) -> int:
    """Print the steps that *values* select; return the exit status.  Raises Refusal, SluiceError."""
    try:
        rows = _fetch_rows(voice, values)
    except squeue_select.Refusal as refusal:
        if not refusal.is_empty:
            raise
        rows = []
    if listing.is_structured(values):
        from sluice_cli import json_out, json_step

        return json_out.put(values, "steps", [json_step.step_object(row) for row in rows])
    listing.sort_rows(rows, comparisons)
    if "noheader" not in values:
        talk.put(layout.header() + "\n")
    if rows:
        talk.put("\n".join(layout.lines(rows)) + "\n")
    return 0


def _fetch_rows(voice: Voice, values: Values) -> list[StepRow]:
    wanted = squeue_select.read_steps(values["steps"]) if values.get("steps") else []
    selection = squeue_select.read_selection({"states": "all"} | values, voice)
    selection.filter.pop("states", None)
    ids = [str(job_id) for job_id, _, _ in wanted] or selection.filter.get("ids", [])
    if ids:
        # Two ids at least: a single unknown one would be refused instead of listed as nothing.
        selection.filter["ids"] = ids if len(ids) > 1 else ids * 2
    where = client.find_endpoints()
    with light.connect(where) as connection:
        if values.get("nodelist"):
            known = connection.call("QueryNodes", {}).get("nodes", [])
            selection.filter["nodes"] = squeue_select.read_nodes(values["nodelist"], known)
        reply = connection.call("QuerySteps", {"filter": selection.filter})
    context = Context(reply.get("now_at", 0.0), where.cluster_name)
    rows = [StepRow(view, context) for view in reply.get("steps", ())]
    if wanted:
        return [row for row in rows if _is_wanted(row, wanted)]
    # The controller gives the steps of whole arrays.
    return (
        [row for row in rows if _is_of_jobs(row, selection.ids)] if any(each.tasks for each in selection.ids) else rows
    )


def _is_of_jobs(row: StepRow, specs: list[jobid_spec.JobIdSpec]) -> bool:
    array_id, index = row.view.get("array_job_id"), row.view.get("array_task_id")
    for spec in specs:
        if spec.tasks is None:
            # A component's id is counted from its leader's.
            if spec.job_id + (spec.component or 0) in (row.step["job_id"], array_id):
                return True
        elif spec.job_id == array_id and index is not None and array_spec.contains(spec.tasks, index):
            return True
    return False


def _is_wanted(row: StepRow, wanted: list[tuple[int, int | None, str]]) -> bool:
    step = row.step
    word = fields_step.step_word(step["step_id"])
    index = row.view.get("array_task_id")
    for job_id, task, asked in wanted:
        is_job = job_id == step["job_id"] if task is None else (job_id, task) == (row.view.get("array_job_id"), index)
        if is_job and asked == word:
            return True
    return False
