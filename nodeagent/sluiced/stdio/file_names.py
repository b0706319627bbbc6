"""The names of a step's files from their patterns (CONTRACT section 2.5)."""

from __future__ import annotations

import os

from sluice.model.base import step_name
from sluice.model.job import Job

_WIDTH_MAX = 10
_DIGITS = "0123456789"
#: What Slurm prints for the array index of a job that is in no array.
_NO_INDEX = "4294967294"


def file_path(pattern: str, work_dir: str, fields: dict[str, str]) -> str:
    """Return the absolute path that *pattern* stands for; "none" is the null device."""
    if pattern.lower() == "none":
        return os.devnull
    return os.path.join(work_dir, expand_name(pattern, fields))


def expand_name(pattern: str, fields: dict[str, str]) -> str:
    """Return *pattern* with its %-letters replaced; a letter that is not known stays as it stands."""
    if pattern.startswith("\\\\"):
        return pattern[2:]
    parts = []
    position = 0
    while (percent := pattern.find("%", position)) >= 0:
        parts.append(pattern[position:percent])
        end = percent + 1
        while pattern[end : end + 1] and pattern[end] in _DIGITS:
            end += 1
        text, position = _replace(pattern[percent : end + 1], fields)
        parts.append(text)
        position += percent
    return "".join(parts) + pattern[position:]


def job_fields(job: Job, step_id: int, node: str, node_index: int, rank: int) -> dict[str, str]:
    """Return what each letter stands for, for one task."""
    index = job.array_task_id
    step = step_name(step_id)
    return {
        "%": "%",
        "A": str(job.array_job_id or job.id),
        "a": _NO_INDEX if index is None else str(index),
        "b": _NO_INDEX if index is None else str(index % 10),
        "J": str(job.id) if step_id < 0 else f"{job.id}.{step}",
        "j": str(job.id),
        "N": node.partition(".")[0],
        "n": str(node_index),
        "r": str(job.attempt),
        "s": step,
        "t": str(rank),
        "u": job.spec.user,
        "x": job.spec.name,
    }


def _replace(word: str, fields: dict[str, str]) -> tuple[str, int]:
    """Return what "%4j" becomes, and how many characters of the pattern it took."""
    letter, width = word[-1], word[1:-1]
    if letter not in fields or letter in _DIGITS:
        return word, len(word)
    value = fields[letter]
    if width and value.isdecimal():
        value = value.zfill(min(int(width), _WIDTH_MAX))
    return value, len(word)
