"""The names of a step's files from their patterns (CONTRACT section 2.5)."""

from __future__ import annotations

import os

from sluice import filename_pattern
from sluice.model.base import step_name
from sluice.model.job import Job


def file_path(pattern: str, work_dir: str, fields: dict[str, str | int]) -> str:
    """Return the absolute path that *pattern* stands for; "none" is the null device."""
    if pattern.lower() == "none":
        return os.devnull
    return os.path.join(work_dir, filename_pattern.render(pattern, fields))


def job_fields(job: Job, step_id: int, node: str, node_index: int, rank: int) -> dict[str, str | int]:
    """Return what each letter stands for, for one task."""
    fields: dict[str, str | int] = {
        "A": job.array_job_id or job.id,
        "j": job.id,
        "N": node.partition(".")[0],
        "n": node_index,
        "r": job.attempt,
        "s": step_id if step_id >= 0 else step_name(step_id),
        "t": rank,
        "u": job.spec.user,
        "x": job.spec.name,
    }
    if job.array_task_id is not None:
        fields["a"] = job.array_task_id
    return fields
