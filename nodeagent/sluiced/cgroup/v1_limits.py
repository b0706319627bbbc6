"""What is written into which file of cgroup v1, controller by controller."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from sluiced.cgroup import files
from sluiced.cgroup.devices import DeviceFence
from sluiced.cgroup.interface import Wants
from sluiced.cgroup.limits import Limits

#: The key that asks for a controller.
WORDS = {
    "memory": "ConstrainRAMSpace",
    "cpuset": "ConstrainCores",
    "devices": "ConstrainDevices",
    "pids": "SluiceMaxProcesses",
}


def needed(wants: Wants) -> list[str]:
    """Return the controllers that a step needs; none where nothing is constrained or accounted."""
    limits = (wants.job, wants.step)
    asked = {
        "memory": wants.is_accounted or any(each.memory_bytes is not None for each in limits),
        "cpuset": any(each.cpus for each in limits),
        "devices": wants.fence is not None,
        "pids": any(each.processes for each in limits),
        "cpuacct": wants.is_accounted,
        "blkio": wants.is_accounted,
    }
    return [controller for controller, is_asked in asked.items() if is_asked]


def apply(controller: str, folder: str, wants: Wants) -> None:
    """Write the limits of a step's folder and of its job's above it.  Raises OSError."""
    if controller == "devices":
        # Of the step, whose folder nobody else writes to, for all rules are shut for a moment.
        assert wants.fence is not None, "devices are needed for a fence only"
        fence(folder, wants.fence)
        return
    write = _WRITERS.get(controller)
    if write is None:
        return
    # The job's steps share what it was granted: the limit is the job's.
    write(os.path.dirname(folder), wants.job)
    write(folder, wants.step)
    if controller == "memory" and wants.swappiness is not None:
        files.write(folder, "memory.swappiness", str(wants.swappiness))


def fence(folder: str, wanted: DeviceFence) -> None:
    """Let the processes below *folder* open only what *wanted* allows.  Raises OSError."""
    if wanted.is_closed:
        files.write(folder, "devices.deny", "a")
        files.write(folder, "devices.allow", "c *:* m")
        files.write(folder, "devices.allow", "b *:* m")
    for rule in wanted.rules:
        files.write(folder, "devices.allow" if wanted.is_closed else "devices.deny", str(rule))


def _write_memory(folder: str, limits: Limits) -> None:
    if limits.memory_bytes is None:
        return
    with contextlib.suppress(OSError):
        # Always so since Linux 5.11.
        files.write(folder, "memory.use_hierarchy", "1")
    files.write(folder, "memory.limit_in_bytes", str(limits.memory_bytes))
    if limits.memory_and_swap_bytes is not None:
        files.write(folder, "memory.memsw.limit_in_bytes", str(limits.memory_and_swap_bytes))


def _write_cpus(folder: str, limits: Limits) -> None:
    """A new cpuset is empty, and nothing can enter it.  It lies within the one above it at all times.

    So it is never filled before it is known with what: other steps of the job are doing the same.
    """
    parent = os.path.dirname(folder)
    if not files.read(parent, "cpuset.cpus"):
        _write_cpus(parent, Limits())
    cpus = limits.cpus or files.read(parent, "cpuset.cpus")
    for name, text in (("cpuset.mems", files.read(parent, "cpuset.mems")), ("cpuset.cpus", cpus)):
        if files.read(folder, name) != text:
            files.write(folder, name, text)


def _write_processes(folder: str, limits: Limits) -> None:
    if limits.processes:
        files.write(folder, "pids.max", str(limits.processes))


_WRITERS: dict[str, Callable[[str, Limits], None]] = {
    "memory": _write_memory,
    "cpuset": _write_cpus,
    "pids": _write_processes,
}
