"""A small synthetic trace, and what becomes of it under each policy: `python -m tests.traces.make` writes them anew.

The trace comes from a seed; the start tables come from the reference schedules, not from the scheduler that is tested.
Among its jobs are some of the same second, some that run to their estimate, and some that are to be left out.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from sluicectld.replay.trace import read_trace
from tests.controller.replay.reference_schedules import (
    Work,
    conservative,
    easy,
    easy_sjbf,
    fcfs,
    hybrid,
    replay,
)

FOLDER = Path(__file__).parent
TRACE = FOLDER / "synthetic.swf"
PROCESSORS = 32
RESERVATIONS = 3
_JOBS = 300
_SEED = 1996


def main() -> None:
    TRACE.write_text(make_trace(Random(_SEED)))
    for runtimes in ("estimate", "perfect"):
        trace = read_trace(TRACE, PROCESSORS, is_perfect=runtimes == "perfect")
        work = [Work(job.submitted_s, job.run_s, job.processors, job.estimate_s) for job in trace.jobs]
        for name, starts in reference_starts(work, PROCESSORS).items():
            lines = [f"{job.id} {at}\n" for job, at in zip(trace.jobs, starts, strict=True)]
            (FOLDER / f"synthetic.{name}.{runtimes}.starts").write_text("".join(lines))


def reference_starts(work: list[Work], processors: int, reservations: int = RESERVATIONS) -> dict[str, list[int]]:
    """Return the exact starts by policy."""
    return {
        "fcfs": replay(work, processors, fcfs),
        "easy": replay(work, processors, easy),
        "easy-sjbf": replay(work, processors, easy_sjbf),
        "hybrid": replay(work, processors, hybrid(reservations)),
        "conservative": conservative(work, processors),
    }


def make_trace(dice: Random) -> str:
    """Return the text of a trace."""
    lines = ["; Version: 2.2", "; Note: synthetic", f"; MaxProcs: {PROCESSORS}"]
    at = 0
    for job_id in range(1, _JOBS + 1):
        at += dice.choice((0, 0, 30, 120, 600, 1800))
        lines.append(_line(dice, job_id, at))
    return "\n".join(lines) + "\n"


def _line(dice: Random, job_id: int, at: int) -> str:
    width = dice.choice((1, 1, 2, 4, 4, 8, 8, 16, dice.randint(1, PROCESSORS)))
    estimate = dice.choice((300, 600, 900, 1800, 3600, 7200, 14400))
    run = dice.choice((estimate, estimate + 60, max(int(estimate * dice.random()), 1), dice.randint(1, 120)))
    asked = dice.choice((width, width, -1))
    match job_id % 60:
        case 11:
            estimate = -1
        case 23:
            run = -1
        case 37:
            width = asked = PROCESSORS + 1
    fields = (job_id, at, -1, run, width, -1, -1, asked, estimate, -1, 1, dice.randint(1, 12), 1, -1, 1, -1, -1, -1)
    return " ".join(map(str, fields))


if __name__ == "__main__":
    main()
