"""What a replay gives: who started when, and where; who never did, and why."""

from collections.abc import Iterator

import msgspec

from sluice.model.allocation import Allocation

from .trace import TraceJob


class Run(msgspec.Struct, frozen=True):
    """A job that started."""

    job: TraceJob
    started_s: int
    allocation: Allocation

    @property
    def wait_s(self) -> int:
        return self.started_s - self.job.submitted_s

    @property
    def ended_s(self) -> int:
        return self.started_s + self.job.run_s


class Counts(msgspec.Struct):
    """passes: calls of the scheduler.  skipped: moments at which one could have changed nothing."""

    passes: int = 0
    skipped: int = 0
    pending_max: int = 0


class Schedule(msgspec.Struct, frozen=True):
    """runs: in order of submission.  refused: asked for what no idle machine has.  unstarted: waited to the end."""

    runs: tuple[Run, ...]
    refused: dict[int, str]
    unstarted: dict[int, str]
    counts: Counts


def steps_of(changes: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (second, level from then on) of a sum of changes; seconds ascending, each once."""
    steps: list[tuple[int, int]] = []
    level = 0
    for at, change in sorted(changes):
        level += change
        if steps and steps[-1][0] == at:
            steps[-1] = (at, level)
        else:
            steps.append((at, level))
    return steps


def busy_steps(schedule: Schedule) -> list[tuple[int, int]]:
    """Return how many processors were asked for by running jobs, from second to second."""
    return steps_of(
        change
        for run in schedule.runs
        for change in ((run.started_s, run.job.processors), (run.ended_s, -run.job.processors))
    )


def waiting_steps(schedule: Schedule) -> list[tuple[int, int]]:
    """Return how many processors were asked for by waiting jobs, from second to second."""
    return steps_of(
        change
        for run in schedule.runs
        if run.wait_s
        for change in ((run.job.submitted_s, run.job.processors), (run.started_s, -run.job.processors))
    )
