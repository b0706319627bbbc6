"""What a step asks of cgroups, whichever version enforces it."""

from __future__ import annotations

from typing import Protocol


class StepGroup(Protocol):
    """The control group of one step on this node.  problem: why the step runs without the limits it should have."""

    problem: str

    def enter(self) -> None:
        """Put the calling process in; for the forked child, before it gives its privilege up."""

    def kill(self, pids: set[int]) -> None:
        """Kill *pids*, which a plain walk did not catch up with, and whatever they start meanwhile."""

    def oom_kills(self) -> int:
        """Return how often the kernel killed for want of memory in it."""

    def remove(self) -> None:
        """Take it away; what is still in it stays where it is."""


class NoGroup:
    """Where nothing can be enforced."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    def enter(self) -> None:
        pass

    def kill(self, pids: set[int]) -> None:
        pass

    def oom_kills(self) -> int:
        return 0

    def remove(self) -> None:
        pass
