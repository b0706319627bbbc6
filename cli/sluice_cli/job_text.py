"""What a job says of itself: reason, dependency, command, files, users; texts that several listings share."""

from __future__ import annotations

import os

from sluice import dependency_spec, filename_pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.job_row import JobRow

    Map = dict[str, Any]

NULL = "(null)"
#: States whose reason is worth more than the nodes that the job had.
_REASON_STATES = frozenset(("PENDING", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL"))
_HOLD_REASONS = {"user": "JobHeldUser", "admin": "JobHeldAdmin"}
_DEFAULT_OUTPUT = "slurm-%j.out"
_DEFAULT_ARRAY_OUTPUT = "slurm-%A_%a.out"


def reason(row: JobRow) -> str:
    """Return why the job waits, or why it ended as it did."""
    job = row.job
    if row.state == "PENDING":
        blockers = row.view.get("blockers")
        if blockers:
            return _blocker_text(blockers[0])
        return _HOLD_REASONS.get(job.get("hold", ""), "") or job.get("reason", "None")
    word: str = job.get("reason", "None")
    if word == "RaisedSignal" and job.get("exit_signal"):
        return f"{word}:{job['exit_signal']}({signal_text(job['exit_signal'])})"
    return word


def _blocker_text(blocker: Map) -> str:
    word: str = blocker["reason"]
    text: str = blocker.get("text", "")
    # Slurm's details, which tools know, follow the word; the sentences for `sluice explain` do not.
    if word == "ReqNodeNotAvail" and text.startswith(("UnavailableNodes:", "Reserved", "May be reserved")):
        return f"{word}, {text}"
    return word


def signal_text(number: int) -> str:
    """Return the name of a signal as strsignal(3) has it."""
    # The module under signal: that one makes its enums first.
    import _signal  # type: ignore[import-not-found]

    try:
        return str(_signal.strsignal(number) or number)
    except ValueError:
        return str(number)


def nodes_or_reason(row: JobRow) -> str:
    """Return the nodes of a job that has some, (Reason) of one that waits or failed."""
    if row.state in _REASON_STATES and not row.job.get("completing_nodes"):
        return f"({reason(row)})"
    return str(row.view.get("nodes", ""))


def dependency(row: JobRow) -> str:
    """Return what is left of the dependency: afterok:405(unfulfilled)."""
    left = row.job.get("dependency")
    terms = left.get("terms") if left else None
    if not terms:
        return NULL
    state = "failed" if reason(row) == "DependencyNeverSatisfied" else "unfulfilled"
    triples = [
        (term["type"], term.get("job_id", 0), term.get("task_id"), term.get("delay_s", 0) // 60) for term in terms
    ]
    assert left is not None
    return dependency_spec.format_dependencies(triples, left.get("is_any", False), [state] * len(triples))


def reservation(row: JobRow) -> str:
    """Return the reservation that the job runs in, or those that it asks for."""
    return str(row.job.get("reservation") or row.spec.get("reservation") or "")


def command(row: JobRow) -> str:
    """Return the script or program with its arguments; (null) for a script that is no file."""
    spec = row.spec
    name = spec.get("command", "")
    return " ".join([name, *spec.get("arguments", ())]) if name else NULL


def stdout_path(row: JobRow) -> str:
    default = _DEFAULT_ARRAY_OUTPUT if row.job.get("array_job_id") else _DEFAULT_OUTPUT
    return _path(row, row.spec.get("std_out") or (default if row.spec.get("is_batch", True) else ""))


def stderr_path(row: JobRow) -> str:
    pattern = row.spec.get("std_err")
    return _path(row, pattern) if pattern else stdout_path(row)


def stdin_path(row: JobRow) -> str:
    pattern = row.spec.get("std_in")
    if not pattern or pattern == "none":
        return "/dev/null" if row.spec.get("is_batch", True) else ""
    return _path(row, pattern)


def _path(row: JobRow, pattern: str) -> str:
    if not pattern:
        return ""
    job = row.job
    array_id = job.get("array_job_id") or job["id"]
    fields: dict[str, str | int] = {"j": job["id"], "A": array_id, "u": row.spec["user"], "x": row.spec["name"]}
    if row.index is not None:
        fields["a"] = row.index
    grants = row.grants
    if grants:
        fields["N"] = grants[0]["node"].partition(".")[0]
    return os.path.join(row.spec.get("work_dir", ""), filename_pattern.render(pattern, fields))


def over_subscribe(spec: Map) -> str:
    """Return OK, YES, or what the job excludes: NO others at all, other users' (USER), other labels' (MCS)."""
    exclusive: str = spec.get("exclusive", "")
    if exclusive:
        return {"node": "NO"}.get(exclusive, exclusive.upper())
    return "YES" if spec.get("can_oversubscribe") else "OK"


def group_name(row: JobRow) -> str:
    name = row.spec.get("group")
    if name:
        return str(name)
    import grp

    try:
        return grp.getgrgid(row.spec["gid"]).gr_name
    except KeyError:
        return str(row.spec["gid"])
