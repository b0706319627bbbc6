"""Requests of ours that wait for a reply: who is told, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from sluice.errors import PeerError, SluiceError, Unreachable

#: Called once with the reply's body or with what went wrong.
OnDone = Callable[[msgspec.Raw | SluiceError], None]
#: Called with the body of each piece of a streamed reply.
OnPart = Callable[[msgspec.Raw], None]


class _Waiting:
    __slots__ = ("deadline_s", "name", "on_done", "on_part", "timer")

    def __init__(self, name: str, on_done: OnDone, on_part: OnPart | None, deadline_s: float) -> None:
        self.name = name
        self.on_done = on_done
        self.on_part = on_part
        self.deadline_s = deadline_s
        self.timer: asyncio.TimerHandle | None = None


class PendingRequests:
    """The requests in flight by id.

    A deadline covers the wait for the next piece, so that a long stream may take its time.
    What arrives for an id that is not (or no longer) here is ignored: it was given up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._by_id: dict[int, _Waiting] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def add(self, id: int, name: str, on_done: OnDone, on_part: OnPart | None, deadline_s: float) -> None:
        waiting = self._by_id[id] = _Waiting(name, on_done, on_part, deadline_s)
        waiting.timer = self._loop.call_later(deadline_s, self._expire, id)

    def on_part(self, id: int, body: msgspec.Raw) -> None:
        waiting = self._by_id.get(id)
        if waiting is None or waiting.timer is None:
            return
        waiting.timer.cancel()
        waiting.timer = self._loop.call_later(waiting.deadline_s, self._expire, id)
        if waiting.on_part is not None:
            waiting.on_part(body)

    def on_done(self, id: int, result: msgspec.Raw | SluiceError) -> None:
        waiting = self._by_id.pop(id, None)
        if waiting is None:
            return
        if waiting.timer is not None:
            waiting.timer.cancel()
        waiting.on_done(result)

    def fail_all(self, reason: PeerError) -> None:
        for id in list(self._by_id):
            self.on_done(id, reason)

    def _expire(self, id: int) -> None:
        waiting = self._by_id[id]
        self.on_done(id, Unreachable(f"{waiting.name}: no reply in {waiting.deadline_s:g} s"))


def settle(future: asyncio.Future[msgspec.Raw], result: msgspec.Raw | SluiceError) -> None:
    """Give *result* to a future that its owner may have given up."""
    if future.done():
        return
    if isinstance(result, SluiceError):
        future.set_exception(result)
        # Whoever dropped the future does not care; a lost connection must not log one line for each.
        future.exception()
    else:
        future.set_result(result)
