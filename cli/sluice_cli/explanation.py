"""An Explanation in words: why a job waits, on whom, and what would let it start now.

The maps come from the controller (sluice/model/explanation.py has their shape); fields with default values are missing.
"""

from __future__ import annotations

import pwd

from sluice import duration, timepoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Map = dict[str, Any]

_INDENT = "  "
_NO_START = "but has to wait: no start is in sight"


def lines(view: Map) -> list[str]:
    """Return the answer about one job, a line each."""
    job = view["job"]
    state = job.get("state", "PENDING")
    if state == "PENDING":
        return [_pending_line(view), *blocker_lines(view), *planned_lines(view), *suggestion_lines(view)]
    if state not in ("RUNNING", "SUSPENDED"):
        return _ended_lines(view)
    return [_active_line(view), *_note_lines(view)]


def test_lines(reply: Map) -> list[str]:
    """Return the answer about a request that was not submitted (sbatch --explain): verdict, place, causes, changes."""
    view = reply["explanation"]
    is_now = 0.0 < reply.get("start_at", 0.0) <= reply.get("now_at", 0.0) and not reply.get("is_awaited")
    gates = "; ".join(reply.get("gates", ()))
    found = [f"verdict: accepted, {f'but {gates}; without that it ' if gates else ''}{_start_words(reply, is_now)}"]
    found += [f"warning: {line}" for warning in reply.get("warnings", ()) for line in warning.split("\n")]
    if view.get("place"):
        found.append(f"place {view['place']} of {view['queue_length']} in the queue")
    found += _note_lines(view)
    if is_now and _is_free(view):
        return found
    found += ["what stands before its start:", *blocker_lines(view)]
    # A job that preempts starts now as it is.
    return found if is_now and not view.get("suggestions") else [*found, *suggestion_lines(view)]


def _start_words(reply: Map, is_now: bool) -> str:
    if not reply.get("start_at"):
        return "would have to wait: no start is in sight" if reply.get("gates") else _NO_START
    when = "now" if is_now else f"at {timepoint.format_local(reply['start_at'])}"
    if reply.get("is_awaited"):
        when = "at any moment"
    cpus = reply["cpu_count"]
    where = f"on {reply['nodes']} in partition {reply['partition']}"
    found = f"would start {when} {where} with {cpus} CPU{'' if cpus == 1 else 's'}"
    return f"{found}, jobs without a time limit taken to run for a year" if reply.get("is_presumed") else found


def blocker_lines(view: Map) -> list[str]:
    """Return every blocker; one about free resources with its funnel and its holders."""
    outlooks = view.get("outlooks", ())
    found: list[str] = []
    for blocker in view.get("blockers", ()):
        where = f" ({blocker['partition']})" if blocker.get("partition") else ""
        outlook = _outlook_of(blocker, outlooks)
        if outlook is None:
            found.append(f"{_INDENT}{blocker['reason']}{where}: {blocker.get('text') or 'no more is known'}")
        elif blocker["reason"] == "Resources":
            found.append(f"{_INDENT}{blocker['reason']}{where}: needs {outlook.get('needs', '')}")
            found += _outlook_lines(outlook)
        else:
            text = "" if " -> " in blocker.get("text", "") else blocker.get("text", "")
            found.append(f"{_INDENT}{blocker['reason']}{where}: {text or 'needs ' + outlook.get('needs', '')}")
            found += _outlook_lines(outlook)
    return found


def planned_lines(view: Map) -> list[str]:
    """Return when and where it is expected to start."""
    at = view.get("planned_start_at")
    nodes = f" on {view['planned_nodes']}" if view.get("planned_nodes") else ""
    if not at:
        return ["planned start: none yet", *_note_lines(view)]
    found = [f"planned start: {timepoint.format_local(at)}{nodes}"]
    if view.get("forecasts_scored"):
        likely, safe = (timepoint.format_local(view[key]) for key in ("likely_start_at", "safe_start_at"))
        late = f"{view.get('late_share', 0.0):.0%} of the last {view['forecasts_scored']} starts were late"
        found.append(f"{_INDENT}half of such plans came true by {likely}, nine in ten by {safe}; {late}")
    return found + _note_lines(view)


def suggestion_lines(view: Map) -> list[str]:
    """Return the changes with which it would start now, the cheapest first."""
    suggestions = view.get("suggestions", ())
    if not suggestions:
        if view.get("job", {}).get("het_job_id"):
            return ["no changes were looked for: a component starts only with all others of its heterogeneous job"]
        if not view.get("is_searched") or _is_free(view):
            return []
        return ["no change of its request, nor two together, would let it start now"]
    told = [(", ".join(each["words"]), each.get("command", "")) for each in suggestions]
    width = max(len(words) for words, _ in told)
    found = ["it would start now with"]
    return found + [f"{_INDENT}{words:{width}}{'   ' + command if command else ''}".rstrip() for words, command in told]


def _note_lines(view: Map) -> list[str]:
    return [f"{_INDENT}{view['note']}"] if view.get("note") else []


def _is_free(view: Map) -> bool:
    """Does nothing stand against it?"""
    return all(each["reason"] == "None" for each in view.get("blockers", ()))


def _outlook_of(blocker: Map, outlooks: Any) -> Map | None:
    """Return the outlook whose funnel belongs to the blocker; None where it has none."""
    if blocker["reason"] not in ("Resources", "BadConstraints", "ReqNodeNotAvail", "PartitionNodeLimit"):
        return None
    for outlook in outlooks:
        if outlook.get("steps") and blocker in outlook.get("blockers", ()):
            found: Map = outlook
            return found
    return None


def _outlook_lines(outlook: Map) -> list[str]:
    found = []
    for place, step in enumerate(outlook["steps"]):
        count = step["nodes"]
        head = f"{count} {'node' if count == 1 else 'nodes'}" if not place else f"-> {count}"
        lost = f" ({step['lost']})" if step.get("lost") else ""
        found.append(f"{_INDENT * 2}{head} {step['demand']}{lost}")
    for holder in outlook.get("holders", ()):
        end = f"ends by {timepoint.format_local(holder['end_at'])}" if holder.get("end_at") else "has no time limit"
        end += ": it is being preempted" if holder.get("is_preempted") else ""
        if holder.get("is_completing"):
            end = "has ended: what is left of it is being cleaned up"
        name = f" ({holder['name']})" if holder.get("name") else ""
        found.append(
            f"{_INDENT * 2}waits for job {holder['job_id']}{name} on {holder.get('nodes', '')}, "
            f"which has {holder.get('holds', '')} and {end}"
        )
    if outlook.get("holders_left_off"):
        found.append(f"{_INDENT * 2}and for {outlook['holders_left_off']} more jobs")
    return found


def _pending_line(view: Map) -> str:
    job = view["job"]
    facts = [
        f"{_title(view)} is pending since {timepoint.format_local(job.get('submitted_at'))}",
        f"partition {','.join(job['spec'].get('partitions', ())) or job.get('partition', '')}",
        f"priority {job.get('priority', 0)}",
    ]
    if view.get("place"):
        facts.append(f"place {view['place']} of {view['queue_length']} in the queue")
    return ", ".join(facts)


def _active_line(view: Map) -> str:
    job = view["job"]
    started_at = job.get("started_at") or 0.0
    limit_s = job.get("limit_s")
    facts = [
        f"{_title(view)} is {job['state'].lower()} on {view.get('nodes', '')}",
        f"started {timepoint.format_local(started_at)}{_waited(job)}",
    ]
    preemption = job.get("preemption") or {}
    if preemption.get("for_job_id") and preemption["mode"] != "SUSPEND":
        facts.append(f"ends by {timepoint.format_local(preemption['ends_at'])} (preempted)")
    elif limit_s is None:
        facts.append("has no time limit")
    else:
        end_at = started_at + job.get("suspended_s", 0.0) + limit_s
        facts.append(f"ends by {timepoint.format_local(end_at)} (time limit {duration.format_long(limit_s)})")
    return ", ".join(facts)


def _ended_lines(view: Map) -> list[str]:
    job = view["job"]
    facts = [f"{_title(view)} has ended: {job['state']}"]
    if job.get("started_at"):
        facts.append(f"on {view.get('nodes', '')}")
        facts.append(f"started {timepoint.format_local(job['started_at'])}{_waited(job)}")
    else:
        facts.append("never started")
    facts.append(f"ended {timepoint.format_local(job.get('ended_at'))}")
    facts.append(f"exit code {job.get('exit_code', 0)}:{job.get('exit_signal', 0)}")
    if job.get("cancelled_by") is not None:
        facts.append(f"cancelled by {_user(job['cancelled_by'])}")
    found = [", ".join(facts)]
    reason = job.get("reason", "None")
    if reason != "None":
        found.append(f"{_INDENT}{reason}: {job.get('reason_text') or _END_WORDS.get(reason, 'no more is known')}")
    elif job.get("reason_text"):
        found.append(f"{_INDENT}{job['reason_text']}")
    if job.get("failed_node"):
        found.append(f"{_INDENT}node {job['failed_node']} failed under it")
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


#: What a reason means that came without words of its own.
_END_WORDS = {
    "NonZeroExitCode": "its script or program said that it failed; `sluice output JOB` has the end of what it wrote",
    "TimeLimit": "it ran into its time limit",
    "OutOfMemory": "it used more memory than it had asked for",
    "DeadLine": "it could not end before its deadline any more",
    "DependencyNeverSatisfied": "what it waited for can not happen any more",
}


def _waited(job: Map) -> str:
    """Return how long it waited; a job that was requeued has no one waiting time."""
    eligible_at = job.get("eligible_at")
    started_at = job.get("started_at")
    if not eligible_at or not started_at or started_at < eligible_at or job.get("attempt"):
        return ""
    return f" after {duration.format_long(started_at - eligible_at)} of waiting"


def _title(view: Map) -> str:
    job = view["job"]
    own = f" = {job['id']}" if job.get("array_task_id") is not None else ""
    return f"job {view.get('name') or job['id']}{own} ({job['spec'].get('name', '')})"
