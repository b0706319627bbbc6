"""Drawing in SVG: panels one above the other, each with two scales, axes, rectangles, areas and lines.

Coordinates that callers give are values; a panel turns them into pixels with a tenth as the finest step, so that the
same picture has the same bytes.
"""

from collections.abc import Sequence
from html import escape

_WIDTH = 1200
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 60, 48
#: Between two panels.
_GAP = 26
#: Seconds between the marks of a time axis, from a second to four weeks.
_TIME_STEPS = (
    *(1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200),
    *(86400, 172800, 259200, 432000, 604800, 1209600, 2419200),
)
_TIME_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_MARKS_MAX = 14
#: Muted colours that stay apart for most eyes, after Paul Tol's "muted" scheme.
COLOURS = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#777777")


class Panel:
    """A plot of values over seconds: x over x_range, y from 0 to y_max."""

    def __init__(self, x_range: tuple[int, int], y_max: float, y_title: str, height: int) -> None:
        self.x_min, self.x_max = x_range
        self.y_max = y_max
        self.height = height
        self._y_title = y_title
        self._parts: list[str] = []

    def x(self, value: float) -> float:
        share = (value - self.x_min) / max(self.x_max - self.x_min, 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.height - value / max(self.y_max, 1) * self.height

    def rectangle(self, x_range: tuple[float, float], y_range: tuple[float, float], colour: str, hint: str) -> None:
        left, right = self.x(max(x_range[0], self.x_min)), self.x(min(x_range[1], self.x_max))
        top, bottom = self.y(y_range[1]), self.y(y_range[0])
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.3):.1f}" height="{bottom - top:.1f}" '
            f'fill="{colour}" stroke="#fff" stroke-width="0.3"><title>{escape(hint)}</title></rect>'
        )

    def area(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """Fill from zero up to the line through *points*, of which there are some."""
        first, last, zero = self.x(points[0][0]), self.x(points[-1][0]), self.y(0)
        corners = f"{first:.1f},{zero:.1f} {self._line(points)} {last:.1f},{zero:.1f}"
        self._parts.append(f'<polygon points="{corners}" fill="{colour}"/>')

    def level(self, value: float, text: str) -> None:
        """Draw a dashed line across, with its name at the right end."""
        y = self.y(value)
        self._parts.append(
            f'<path d="M{_LEFT},{y:.1f} H{_WIDTH - _RIGHT}" stroke="#222" stroke-dasharray="4 3"/>'
            f'<text x="{_WIDTH - _RIGHT}" y="{y - 5:.1f}" text-anchor="end">{escape(text)}</text>'
        )

    def render(self, top: int, has_time_axis: bool) -> list[str]:
        """Return the elements of the panel, *top* pixels from the top of the picture."""
        axes = f'<path d="M{_LEFT},0 V{self.height} H{_WIDTH - _RIGHT}" fill="none" stroke="#222"/>'
        time_axis = self._time_axis() if has_time_axis else []
        return [f'<g transform="translate(0 {top})">', *self._grid(), *self._parts, axes, *time_axis, "</g>"]

    def _line(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in points)

    def _grid(self) -> list[str]:
        grid = []
        for value in y_marks(self.y_max):
            y = self.y(value)
            grid.append(
                f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e4e4e4"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,}</text>'
            )
        middle = self.height / 2
        turned = f'transform="rotate(-90 16 {middle:.1f})"'
        grid.append(f'<text x="16" y="{middle:.1f}" text-anchor="middle" {turned}>{escape(self._y_title)}</text>')
        return grid

    def _time_axis(self) -> list[str]:
        axis = []
        step, unit_s, unit = time_step(self.x_max - self.x_min)
        for at in range(-(-self.x_min // step) * step, self.x_max + 1, step):
            x = self.x(at)
            axis.append(
                f'<line x1="{x:.1f}" y1="{self.height}" x2="{x:.1f}" y2="{self.height + 5}" stroke="#222"/>'
                f'<text x="{x:.1f}" y="{self.height + 19}" text-anchor="middle">{at / unit_s:g}</text>'
            )
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        axis.append(f'<text x="{middle:.1f}" y="{self.height + 38}" text-anchor="middle">time, {unit}</text>')
        return axis


def render_picture(title: str, subtitle: str, panels: Sequence[Panel]) -> str:
    """Return the text of a picture; the panels, at least one, share the time axis of the last."""
    height = _TOP + sum(panel.height + _GAP for panel in panels) - _GAP + _BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="44">{escape(subtitle)}</text>',
    ]
    top = _TOP
    for panel in panels:
        lines += panel.render(top, has_time_axis=panel is panels[-1])
        top += panel.height + _GAP
    return "\n".join([*lines, "</svg>\n"])


def y_marks(most: float) -> list[int]:
    """Return round values from 0 to *most*, six at most."""
    step = 1
    while most / step > 5:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, int(most) + 1, step))


def time_step(length_s: int) -> tuple[int, int, str]:
    """Return the seconds between two marks, and the unit to count them in with its name."""
    step = next((step for step in _TIME_STEPS if length_s / step <= _MARKS_MAX), 0)
    if not step:
        # Whole numbers of the largest step.
        step = _TIME_STEPS[-1] * -(-length_s // (_TIME_STEPS[-1] * _MARKS_MAX))
    unit_s, unit = next((seconds, name) for seconds, name in _TIME_UNITS if step >= seconds)
    return step, unit_s, unit
