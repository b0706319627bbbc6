"""scancel -i: which of the selected jobs the user really means."""

from __future__ import annotations

import sys

from sluice import array_spec
from sluice_cli import client, talk
from sluice_cli.draft import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.talk import Voice

_ACTIVE = ["PENDING", "RUNNING", "SUSPENDED"]
_FILTER_FIELDS = ("ids", "users", "names", "partitions", "accounts", "qos", "states", "nodes", "reservations")


def confirmed_ids(request: dict[str, Any], voice: Voice) -> list[str]:
    """Return the ids of the jobs for which the answer was yes.

    Raises OptionError when a job was named and none is active.
    """
    selected = {field: request[field] for field in _FILTER_FIELDS if request.get(field)}
    selected.setdefault("states", _ACTIVE)
    jobs = [view["job"] for part in client.stream("QueryJobs", {"filter": selected}) for view in part.get("jobs", ())]
    if not jobs and request["ids"]:
        raise OptionError(f"Kill job error on job id {request['ids'][0]}: Invalid job id specified")
    chosen: list[str] = []
    for job in jobs:
        name = _display_id(job)
        partition = job.get("partition", "")
        talk.put(f"Cancel job_id={name} name={job['spec']['name']} partition={partition} [y/n]? ")
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            chosen.append(name)
    return chosen


def _display_id(job: dict[str, Any]) -> str:
    if job.get("het_job_id"):
        return f"{job['het_job_id']}+{job.get('het_offset', 0)}"
    base = job.get("array_job_id") or job["id"]
    if job.get("array_task_id") is not None:
        return f"{base}_{job['array_task_id']}"
    pending = job.get("pending_array")
    if pending:
        ranges = tuple(tuple(each) for each in pending["ranges"])
        return f"{base}_[{array_spec.format_ranges(ranges, 0, 0)}]"
    return str(job["id"])
