"""scontrol show step: the records of running steps.  Source: CONTRACT section 8.2."""

from __future__ import annotations

from sluice import duration
from sluice.errors import InvalidRequest, SluiceError
from sluice.jobid_spec import JobIdSpec, parse
from sluice_cli import fields_step, talk
from sluice_cli.fields_step import StepRow
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.scontrol_session import Session

NULL = "(null)"


def show_steps(session: Session, text: str) -> None:
    """Print the steps of a job or one step, all without a name."""
    spec: JobIdSpec | None = None
    if text:
        try:
            spec = parse(text)
        except InvalidRequest:
            spec = None
    try:
        rows = _load(session, spec)
    except SluiceError as error:
        session.fail(f"slurm_get_job_steps error: {sentence(error)}")
        return
    if session.structured:
        from sluice_cli import json_out, json_step

        json_out.put(session.structured, "steps", [json_step.step_object(row) for row in rows])
        return
    if not rows:
        session.exit_status = 1 if spec is not None else session.exit_status
        talk.put(f"Job step {text} not found\n" if spec is not None else "No job steps in the system\n")
    for row in rows:
        session.put_record(step_lines(row))


def _load(session: Session, spec: JobIdSpec | None) -> list[StepRow]:
    wanted = {"ids": [str(spec.job_id)]} if spec is not None else {}
    if spec is not None:
        # Steps of an unknown job are none; only the question for the job itself is refused.
        for _ in session.stream("QueryJobs", {"filter": wanted}):
            pass
    reply = session.call("QuerySteps", {"filter": wanted})
    context = session.context(reply.get("now_at", 0.0))
    rows = [StepRow(view, context) for view in reply.get("steps", ())]
    if spec is None:
        return rows
    return [
        row
        for row in rows
        if (spec.step is None or fields_step.step_word(row.step["step_id"]) == spec.step)
        and (spec.task is None or row.view.get("array_task_id") == spec.task)
    ]


def step_lines(row: StepRow) -> list[str]:
    """Return a step's record."""
    step, spec = row.step, row.spec
    started = row.context.clock(step.get("started_at"), "Unknown")
    launcher = f"{spec.get('srun_host') or NULL}:{spec.get('srun_pid', 0)}"
    layout = f" Dist={_distribution(spec.get('distribution', ''))}" if row.is_launched else ""
    return [
        f"StepId={fields_step.display_id(row)} UserId={row.view['uid']} StartTime={started} "
        f"TimeLimit={duration.format_long(spec.get('limit_s'))}",
        f"State={step.get('state', 'RUNNING')} Partition={row.view['partition']} NodeList={row.view['nodes']}",
        f"Nodes={len(step.get('nodes', ()))} CPUs={fields_step.cpu_count(row)} Tasks={fields_step.task_count(row)} "
        f"Name={spec['name']} Network=(null)",
        f"TRES={(fields_step.step_tres(step) if row.is_launched else '') or NULL}",
        f"ResvPorts={fields_step.reserved_ports(row) or NULL}",
        f"CPUFreqReq=Default{layout}",
        f"SrunHost:Pid={launcher}",
    ]


def _distribution(text: str) -> str:
    """Return the layout of tasks over nodes as Slurm writes it."""
    return text.partition(":")[0].partition("=")[0].capitalize() or "Block"
