"""What a step daemon's poll loop needs of the server that its tasks talk to, whichever protocol it speaks."""

from __future__ import annotations

from sluiced.pmi.collective import Release
from sluiced.pmi.messages import Abort, Fetch, Fetched

#: This node's part of a collective: key, participants, piece.
Gift = tuple[str, tuple[int, ...], bytes]
#: What a local server wants from the other nodes.
Wish = Gift | Fetch | Fetched | Abort


class Local:
    """A server that no task talks to; others override what they need."""

    #: The pids of processes that it has started.
    helpers: frozenset[int] = frozenset()

    def variables(self, rank: int) -> dict[str, str]:
        """Return what the server adds to the environment of a task."""
        return {}

    def descriptor(self, rank: int) -> int | None:
        """Return what the task of *rank* is to inherit."""
        return None

    def close_task_ends(self) -> None:
        """The tasks are forked."""

    def poll_events(self) -> dict[int, int]:
        return {}

    def on_event(self, descriptor: int) -> list[Wish]:
        return []

    def on_task_end(self, rank: int) -> list[Wish]:
        return []

    def on_event_of_step(self, event: Release | Fetch | Fetched) -> list[Wish]:
        """A collective is complete, another node asks, or answers."""
        return []

    def close(self) -> None:
        """The step is over."""
