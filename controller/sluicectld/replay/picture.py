"""Drawing in SVG: a canvas with two scales, axes, rectangles and step lines.  Deterministic to the byte.

Coordinates that callers give are values; the canvas turns them into pixels with a tenth as the finest step.
"""

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 1200, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 56, 48
#: Seconds between the marks of a time axis.
_TIME_STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000)
_TIME_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_MARKS_MAX = 12
#: Muted colours that stay apart for most eyes, after Paul Tol's "muted" scheme.
COLOURS = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#777777")


class Canvas:
    """A plot of values over seconds: x from x_min to x_max, y from 0 to y_max."""

    def __init__(self, title: str, subtitle: str, x_range: tuple[int, int], y_max: float, y_title: str) -> None:
        self.x_min, self.x_max = x_range
        self.y_max = y_max
        self._parts: list[str] = []
        self._title, self._subtitle, self._y_title = title, subtitle, y_title

    def x(self, value: float) -> float:
        share = (value - self.x_min) / max(self.x_max - self.x_min, 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / max(self.y_max, 1) * (_HEIGHT - _TOP - _BOTTOM)

    def rectangle(self, x_range: tuple[float, float], y_range: tuple[float, float], colour: str, hint: str) -> None:
        left, right = self.x(max(x_range[0], self.x_min)), self.x(min(x_range[1], self.x_max))
        top, bottom = self.y(y_range[1]), self.y(y_range[0])
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.3):.1f}" height="{bottom - top:.1f}" '
            f'fill="{colour}" stroke="#fff" stroke-width="0.3"><title>{escape(hint)}</title></rect>'
        )

    def area(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """Fill from zero up to the line through *points*."""
        if points:
            line = " ".join(f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in points)
            first, last = self.x(points[0][0]), self.x(points[-1][0])
            zero = self.y(0)
            self._parts.append(
                f'<polygon points="{first:.1f},{zero:.1f} {line} {last:.1f},{zero:.1f}" fill="{colour}"/>'
            )

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        line = " ".join(f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in points)
        self._parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.2"/>')

    def level(self, value: float, colour: str) -> None:
        """Draw a dashed line across."""
        y = self.y(value)
        self._parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="{colour}" '
            'stroke-dasharray="4 3"/>'
        )

    def legend(self, entries: Sequence[tuple[str, str]]) -> None:
        """Name colours at the top right: (colour, text)."""
        x = float(_WIDTH - _RIGHT)
        for colour, text in reversed(entries):
            x -= 7 * len(text) + 26
            self._parts.append(f'<rect x="{x:.1f}" y="37" width="11" height="11" fill="{colour}"/>')
            self._parts.append(f'<text x="{x + 16:.1f}" y="47" font-size="12">{escape(text)}</text>')

    def render(self) -> str:
        """Return the picture's text."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
                f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="#222">',
                f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
                f'<text x="{_LEFT}" y="24" font-size="16" font-weight="bold">{escape(self._title)}</text>',
                f'<text x="{_LEFT}" y="47">{escape(self._subtitle)}</text>',
                *self._grid(),
                *self._parts,
                f'<path d="M{_LEFT},{_TOP} V{_HEIGHT - _BOTTOM} H{_WIDTH - _RIGHT}" fill="none" stroke="#222"/>',
                "</svg>\n",
            ]
        )

    def _grid(self) -> list[str]:
        grid = []
        for value in y_marks(self.y_max):
            y = self.y(value)
            grid.append(
                f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e4e4e4"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,}</text>'
            )
        step, unit_s, unit = time_step(self.x_max - self.x_min)
        for at in range(-(-self.x_min // step) * step, self.x_max + 1, step):
            x = self.x(at)
            grid.append(
                f'<line x1="{x:.1f}" y1="{_HEIGHT - _BOTTOM}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM + 5}" stroke="#222"/>'
                f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 19}" text-anchor="middle">{at / unit_s:g}</text>'
            )
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        grid.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">time of the trace, {unit}</text>')
        height = (_TOP + _HEIGHT - _BOTTOM) / 2
        turned = f'transform="rotate(-90 16 {height:.1f})"'
        grid.append(f'<text x="16" y="{height:.1f}" text-anchor="middle" {turned}>{escape(self._y_title)}</text>')
        return grid


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
