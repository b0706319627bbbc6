"""Frames on their way out: one write a loop iteration, bounded for a slow reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sluice.wire.envelope import append_frame
from sluice.wire.limits import Limits

#: More than this is handed to the transport at once instead of at the end of the iteration.
_BATCH_SIZE_MAX = 256 * 1024


class Outbox:
    """Collects frames for a transport.

    on_stuck(text) is called when the reader is too slow: too many bytes wait, or the transport's
    buffer has stayed full for drain_deadline_s.
    """

    __slots__ = ("_drained", "_is_scheduled", "_limits", "_loop", "_on_stuck", "_out", "_timer", "_transport")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        limits: Limits,
        on_stuck: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._limits = limits
        self._on_stuck = on_stuck
        self._out = bytearray()
        self._is_scheduled = False
        #: Present while the transport's buffer is full.
        self._drained: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def unsent(self) -> int:
        return len(self._out) + self._transport.get_write_buffer_size()

    def add(self, kind: int, id: int, name: str, body: object) -> None:
        append_frame(self._out, kind, id, name, body, self._limits.frame_size_max)
        if len(self._out) >= _BATCH_SIZE_MAX:
            self.flush()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush_scheduled)

    def flush(self) -> None:
        if not self._out or self._transport.is_closing():
            return
        out, self._out = self._out, bytearray()
        self._transport.write(out)
        queued = self._transport.get_write_buffer_size()
        if queued > self._limits.queued_bytes_max:
            self._on_stuck(f"reads too slowly: {queued} bytes wait, at most {self._limits.queued_bytes_max} may")

    async def wait_drained(self) -> None:
        """Return when the transport would take more; at once when it is not full."""
        self.flush()
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def on_full(self) -> None:
        if self._drained is None:
            self._drained = self._loop.create_future()
            self._timer = self._loop.call_later(self._limits.drain_deadline_s, self._on_deadline)

    def on_drained(self) -> None:
        """Wakes the waiters; also called when the connection is gone and nothing is left to wait for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def _flush_scheduled(self) -> None:
        self._is_scheduled = False
        self.flush()

    def _on_deadline(self) -> None:
        self._timer = None
        self._on_stuck(f"reads too slowly: its buffer was full for {self._limits.drain_deadline_s:g} s")
