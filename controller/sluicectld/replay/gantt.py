"""A Gantt picture: who held which processors, around the moment at which the most was waiting.

A trace of a year has more jobs than a picture has points, so that it shows as many whole jobs as can be told apart.
"""

from collections.abc import Sequence

from sluice import cpuset
from sluice.model.node import Node

from .picture import COLOURS, Panel, render_picture
from .schedule import Run, Schedule, waiting_steps

#: Jobs in the picture at most.
JOBS_MAX = 800
_HEIGHT = 420


def draw_gantt(schedule: Schedule, nodes: Sequence[Node], title: str) -> str:
    """Return the picture.  Rows are CPUs, node after node in the order of the configuration."""
    runs = _around(schedule, _deepest_at(schedule))
    begin_s, end_s = _window(runs)
    first_row: dict[str, int] = {}
    rows = 0
    for node in nodes:
        first_row[node.name] = rows
        rows += node.cpus
    panel = Panel((begin_s, end_s), rows, "processors", _HEIGHT)
    shown = [run for run in runs if run.started_s < end_s and run.ended_s > begin_s]
    for run in shown:
        colour = COLOURS[run.job.user % len(COLOURS)]
        hint = (
            f"job {run.job.id} of user {run.job.user}: {run.job.processors} processors, "
            f"{run.started_s} s to {run.ended_s} s, waited {run.wait_s} s"
        )
        for grant in run.allocation.grants:
            for first, last in _ranges(cpuset.parse(grant.cpus)):
                row = first_row[grant.node]
                panel.rectangle((run.started_s, run.ended_s), (row + first, row + last + 1), colour, hint)
    subtitle = f"{len(shown):,} of {len(schedule.runs):,} jobs, around the longest queue; a colour is a user"
    return render_picture(title, subtitle, (panel,))


def _deepest_at(schedule: Schedule) -> int:
    """Return when the most processors were waited for, the first such second."""
    steps = waiting_steps(schedule)
    if not steps:
        return min((run.started_s for run in schedule.runs), default=0)
    return max(steps, key=lambda step: (step[1], -step[0]))[0]


def _around(schedule: Schedule, at: int) -> list[Run]:
    """Return the runs nearest to *at*, in order of their starts."""
    nearest = sorted(schedule.runs, key=lambda run: (_distance(run, at), run.started_s, run.job.id))
    return sorted(nearest[:JOBS_MAX], key=lambda run: (run.started_s, run.job.id))


def _distance(run: Run, at: int) -> int:
    return max(run.started_s - at, at - run.ended_s, 0)


def _window(runs: Sequence[Run]) -> tuple[int, int]:
    """Return the seconds to show; of many jobs the few that reach far out are cut off."""
    if not runs:
        return 0, 1
    cut = len(runs) // 50
    begin_s = runs[cut].started_s
    ends = sorted(run.ended_s for run in runs)
    return begin_s, max(ends[-1 - cut], begin_s + 1)


def _ranges(mask: int) -> list[tuple[int, int]]:
    """Return the stretches of a mask as (first, last)."""
    ranges: list[tuple[int, int]] = []
    for number in cpuset.numbers(mask):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
