"""Requests whose answer comes later: waiting for a job's start or end, and steps that wait for room in their job."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sluice.wire.messages import UserMessage
from sluice.wire.responder import Responder
from sluicectld.state import events

#: Tries to answer; True when it has.
Attempt = Callable[[], bool]


class _Waiter(NamedTuple):
    """is_hearer: it is told what somebody has to say about the job."""

    responder: Responder
    attempt: Attempt
    is_hearer: bool


class Waiting:
    """job id -> attempts to make again when something happens to that job."""

    def __init__(self) -> None:
        self._waiters: dict[int, list[_Waiter]] = defaultdict(list)
        #: What was found to have no room since something last happened: (job id, shape) -> why.  A thousand equal
        #: requests are looked at once, whoever asks meanwhile is tried again with the others when something happens.
        self.busy: dict[tuple[int, object], str] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values()))

    def add(self, job_id: int, responder: Responder, attempt: Attempt, *, is_hearer: bool = False) -> None:
        """Answer now if *attempt* can, else whenever the job changes."""
        if not attempt():
            self._waiters[job_id].append(_Waiter(responder, attempt, is_hearer))

    def hearers(self) -> frozenset[int]:
        """Return the jobs of which somebody here would hear a message."""
        return frozenset(
            job_id
            for job_id, waiters in self._waiters.items()
            if any(waiter.is_hearer and waiter.responder.connection.is_open for waiter in waiters)
        )

    def tell(self, job_id: int, message: UserMessage) -> None:
        """Send the message to all who hear of the job."""
        for waiter in self._waiters.get(job_id, ()):
            if waiter.is_hearer:
                waiter.responder.connection.notify("UserMessage", message)

    def on_events(self, committed: Iterable[events.AnyEvent], family_of: Callable[[int], int]) -> None:
        """Try again what waits for the jobs that these events are about.

        family_of: the id that a job has in common with others, of its array or its leader; 0 if none.
        """
        self.busy.clear()
        if not self._waiters:
            return
        touched: set[int] = set()
        for event in committed:
            job_id = events.job_id_of(event)
            if job_id is not None:
                touched.add(job_id)
                touched.add(family_of(job_id))
            base_id = getattr(event, "job_id", None)
            if base_id is not None:
                touched.add(base_id)
        for job_id in touched & self._waiters.keys():
            self._try(job_id)

    def drop_closed(self) -> None:
        """Forget those whose connection is gone."""
        for job_id, waiters in list(self._waiters.items()):
            left = [waiter for waiter in waiters if waiter.responder.connection.is_open]
            if left:
                self._waiters[job_id] = left
            else:
                del self._waiters[job_id]

    def fail_all(self, fail: Callable[[Responder], None]) -> None:
        """Answer everybody with an error."""
        everybody, self._waiters = self._waiters, defaultdict(list)
        for waiters in everybody.values():
            for waiter in waiters:
                fail(waiter.responder)

    def _try(self, job_id: int) -> None:
        waiters = self._waiters.pop(job_id)
        left = [waiter for waiter in waiters if waiter.responder.connection.is_open and not waiter.attempt()]
        if left:
            self._waiters[job_id] = left + self._waiters.get(job_id, [])
