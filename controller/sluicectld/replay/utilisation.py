"""A picture of the whole replay: busy processors as an area, and what running and waiting jobs ask for as a line.

Each point is the mean over a column of the picture, so that nothing is lost between points, only blurred.
"""

from collections.abc import Sequence

from .picture import Canvas
from .schedule import Schedule, busy_steps, waiting_steps

_COLUMNS = 1_000
_BUSY, _DEMAND, _MACHINE = "#88ccee", "#882255", "#222222"
#: The demand goes off the picture beyond so many machines.
_DEMAND_MAX = 4


def draw_utilisation(schedule: Schedule, processors: int, title: str) -> str:
    """Return the picture."""
    runs = schedule.runs
    begin_s = min((run.job.submitted_s for run in runs), default=0)
    end_s = max((run.ended_s for run in runs), default=1)
    busy = column_means(busy_steps(schedule), begin_s, end_s, _COLUMNS)
    waiting = column_means(waiting_steps(schedule), begin_s, end_s, _COLUMNS)
    demand = [one + other for one, other in zip(busy, waiting, strict=True)]
    y_max = min(max([processors, *demand]), _DEMAND_MAX * processors)
    off = ", cut off above" if max(demand) > y_max else ""
    canvas = Canvas(title, f"means over {(end_s - begin_s) / _COLUMNS:,.0f} s", (begin_s, end_s), y_max, "processors")
    width_s = (end_s - begin_s) / _COLUMNS
    canvas.area(_stairs(busy, begin_s, width_s), _BUSY)
    canvas.line(_stairs([min(value, y_max) for value in demand], begin_s, width_s), _DEMAND)
    canvas.level(processors, _MACHINE)
    canvas.legend([(_BUSY, "busy"), (_DEMAND, f"busy and waited for{off}"), (_MACHINE, "the machine")])
    return canvas.render()


def column_means(steps: Sequence[tuple[int, int]], begin_s: int, end_s: int, columns: int) -> list[float]:
    """Return the mean level over each of so many equal stretches of [begin_s, end_s].

    steps: (second, level from then on), ascending; the level is 0 before the first.
    """
    width_s = (end_s - begin_s) / columns
    sums = [0.0] * columns
    edges = [*steps[1:], (end_s, 0)] if steps else []
    for (at, level), (until, _) in zip(steps, edges, strict=True):
        if level:
            _add(sums, (at - begin_s) / width_s, (until - begin_s) / width_s, level)
    return sums


def _add(sums: list[float], first: float, last: float, level: float) -> None:
    """Add the level to each column by the share of it that lies between *first* and *last*, counted in columns."""
    for column in range(int(first), min(int(last) + 1, len(sums))):
        sums[column] += level * (min(last, column + 1) - max(first, column))


def _stairs(values: Sequence[float], begin_s: int, width_s: float) -> list[tuple[float, float]]:
    return [(begin_s + (column + edge) * width_s, value) for column, value in enumerate(values) for edge in (0, 1)]
