"""How good a schedule is: slowdown, waits and utilisation, of all jobs, by user and by width.

The bounded slowdown of a job is max(1, (wait + run) / max(run, 10 s)); the bound keeps jobs of a second from ruling
the mean.  Utilisation is the work done over what the machine could have done from the first submission to the last
end.  A mean hides its tail: the longest wait stands beside it.

Source: Feitelson et al. 1997, "Theory and Practice in Parallel Job Scheduling", for the bounded slowdown.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from .schedule import Run, Schedule

TAU_S = 10


class Figures(msgspec.Struct, frozen=True):
    """Of some jobs, at least one.  Seconds; work in processor seconds."""

    jobs: int
    mean_bounded_slowdown: float
    max_bounded_slowdown: float
    mean_wait_s: float
    median_wait_s: int
    p95_wait_s: int
    max_wait_s: int
    mean_flow_s: float
    work_s: int


class Group(msgspec.Struct, frozen=True):
    """The jobs of one user, or of a range of widths."""

    name: str
    figures: Figures


class Judgement(msgspec.Struct, frozen=True):
    """longest: the job that waited longest, the first of equal ones."""

    figures: Figures
    utilisation: float
    makespan_s: int
    longest: int
    users: tuple[Group, ...]
    widths: tuple[Group, ...]


def bounded_slowdown(run: Run) -> float:
    return max(1.0, (run.wait_s + run.job.run_s) / max(TAU_S, run.job.run_s))


def compute_judgement(schedule: Schedule, processors: int) -> Judgement | None:
    """Return the figures of everything that ran, None when nothing did."""
    runs = schedule.runs
    if not runs:
        return None
    figures = compute_figures(runs)
    makespan_s = max(run.ended_s for run in runs) - min(run.job.submitted_s for run in runs)
    longest = max(runs, key=lambda run: run.wait_s)
    return Judgement(
        figures,
        figures.work_s / (processors * makespan_s),
        makespan_s,
        longest.job.id,
        _groups(runs, lambda run: run.job.user, str),
        _groups(runs, lambda run: (run.job.processors - 1).bit_length(), _width_name),
    )


def compute_figures(runs: Sequence[Run]) -> Figures:
    slowdowns = [bounded_slowdown(run) for run in runs]
    waits = sorted(run.wait_s for run in runs)
    count = len(runs)
    return Figures(
        count,
        sum(slowdowns) / count,
        max(slowdowns),
        sum(waits) / count,
        _percentile(waits, 50),
        _percentile(waits, 95),
        waits[-1],
        sum(run.wait_s + run.job.run_s for run in runs) / count,
        sum(run.job.run_s * run.job.processors for run in runs),
    )


def _percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the least value that *percent* of the values do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]


def _groups(runs: Iterable[Run], key_of: Callable[[Run], int], name_of: Callable[[int], str]) -> tuple[Group, ...]:
    runs_by_key: dict[int, list[Run]] = {}
    for run in runs:
        runs_by_key.setdefault(key_of(run), []).append(run)
    return tuple(Group(name_of(key), compute_figures(found)) for key, found in sorted(runs_by_key.items()))


def _width_name(bits: int) -> str:
    """Return the range of widths that need so many bits less one: 1, 2, 3-4, 5-8, ..."""
    first, last = (1 << bits >> 1) + 1, 1 << bits
    return str(last) if first >= last else f"{first}-{last}"
