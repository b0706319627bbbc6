"""What the kernel did when a step ran out of memory: the limit, the peak, and whom it killed.

The victim is in the kernel's log, which only the privileged may read (Documentation/ABI/testing/dev-kmsg):

    oom-kill:constraint=CONSTRAINT_MEMCG,...,task_memcg=/sluice_c_n1/job_1.0/step_batch,task=python3,pid=25155,uid=0
    Memory cgroup out of memory: Killed process 25155 (python3) total-vm:309540kB, anon-rss:102016kB, ...
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sluiced.cgroup.interface import GroupName, MemoryBound

_KMSG = "/dev/kmsg"
_RECORD_MAX = 8192
_MIB = 1024 * 1024
#: What is proposed for the next try, as a part of what was too little.
_MORE = 1.5
_KILL = re.compile(r"oom-kill:.*task_memcg=(?P<group>[^,]*),task=(?P<command>.*),pid=(?P<pid>\d+),uid=")
_SIZE = re.compile(r"Killed process (?P<pid>\d+) .*?anon-rss:(?P<kib>\d+)kB")


class Victim(NamedTuple):
    """A process that the kernel killed; memory_kib: its own, 0 if not told."""

    command: str
    pid: int
    memory_kib: int = 0


def find_victim(records: Iterable[str], name: GroupName) -> Victim | None:
    """Return the largest of the processes killed in a step's group, or in a task's below it; of equal ones the last.

    The kernel may go on to kill what is small, where what took the memory was a file in memory or has gone already.
    """
    victims: list[Victim] = []
    for record in records:
        if (kill := _KILL.search(record)) and _is_in(kill["group"], str(name)):
            victims.append(Victim(kill["command"], int(kill["pid"])))
        elif victims and (size := _SIZE.search(record)) and int(size["pid"]) == victims[-1].pid:
            victims[-1] = victims[-1]._replace(memory_kib=int(size["kib"]))
    return max(reversed(victims), key=lambda victim: victim.memory_kib, default=None)


def read_kernel_log() -> Iterator[str]:
    """Yield the records that the kernel's log holds now; none where it may not be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while True:
                try:
                    yield os.read(descriptor, _RECORD_MAX).decode(errors="replace")
                except BrokenPipeError:
                    # Overwritten before it was read; the next read goes on behind it.
                    continue
        finally:
            os.close(descriptor)


def oom_text(node: str, bound: MemoryBound | None, victim: Victim | None) -> str:
    """Return the story in a line: host, limit, peak, victim, and what to ask for the next time."""
    parts = []
    if bound is not None:
        parts.append(f"limit {bound.limit_bytes // _MIB} MiB")
        if bound.peak_bytes is not None:
            parts.append(f"peak {bound.peak_bytes // _MIB} MiB")
    story = f"out of memory on {node}" + (f": {', '.join(parts)}" if parts else "")
    if victim is not None:
        size = f", {victim.memory_kib // 1024} MiB" if victim.memory_kib else ""
        story += f"; killed {victim.command} (pid {victim.pid}{size})"
    if bound is not None:
        story += f"; try --mem={int(bound.limit_bytes * _MORE) // _MIB}M or more"
    return story


def _is_in(group: str, name: str) -> bool:
    """A container's own groups are below a path that only the machine knows."""
    return group.endswith(f"/{name}") or f"/{name}/" in group
