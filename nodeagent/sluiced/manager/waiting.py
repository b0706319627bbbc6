"""Requests for steps that wait for room in their job: tried again whenever a step of it ends."""

from __future__ import annotations

from collections.abc import Callable

from sluice.errors import RequestError
from sluice.wire.responder import Responder

#: Tries to answer; True when it has.
Attempt = Callable[[], bool]


class Waiting:
    """Of one job."""

    def __init__(self) -> None:
        self._waiters: list[tuple[Responder, Attempt]] = []

    def add(self, responder: Responder, attempt: Attempt) -> None:
        """Answer now if *attempt* can, else when there is room."""
        if not attempt():
            self._waiters.append((responder, attempt))

    def try_all(self) -> None:
        """A step has ended.  Whoever has hung up waits no longer."""
        waiters, self._waiters = self._waiters, []
        self._waiters += [
            (responder, attempt) for responder, attempt in waiters if responder.connection.is_open and not attempt()
        ]

    def fail_all(self, error: RequestError) -> None:
        waiters, self._waiters = self._waiters, []
        for responder, _ in waiters:
            if responder.connection.is_open:
                responder.error(error)
