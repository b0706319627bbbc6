"""Where a controller's time goes, part by part: py-spy samples sorted by the rooms of the code.

py-spy comes from PyPI and is no dependency of the project: `pip install py-spy` anywhere and have it in PATH, or
name it in PY_SPY.  Waiting threads are left out, so the shares are of the controller's own busy time; sampling slows
the controller, so they are taken in a run of their own and are no rates.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_RATE_HZ = 100
#: The innermost frame of a thread that waits.
_WAITING = re.compile(r"^(_worker \(concurrent|Writer\._take_all |Condition\.wait |Event\.wait |Runner\.run )")

#: Part, and what the stack (outermost first) has in it; the first match counts.
_PARTS = (
    ("commit", r"thread \([^)]*\): sluice-(writer|checkpoint)|Committer\._flush|Cluster\.take_batch"),
    ("pass", r"thread \([^)]*\): sluice-pass|Passes\._start|Cluster\.snapshot"),
    ("launch and reply", r"Core\._release|Agents\._flush|Committer\._committed|Outbox\.flush"),
    ("engine: start jobs", r"Passes\._done"),
    ("engine: accept jobs", r"answer_submit"),
    ("engine: end jobs", r"answer_report|answer_command.*handle_report"),
    ("queries", r"answer_|rpc/queries"),
    ("decode", r"Connection\.data_received"),
)


class Sampler:
    """Samples one process while the with block runs."""

    def __init__(self, pid: int, output: Path) -> None:
        self._command = [find_py_spy() or "", "record", "-p", str(pid), "-d", "3600", "-r", str(_RATE_HZ), "-t"]
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*self._command, "--nonblocking", "-f", "raw", "-o", str(self._output)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # It reads the program's symbols first.
        time.sleep(1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def shares(self) -> list[tuple[str, float]]:
        """Return (part, share of the busy samples), the parts in their order."""
        counts: Counter[str] = Counter()
        for stack, count in read_stacks(self._output):
            counts[_part_of(stack)] += count
        total = sum(counts.values()) or 1
        return [(part, counts[part] / total) for part in [*(name for name, _ in _PARTS), "other"] if counts[part]]


def find_py_spy() -> str | None:
    return os.environ.get("PY_SPY") or shutil.which("py-spy")


def read_stacks(path: Path) -> Iterator[tuple[str, int]]:
    """Give (stack, samples) of threads that do something."""
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if not _WAITING.match(stack.rpartition(";")[2]):
            yield stack, int(count)


def _part_of(stack: str) -> str:
    return next((part for part, pattern in _PARTS if re.search(pattern, stack)), "other")
