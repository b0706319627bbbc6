"""Requests whose answer comes later: waiting for a job's start or end, and steps that wait for room in their job."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from sluice.wire.responder import Responder
from sluicectld.state import events

#: Tries to answer; True when it has.
Attempt = Callable[[], bool]


class Waiting:
    """job id -> attempts to make again when something happens to that job."""

    def __init__(self) -> None:
        self._attempts: dict[int, list[tuple[Responder, Attempt]]] = defaultdict(list)

    def __len__(self) -> int:
        return sum(len(attempts) for attempts in self._attempts.values())

    def add(self, job_id: int, responder: Responder, attempt: Attempt) -> None:
        """Answer now if *attempt* can, else whenever the job changes."""
        if not attempt():
            self._attempts[job_id].append((responder, attempt))

    def on_events(self, committed: Iterable[events.AnyEvent], array_of: Callable[[int], int]) -> None:
        """Try again what waits for the jobs that these events are about.  array_of: a task's array, 0 if none."""
        if not self._attempts:
            return
        touched: set[int] = set()
        for event in committed:
            job_id = events.job_id_of(event)
            if job_id is not None:
                touched.add(job_id)
                touched.add(array_of(job_id))
            base_id = getattr(event, "job_id", None)
            if base_id is not None:
                touched.add(base_id)
        for job_id in touched & self._attempts.keys():
            self._try(job_id)

    def drop_closed(self) -> None:
        """Forget those whose connection is gone."""
        for job_id, attempts in list(self._attempts.items()):
            left = [(responder, attempt) for responder, attempt in attempts if responder.connection.is_open]
            if left:
                self._attempts[job_id] = left
            else:
                del self._attempts[job_id]

    def fail_all(self, fail: Callable[[Responder], None]) -> None:
        """Answer everybody with an error."""
        attempts, self._attempts = self._attempts, defaultdict(list)
        for waiting in attempts.values():
            for responder, _ in waiting:
                fail(responder)

    def _try(self, job_id: int) -> None:
        attempts = self._attempts.pop(job_id)
        left = [
            (responder, attempt) for responder, attempt in attempts if responder.connection.is_open and not attempt()
        ]
        if left:
            self._attempts[job_id] = left + self._attempts.get(job_id, [])
