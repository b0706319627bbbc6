"""What a table needs around its figures: the machine's line, medians with their spread, aligned columns."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path


def machine_line() -> str:
    """Return one line on what the figures were measured on."""
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    place = f"{len(os.sched_getaffinity(0))} x {model}, {memory_gib:.0f} GiB, Linux {platform.release()}"
    return f"{place}, {versions}, load {load}"


def headline(title: str) -> None:
    """Print what is measured, where, when, and by which command."""
    module = Path(sys.argv[0]).stem
    print(f"\n{title}")
    print(f"machine: {machine_line()}")
    print(f"command: python -m bench.{module} {' '.join(sys.argv[1:])}".rstrip())
    print(f"date: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC\n", flush=True)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table; the first column to the left, the others to the right."""
    texts = [[str(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(titles), *texts]) for column in range(len(titles))]
    print(_row(list(titles), widths))
    print(
        "|"
        + "|".join(":" + "-" * (width + 1) if not i else "-" * (width + 1) + ":" for i, width in enumerate(widths))
        + "|"
    )
    for row in texts:
        print(_row(row, widths))
    print(flush=True)


def _row(values: list[str], widths: list[int]) -> str:
    first = values[0].ljust(widths[0])
    return (
        "| "
        + " | ".join([first, *(value.rjust(width) for value, width in zip(values[1:], widths[1:], strict=True))])
        + " |"
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return "median (least-most)"."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that *percent* of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class ProcessUse:
    """CPU seconds and memory of one process, read from /proc."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> tuple[float, float]:
        """Return (resident, proportional) size."""
        sizes = dict.fromkeys(("Rss:", "Pss:"), 0.0)
        for line in _lines(f"/proc/{self._pid}/smaps_rollup"):
            name, *rest = line.split()
            if name in sizes:
                sizes[name] = int(rest[0]) / 1024
        return sizes["Rss:"], sizes["Pss:"]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
