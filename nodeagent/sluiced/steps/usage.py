"""What a step used, from the kernel's account of each process that ended.

ru_maxrss of a fresh task begins with the image it was forked from; a peak is believed only above that floor, and
below it the peaks sampled while the task ran are taken.
"""

from __future__ import annotations

import resource

from sluice.model.step import Usage


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

    def usage(self) -> Usage:
        peak_rank = max(self._peaks_kib, key=lambda rank: self._peaks_kib[rank], default=0)
        return Usage(
            user_s=round(self._user_s, 6),
            system_s=round(self._system_s, 6),
            max_rss_kib=self._peaks_kib.get(peak_rank, 0),
            max_rss_node=self._node if self._peaks_kib else "",
            max_rss_task=peak_rank,
            total_rss_kib=sum(self._peaks_kib.values()),
            max_vmsize_kib=max(self._vmsizes_kib.values(), default=0),
            disk_read_bytes=self._blocks_in * 512,
            disk_written_bytes=self._blocks_out * 512,
        )
