"""Reports on their way to the controller: kept until it says Done, batched, in order, one in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sluice.model.step import Step
from sluice.wire.messages import NodeClean, NodePrepared, NodeTrouble, Report, StepResult

#: Items of one report; with two tails of 4 KiB each, a report stays far below the largest frame.
ITEMS_MAX = 500

Item = Step | StepResult | NodeClean | NodePrepared | NodeTrouble | tuple[str, str]


class ReportOutbox:
    """Pure: the shell sends what next_report() gives and says what came of it."""

    def __init__(self) -> None:
        self._waiting: deque[Item] = deque()
        self._in_flight: list[Item] = []
        self._batch_max = ITEMS_MAX

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def add(self, item: Item) -> None:
        self._waiting.append(item)

    def next_report(self) -> Report | None:
        """Return what to send now; None: nothing waits, or an answer is due."""
        if self._in_flight or not self._waiting:
            return None
        count = min(len(self._waiting), self._batch_max)
        self._in_flight = [self._waiting.popleft() for _ in range(count)]
        return Report(
            steps=tuple(item for item in self._in_flight if isinstance(item, Step)),
            results=tuple(item for item in self._in_flight if isinstance(item, StepResult)),
            clean=tuple(item for item in self._in_flight if isinstance(item, NodeClean)),
            drains=tuple(item for item in self._in_flight if isinstance(item, tuple)),
            prepared=tuple(item for item in self._in_flight if isinstance(item, NodePrepared)),
            troubles=tuple(item for item in self._in_flight if isinstance(item, NodeTrouble)),
        )

    def on_done(self) -> list[Item]:
        """The report in flight is committed: return its items, which may be forgotten."""
        items, self._in_flight = self._in_flight, []
        self._batch_max = ITEMS_MAX
        return items

    def on_lost(self) -> None:
        """Nobody knows what became of the report in flight: it is sent again."""
        self._waiting.extendleft(reversed(self._in_flight))
        self._in_flight = []

    def take_back(self, is_wanted: Callable[[Item], bool]) -> list[Item]:
        """Return what is not known to be committed; none of it is sent from here any more."""
        items = [item for item in (*self._in_flight, *self._waiting) if is_wanted(item)]
        self._waiting = deque(item for item in self._waiting if not is_wanted(item))
        return items

    def on_refused(self) -> Item | None:
        """The report was refused as malformed: send its items one by one, and give up one that is refused alone."""
        if len(self._in_flight) == 1:
            return self._in_flight.pop()
        self.on_lost()
        self._batch_max = 1
        return None
