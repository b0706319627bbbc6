"""Which process a pid means: pids are used again, a pid with its start time is not (within one boot)."""

from __future__ import annotations

import os

_STAT_SIZE_MAX = 4096


def boot_id() -> str:
    """Return what changes at every start of this machine."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def start_ticks(pid: int) -> int | None:
    """Return when *pid* started, in clock ticks since boot; None: there is no such process."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else None


def stat_fields(pid: int) -> list[bytes]:
    """Return /proc/PID/stat from the state on (so [0] state, [1] ppid); empty when the process is gone."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        text = os.read(descriptor, _STAT_SIZE_MAX)
    except OSError:
        return []
    finally:
        os.close(descriptor)
    # The name stands in brackets and may itself hold anything.
    return text[text.rfind(b")") + 2 :].split()


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def open_process(pid: int, ticks: int) -> int | None:
    """Return a pidfd of the process *pid* that started at *ticks*; None: it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    # The descriptor pins the process; only now does the comparison prove something.
    if start_ticks(pid) == ticks:
        return descriptor
    os.close(descriptor)
    return None
