"""A task binds itself, and tells it as --cpu-bind=verbose and --mem-bind=verbose ask."""

from __future__ import annotations

import os

from sluice import cpuset
from sluiced.binding.memory import set_policy
from sluiced.binding.plan import TaskBinding
from sluiced.steps.talk import error_line


def bind_self(binding: TaskBinding, node: str, rank: int, local_id: int) -> list[str]:
    """Bind the calling process; return lines for its stderr.

    What the kernel refuses leaves the process where it is: its cgroup may allow other CPUs only.
    """
    lines = [note if note.startswith("mem-bind") else error_line(node, note) for note in binding.notes]
    who = f"{node}, task {rank:2d} {local_id:2d} [{os.getpid()}]"
    is_set = binding.is_real and _set_cpus(binding.mask) if binding.mask else False
    if binding.style == "NONE":
        lines.append(f"cpu-bind=NONE - {who}: mask 0x0")
    elif binding.style:
        lines.append(f"cpu-bind={binding.style} - {who}: mask 0x{binding.mask:x} set{'' if is_set else ' FAILED'}")
    policy = binding.memory
    if policy is not None:
        problem = set_policy(policy)
        if binding.is_memory_told:
            failed = f" FAILED ({problem})" if problem else ""
            lines.append(f"mem-bind={policy.style} - {who}: mask 0x{policy.domains:x} set{failed}")
    return lines


def _set_cpus(mask: int) -> bool:
    """Return whether the kernel has taken it."""
    try:
        os.sched_setaffinity(0, cpuset.numbers(mask))
    except OSError:
        return False
    return True
