"""The lines that a step daemon tells the user, in the words that tools know (CONTRACT section 15)."""

from __future__ import annotations

import time

from sluice.model.states import Ending

_SUFFIXES = {
    Ending.FINISHED: "",
    Ending.CANCEL: "",
    Ending.TIME_LIMIT: " DUE TO TIME LIMIT",
    Ending.NODE_FAILURE: " DUE TO NODE FAILURE",
    Ending.REQUEUE: " DUE TO JOB REQUEUE",
    Ending.PREEMPTION: " DUE TO PREEMPTION",
}


def error_line(node: str, text: str) -> str:
    return f"slurmstepd-{node}: error: {text}"


def message_line(node: str, text: str, is_batch: bool) -> str:
    """Return what somebody has to say as 22.05 shows it: an error of the step daemon, or a word of srun."""
    return error_line(node, text) if is_batch else f"srun: {text}"


def end_line(node: str, what: str, ending: Ending, at: float) -> str:
    """what: "JOB 12" or "STEP 12.0"."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at))
    return error_line(node, f"*** {what} ON {node} CANCELLED AT {when}{_SUFFIXES[ending]} ***")


def oom_line(node: str, step: str, count: int) -> str:
    events = "event" if count == 1 else "events"
    return error_line(
        node, f"Detected {count} oom_kill {events} in StepId={step}. Some of the step tasks have been OOM Killed."
    )
