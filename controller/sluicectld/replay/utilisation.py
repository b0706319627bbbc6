"""A picture of the whole replay: busy processors, and below them how many are waited for.

Each point is the mean over a column of the picture, so that nothing is lost between points, only blurred.
"""

from collections.abc import Sequence

from .picture import COLOURS, Panel, render_picture
from .schedule import Schedule, busy_steps, waiting_steps

_COLUMNS = 1_000
_BUSY, _WAITING = COLOURS[1], COLOURS[6]
_HEIGHT = 200


def draw_utilisation(schedule: Schedule, processors: int, title: str) -> str:
    """Return the picture."""
    begin_s = min((run.job.submitted_s for run in schedule.runs), default=0)
    end_s = max((run.ended_s for run in schedule.runs), default=1)
    width_s = (end_s - begin_s) / _COLUMNS
    busy = column_means(busy_steps(schedule), begin_s, end_s, _COLUMNS)
    waiting = column_means(waiting_steps(schedule), begin_s, end_s, _COLUMNS)
    upper = Panel((begin_s, end_s), processors * 1.1, "busy processors", _HEIGHT)
    upper.area(_stairs(busy, begin_s, width_s), _BUSY)
    upper.level(processors, f"all {processors:,}")
    mean = sum(busy) / _COLUMNS
    upper.level(mean, f"mean {mean:,.1f}")
    lower = Panel((begin_s, end_s), max(waiting), "processors waited for", _HEIGHT)
    lower.area(_stairs(waiting, begin_s, width_s), _WAITING)
    return render_picture(title, f"means over {width_s:,.0f} s", (upper, lower))


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
