"""Which nodes are checked when (HealthCheckProgram): all of them once in an interval, by what they are doing.

Pure but for its memory of when it last asked.  With CYCLE the checks are spread evenly over the interval.
"""

from collections.abc import Callable, Collection, Mapping
from math import ceil

from sluice.config.settings import Settings
from sluice.model.node import Node
from sluice.model.states import NodeState

#: A node and the word for its state -> is it in that state?
_STATES: Mapping[str, Callable[[Node, str], bool]] = {
    "ANY": lambda node, word: True,
    "ALLOC": lambda node, word: word == "allocated",
    "MIXED": lambda node, word: word == "mixed",
    "IDLE": lambda node, word: word == "idle",
    "NONDRAINED_IDLE": lambda node, word: word == "idle" and not node.is_drained,
}


class HealthRounds:
    """next_nodes() is to be called about once a second."""

    def __init__(self) -> None:
        self._round_at: float | None = None
        self._left: list[str] = []

    def next_nodes(
        self, settings: Settings, nodes: Collection[Node], word_of: Callable[[Node], str], now_at: float
    ) -> list[str]:
        """Return the nodes to check now.  word_of: gives idle, mixed, allocated, ..."""
        interval_s = settings.health_check_interval_s
        words = frozenset(settings.health_check_node_state)
        if not settings.health_check_program or not interval_s or "START_ONLY" in words:
            self._round_at, self._left = None, []
            return []
        if self._round_at is None or now_at >= self._round_at + interval_s:
            # The first round waits for an interval, too: agents check themselves when they start.
            self._left = [] if self._round_at is None else [node.name for node in nodes if _can_be_asked(node)]
            self._round_at = now_at
        part = self._left if "CYCLE" not in words else self._left[: self._share(interval_s, now_at)]
        self._left = self._left[len(part) :]
        wanted = [_STATES[word] for word in words if word in _STATES] or [_STATES["ANY"]]
        by_name = {node.name: node for node in nodes} if part else {}
        asked = [by_name[name] for name in part if name in by_name]
        return [node.name for node in asked if any(test(node, word_of(node)) for test in wanted)]

    def _share(self, interval_s: int, now_at: float) -> int:
        """Return how many of those left are due, so that the last is asked at the end of the interval."""
        assert self._round_at is not None, "a round has begun"
        seconds_left = max(1.0, self._round_at + interval_s - now_at)
        return ceil(len(self._left) / seconds_left)


def _can_be_asked(node: Node) -> bool:
    return node.is_responding and node.state is not NodeState.FUTURE
