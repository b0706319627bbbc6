"""Which step a process belongs to: the one whose daemon it is below, or whose control group it is in.

Everything that a step starts stays below its daemon; what came to it by other ways, such as a login, is in its group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sluiced import process_id

#: Of a process in a group deep down, in all hierarchies of v1.
_TEXT_SIZE_MAX = 65536


def read_parent(pid: int) -> int:
    """Return the pid of the parent, 0 for a process that is gone or not in sight."""
    fields = process_id.stat_fields(pid)
    return int(fields[1]) if fields else 0


def read_groups(pid: int) -> str:
    """Return /proc/PID/cgroup, "" for a process that is gone."""
    try:
        with open(f"/proc/{pid}/cgroup", errors="replace") as file:
            return file.read(_TEXT_SIZE_MAX)
    except OSError:
        return ""


def find_step(
    pid: int,
    steps_by_daemon: Mapping[int, str],
    steps_by_group: Mapping[str, str],
    parent_of: Callable[[int], int] = read_parent,
    groups_of: Callable[[int], str] = read_groups,
) -> str | None:
    """Return the step; None: it is nobody's here.

    steps_by_group: by a part of the group's path that is as long as to be the step's alone, as "n1/job_1.0/step_0".
    """
    above = pid
    while above > 1:
        if above in steps_by_daemon:
            return steps_by_daemon[above]
        above = parent_of(above)
    # "/" behind it: step_1 is not step_10.
    places = [line.split(":", 2)[-1] + "/" for line in groups_of(pid).splitlines()]
    return next(
        (step for group, step in steps_by_group.items() if any(f"/{group}/" in place for place in places)), None
    )
