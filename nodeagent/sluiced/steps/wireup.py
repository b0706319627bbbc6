"""What a step daemon's poll loop knows of how its tasks find each other; most steps have none of it, and pay nothing.

The one that does something is pmi/wireup.py's.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluiced.pmi.messages import Abort


class Dressing:
    """What tasks get on top of their environment and command line; others override what they need."""

    #: One process a node starts the node's tasks.
    is_per_node = False
    #: On the way to the end, the first node's tasks are told last.
    ends_head_last = False
    #: What to tell where the first word of command() is not installed.
    missing_hint = ""

    def environment(self, rank: int, given: dict[str, str]) -> dict[str, str]:
        """Return the whole environment of a task."""
        return given

    def command(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        return argv


class Wireup:
    """Nothing is wired."""

    dressing = Dressing()
    #: Why the step has to end, once there is a reason.
    problem = ""
    #: This node has found it.
    is_own = False
    #: What a rank has called; None: none has.
    abort: Abort | None = None
    #: Processes that belong to the step daemon rather than to the step.
    helpers: frozenset[int] = frozenset()
    #: The mount namespace of the tasks, as a descriptor; None: the step daemon's own.
    namespace: int | None = None

    def descriptors(self, rank: int) -> tuple[int, ...]:
        """Return what a task inherits as 3 and up."""
        return ()

    def close_task_ends(self) -> None:
        """The tasks are forked."""

    def poll_events(self) -> dict[int, int]:
        return {}

    def wait_s(self, now: float) -> float | None:
        return None

    def do_timers(self, now: float) -> None:
        pass

    def on_event(self, descriptor: int) -> bool:
        """Return False when *descriptor* is none of ours."""
        return False

    def on_peer(self, node: str, connection: socket.socket) -> None:
        connection.close()

    def on_task_end(self, rank: int) -> None:
        pass

    @property
    def has_followers(self) -> bool:
        """Are there nodes whose tasks are to end before this one's?"""
        return False

    @property
    def is_drained(self) -> bool:
        return True

    def close(self) -> None:
        pass
