"""A task's start without a copy of the step daemon: native/spawn.c does from a plan what task.py does after a fork.

A fork copies the step daemon's page tables, then the pages that either of them touches, and the child has all of it
taken down at exec: measured, 1.5 ms of CPU a task; this takes 0.14.  It is for the plain case.  Everything that talks
before the program begins (prologs, verbose binding), a terminal, and whatever fails on the way is left to the fork,
whose messages the user knows; nothing has run by then.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from typing import Any

from sluiced.cgroup.interface import Entry
from sluiced.native.library import Limit, Task, lib
from sluiced.steps.task import TaskPlan, allowed_limits, searched_programs
from sluiced.steps.user import is_own

#: The step daemon hears nothing meanwhile; a task that takes longer to be its program is forked.  Only the first one
#: that does so makes it wait (tasks.py).
PATIENCE_MS = 1000
_PID = b"SLURM_TASK_PID="
_FOLDER = b"PWD="
#: The task fills them in with the step daemon waiting, and is another program when that goes on: one of each will do.
_pid_entry = ctypes.create_string_buffer(_PID, len(_PID) + 16)
_folder_entry = ctypes.create_string_buffer(_FOLDER, len(_FOLDER) + 4096)
_filled_in = tuple(ctypes.c_char_p(ctypes.addressof(each)) for each in (_pid_entry, _folder_entry))


def spawn(plan: TaskPlan, entry: Entry) -> int | None:
    """Return the pid of the task's program; None: it has to be forked."""
    programs = searched_programs(plan)
    environment = _environment(plan.environment)
    if lib is None or not _is_plain(plan) or not programs or environment is None:
        return None
    descriptors = (*plan.descriptors, *plan.inherited)
    limits = [Limit(*limit) for limit in allowed_limits(plan.rlimits)]
    mask = plan.binding.mask if plan.binding.is_real else 0
    cpus = mask.to_bytes((mask.bit_length() + 63) // 64 * 8, "little")
    user = plan.user
    task = Task(
        programs=_strings(map(os.fsencode, programs)),
        argv=_strings(map(os.fsencode, plan.argv)),
        environment=environment,
        pid_text=ctypes.addressof(_pid_entry) + len(_PID),
        folder_text=ctypes.addressof(_folder_entry) + len(_FOLDER),
        work_dir=os.fsencode(plan.work_dir),
        group_files=_strings(map(os.fsencode, entry.files if entry.into is None else ())),
        group=-1 if entry.into is None else entry.into,
        mounts=-1 if plan.namespace is None else plan.namespace,
        descriptors=_numbers(ctypes.c_int32, descriptors),
        moved=(ctypes.c_int32 * len(descriptors))(),
        descriptor_count=len(descriptors),
        cpus=cpus,
        cpus_size=len(cpus),
        limits=(Limit * len(limits))(*limits),
        limit_count=len(limits),
        is_own=is_own(user),
        uid=user.uid,
        gid=user.gid,
        groups=_numbers(ctypes.c_uint32, user.groups),
        group_count=len(user.groups),
        has_nice=plan.nice is not None,
        nice=plan.nice or 0,
        umask=plan.umask,
        patience_ms=PATIENCE_MS,
    )
    pid: int = lib.sluice_spawn(ctypes.byref(task))
    return pid if pid > 0 else None


def _is_plain(plan: TaskPlan) -> bool:
    binding = plan.binding
    is_told = bool(binding.style or binding.notes or binding.memory)
    return not (plan.hooks.prologs or plan.has_terminal or is_told or any("\0" in word for word in plan.argv))


def _environment(variables: dict[str, str]) -> Any:
    """Return the C array; None where a variable is none that C can hold."""
    own = [f"{name}={value}" for name, value in variables.items() if name not in ("SLURM_TASK_PID", "PWD")]
    # Encoded in one go: a task has some fifty.
    entries = os.fsencode("\0".join(own)).split(b"\0") if own else []
    if len(entries) != len(own):
        return None
    return (ctypes.c_char_p * (len(entries) + len(_filled_in) + 1))(*_filled_in, *entries)


def _strings(words: Iterable[bytes]) -> Any:
    listed = list(words)
    return (ctypes.c_char_p * (len(listed) + 1))(*listed)


def _numbers(kind: Any, values: Sequence[int]) -> Any:
    return (kind * len(values))(*values)
