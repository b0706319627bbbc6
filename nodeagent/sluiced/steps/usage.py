"""What a step used, from the kernel's account of each process that ended.

ru_maxrss of a fresh task begins with the image it was forked from; a peak is believed only above that floor, and
below it the peaks sampled while the task ran are taken.
"""

from __future__ import annotations

import resource

from sluice.model.step import Usage
from sluiced.cgroup.interface import GroupUsage

#: The unit of ru_inblock and ru_oublock.
_BLOCK = 512
_NO_ACCOUNT = GroupUsage()


class UsageMeter:
    """Adds up rusage records; one a step and node."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._floor_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._user_s = 0.0
        self._system_s = 0.0
        self._peaks_kib: dict[int, int] = {}
        self._vmsizes_kib: dict[int, int] = {}
        self._blocks_in = 0
        self._blocks_out = 0

    def sample(self, pid: int, rank: int) -> None:
        """Read the peaks of a running task."""
        try:
            with open(f"/proc/{pid}/status") as file:
                lines = dict(line.split(":", 1) for line in file if line.startswith(("VmHWM", "VmPeak")))
        except OSError:
            return
        for name, peaks in (("VmHWM", self._peaks_kib), ("VmPeak", self._vmsizes_kib)):
            if name in lines:
                peaks[rank] = max(peaks.get(rank, 0), int(lines[name].split()[0]))

    def add(self, used: resource.struct_rusage, rank: int | None) -> None:
        """rank: of the task that ended; None for a process that it left behind."""
        self._user_s += used.ru_utime
        self._system_s += used.ru_stime
        self._blocks_in += used.ru_inblock
        self._blocks_out += used.ru_oublock
        if used.ru_maxrss > self._floor_kib:
            number = rank or 0
            self._peaks_kib[number] = max(self._peaks_kib.get(number, 0), used.ru_maxrss)

    def usage(self, group: GroupUsage = _NO_ACCOUNT, is_peak_of_group: bool = False) -> Usage:
        """Return it all.

        group: the kernel's account of the step's cgroup; it also knows of processes whose parents ignored their end.
        is_peak_of_group: the peak of memory is the group's, caches included, if that is more than any task's.
        """
        peak_rank = max(self._peaks_kib, key=lambda rank: self._peaks_kib[rank], default=0)
        group_peak_kib = (group.peak_bytes or 0) // 1024 if is_peak_of_group else 0
        peak_kib = max(self._peaks_kib.get(peak_rank, 0), group_peak_kib)
        return Usage(
            user_s=round(max(self._user_s, group.user_s or 0.0), 6),
            system_s=round(max(self._system_s, group.system_s or 0.0), 6),
            max_rss_kib=peak_kib,
            max_rss_node=self._node if peak_kib else "",
            max_rss_task=peak_rank,
            total_rss_kib=max(sum(self._peaks_kib.values()), group_peak_kib),
            max_vmsize_kib=max(self._vmsizes_kib.values(), default=0),
            disk_read_bytes=max(self._blocks_in * _BLOCK, group.read_bytes or 0),
            disk_written_bytes=max(self._blocks_out * _BLOCK, group.written_bytes or 0),
        )
