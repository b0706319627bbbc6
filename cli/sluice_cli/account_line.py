"""A line of sacct: a job at one attempt, or one of its steps, with what the fields read of both."""

from __future__ import annotations

from sluice import duration, size
from sluice_cli import fields_step, job_row, job_size
from sluice_cli.job_row import JobRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.job_row import Context

    Map = dict[str, Any]

_UNITS = "KMGTP"


class Scale:
    """How sizes are shown: in the largest unit that divides them, or in one unit with two decimals (--units)."""

    __slots__ = ("unit",)

    def __init__(self, unit: str = "") -> None:
        self.unit = unit

    def kib(self, kib: int) -> str:
        if not self.unit:
            return size.format_kib(kib)
        return f"{kib / 1024 ** _UNITS.index(self.unit):.2f}{self.unit}"

    def mib(self, mib: int) -> str:
        return self.kib(mib * 1024) if self.unit else size.format_mib(mib)


class AccountLine:
    """One line.  step is None on a job's own; steps are all of the job's, for what it sums up."""

    __slots__ = ("context", "entry", "job", "row", "scale", "spec", "step", "steps")

    def __init__(self, entry: Map, context: Context, scale: Scale, step: Map | None = None) -> None:
        self.entry = entry
        self.context = context
        self.scale = scale
        self.row = JobRow(entry, context)
        self.job = self.row.job
        self.spec = self.row.spec
        self.steps: list[Map] = entry.get("steps", [])
        self.step = step


def lines_of(entry: Map, context: Context, scale: Scale, has_steps: bool) -> list[AccountLine]:
    """Return a job's line and, where wanted, those of its steps."""
    lines = [AccountLine(entry, context, scale)]
    if has_steps:
        lines += [AccountLine(entry, context, scale, step) for step in entry.get("steps", ())]
    return lines


def line_id(line: AccountLine) -> str:
    shown = job_row.display_id(line.row)
    return shown if line.step is None else f"{shown}.{fields_step.step_word(line.step['step_id'])}"


def raw_id(line: AccountLine) -> str:
    own = str(line.job["id"])
    return own if line.step is None else f"{own}.{fields_step.step_word(line.step['step_id'])}"


#: States that say more than that the job came back.
_TOLD_WHEN_REQUEUED = ("PENDING", "RUNNING", "SUSPENDED", "NODE_FAIL", "PREEMPTED")


def state(line: AccountLine) -> str:
    """Return the state; of what a user cancelled, by whom."""
    record = line.job if line.step is None else line.step
    word = record.get("state", "PENDING" if line.step is None else "RUNNING")
    if line.step is None and record.get("is_requeued") and word not in _TOLD_WHEN_REQUEUED:
        return "REQUEUED"
    if word == "CANCELLED" and record.get("cancelled_by") is not None:
        return f"CANCELLED by {record['cancelled_by']}"
    return str(word)


def exit_text(line: AccountLine) -> str:
    record = line.job if line.step is None else line.step
    return f"{record.get('exit_code', 0)}:{record.get('exit_signal', 0)}"


def elapsed_s(line: AccountLine) -> int:
    if line.step is None:
        return int(job_row.elapsed_s(line.row))
    until_at = line.step.get("ended_at") or line.context.now_at
    return max(0, int(until_at) - int(line.step.get("started_at", 0.0)))


def start_at(line: AccountLine) -> float | None:
    record = line.job if line.step is None else line.step
    at: float | None = record.get("started_at")
    return None if line.row.state == "PENDING" else at


def end_at(line: AccountLine) -> float | None:
    record = line.job if line.step is None else line.step
    at: float | None = record.get("ended_at")
    return None if line.row.state == "PENDING" else at


def start_text(line: AccountLine) -> str:
    """Return the start; "None" of a job that ended without one."""
    never = line.step is None and line.row.state != "PENDING"
    return line.context.clock(start_at(line), "None" if never else "Unknown")


def cpus(line: AccountLine) -> int:
    """Return the CPUs that the line has, or asks for while it waits."""
    if line.step is None:
        return job_size.cpu_count(line.row)
    nodes = line.step.get("nodes", ())
    own: int = sum([node.get("cpu_count", 0) for node in nodes])
    if own:
        return own
    shares = {grant["node"]: grant["cpu_count"] for grant in line.row.grants}
    return sum([shares.get(node["node"], 0) for node in nodes])


def node_count(line: AccountLine) -> int:
    return job_size.node_count(line.row) if line.step is None else len(line.step.get("nodes", ()))


def node_text(line: AccountLine) -> str:
    if line.step is None:
        nodes = line.entry.get("nodes") or job_size.node_list([grant["node"] for grant in line.row.grants])
        return nodes or "None assigned"
    return job_size.node_list([node["node"] for node in line.step.get("nodes", ())])


def tasks(line: AccountLine) -> int:
    return sum([node["ntasks"] for node in line.step.get("nodes", ())]) if line.step is not None else 0


def usage(line: AccountLine) -> Map:
    """Return what a step used; nothing of a job itself."""
    found: Map = line.step.get("usage", {}) if line.step is not None else {}
    return found


def cpu_seconds(line: AccountLine, *keys: str) -> float:
    """Return used CPU time, of a job the sum over its steps."""
    steps = line.steps if line.step is None else [line.step]
    return float(sum([step.get("usage", {}).get(key, 0.0) for step in steps for key in keys]))


def cpu_time_text(line: AccountLine, *keys: str) -> str:
    return duration.format_cpu_time(cpu_seconds(line, *keys))


def requested_memory(line: AccountLine) -> str:
    """Return the memory of the whole request; of one for whole nodes what it got of them."""
    mib = job_size.requested_memory_mib(line.spec)
    if not mib and line.row.grants:
        mib = line.row.grants[0].get("memory_mib", 0) * job_size.least_nodes(line.spec)
    return line.scale.mib(mib) if mib else "0"
