"""Questions to the scheduler beside its passes: why a job waits, when one would start.

They are worked out one after the other in a thread of their own, on a scene that is kept between them; so neither
the event loop nor a pass waits for them, and each costs by what has changed since the last one.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from msgspec.structs import replace

from sluicectld.scheduler.memo import StandingMemo
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.snapshot import Policy

T = TypeVar("T")


class Questions:
    """The thread and what it remembers."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._executor = ThreadPoolExecutor(1, "sluice-question")
        #: The policy of the passes, and the same with a memo that no pass writes to meanwhile.
        self._policies: tuple[Policy, Policy] | None = None

    def policy(self, policy: Policy) -> Policy:
        """Return the policy for questions; asked in the loop."""
        if self._policies is None or self._policies[0] is not policy:
            self._policies = (policy, replace(policy, memo=StandingMemo()))
        return self._policies[1]

    def submit(self, work: Callable[[Memory], T]) -> "Future[T]":
        """Have it worked out with the memory, which nothing else touches meanwhile."""
        return self._executor.submit(work, self._memory)

    def close(self) -> None:
        """Wait for the question at work; the others are dropped."""
        self._executor.shutdown(cancel_futures=True)
