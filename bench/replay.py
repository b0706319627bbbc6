"""Archived workload traces under each policy: figures and time, next to what is published.

The traces are not part of this repository: --traces (or SLUICE_TRACES) names a folder with them, and with a folder ref/
of published starts.  Figures are the mean bounded slowdown (10 s) and the mean wait; with a published schedule of the
same policy stands how many jobs start at another second.
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.machine import headline, print_table
from sluicectld.replay.drive import replay
from sluicectld.replay.figures import compute_judgement
from sluicectld.replay.machine import pool_machine
from sluicectld.replay.policies import policy_named
from sluicectld.replay.schedule import Schedule
from sluicectld.replay.trace import read_trace


class Archived(NamedTuple):
    """A trace, and the processors of its machine."""

    file: str
    processors: int


class Case(NamedTuple):
    """A policy; word: in the names of published starts.  known: published mean slowdowns by trace."""

    policy: str
    word: str
    is_perfect: bool
    known: dict[str, str]


_TRACES = {
    "KTH": Archived("KTH-SP2-1996-2.swf.gz", 100),
    "CTC": Archived("CTC-SP2-1996-filtered.swf.gz", 338),
    "SDSC-SP2": Archived("SDSC-SP2-1998-filtered.swf.gz", 128),
}
#: Gaussier, Glesser, Reis, Trystram: "Improving backfilling by using machine learning to predict running times", SC'15.
_CASES = (
    Case("fcfs", "fcfs", False, {"KTH": "6,815", "CTC": "3,652", "SDSC-SP2": "13,824"}),
    Case("easy", "easy", False, {"KTH": "92.577", "CTC": "49.571", "SDSC-SP2": "87.870"}),
    Case("conservative", "cons", False, {"KTH": "88.997", "CTC": "53.110", "SDSC-SP2": "89.656"}),
    Case("easy-sjbf", "sjbf", False, {"KTH": "69.405", "CTC": "30.041", "SDSC-SP2": "84.889"}),
    Case("hybrid", "", False, {}),
    Case("predict", "", False, {"KTH": "62.86", "CTC": "26.53", "SDSC-SP2": "65.06"}),
    Case("easy", "easy-perfect", True, {"KTH": "71.722", "CTC": "37.165", "SDSC-SP2": "70.478"}),
    Case("easy-sjbf", "sjbf-perfect", True, {"KTH": "49.848", "CTC": "17.572", "SDSC-SP2": "56.836"}),
)
_TITLES = (
    "trace, policy",
    "slowdown",
    "published",
    "mean wait s",
    "longest wait s",
    "utilisation",
    "other starts",
    "passes",
    "seconds",
    "µs a pass",
)
_RESERVATIONS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--traces", type=Path, default=os.environ.get("SLUICE_TRACES"), help="folder of the traces")
    parser.add_argument("--only", nargs="*", choices=sorted(_TRACES), default=sorted(_TRACES), metavar="TRACE")
    parser.add_argument("--policies", nargs="*", default=sorted({case.policy for case in _CASES}), metavar="POLICY")
    options = parser.parse_args()
    if options.traces is None:
        parser.error("no folder of traces: give --traces or set SLUICE_TRACES")
    headline("workload traces, every job of them")
    cases = [case for case in _CASES if case.policy in options.policies]
    print_table(_TITLES, _rows(Path(options.traces), options.only, cases))


def _rows(folder: Path, names: list[str], cases: list[Case]) -> Iterator[tuple[str, ...]]:
    for name in names:
        for case in cases:
            yield _row(folder, name, case)


def _row(folder: Path, name: str, case: Case) -> tuple[str, ...]:
    file, processors = _TRACES[name]
    trace = read_trace(folder / file, processors, is_perfect=case.is_perfect)
    machine = pool_machine(processors)
    policy = policy_named(case.policy, machine.policy, _RESERVATIONS)
    began_s = time.perf_counter()
    schedule = replay(trace.jobs, machine, policy)
    took_s = time.perf_counter() - began_s
    judgement = compute_judgement(schedule, processors)
    assert judgement is not None, f"nothing of {file} ran"
    figures = judgement.figures
    return (
        f"{name} {case.policy}{', run times known' if case.is_perfect else ''}",
        f"{figures.mean_bounded_slowdown:,.3f}",
        case.known.get(name, ""),
        f"{figures.mean_wait_s:,.0f}",
        f"{figures.max_wait_s:,}",
        f"{judgement.utilisation:.1%}",
        _count_others(folder / "ref" / f"{name}.{case.word}.starts.gz", schedule),
        f"{schedule.counts.passes:,}",
        f"{took_s:.1f}",
        f"{took_s / max(schedule.counts.passes, 1) * 1e6:.0f}",
    )


def _count_others(path: Path, schedule: Schedule) -> str:
    """Return how many jobs start at another second than published, nothing where nothing is published."""
    if not path.exists():
        return ""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    published = {int(job): int(at) for job, at in map(str.split, lines)}
    return str(sum(published.get(run.job.id) != run.started_s for run in schedule.runs))


if __name__ == "__main__":
    main()
