"""Log lines that cannot flood: what a stranger can cause at will is logged at a bounded rate."""

from __future__ import annotations

import logging


class QuietLog:
    """Passes lines_max lines a window on to *logger*, then counts; the next window tells the count."""

    def __init__(self, logger: logging.Logger, lines_max: int = 10, window_s: float = 10.0) -> None:
        self._logger = logger
        self._lines_max = lines_max
        self._window_s = window_s
        self._window_ends_at = 0.0
        self._lines = 0

    def warning(self, now_at: float, text: str, *values: object) -> None:
        """now_at: any clock that does not jump back, such as the loop's."""
        if now_at >= self._window_ends_at:
            self._open_window(now_at)
        self._lines += 1
        if self._lines <= self._lines_max:
            self._logger.warning(text, *values)

    def _open_window(self, now_at: float) -> None:
        dropped = self._lines - self._lines_max
        if dropped > 0:
            self._logger.warning("connections: %s more lines like the last were not logged", dropped)
        self._lines = 0
        self._window_ends_at = now_at + self._window_s
