"""Waiting for the controller's answer while signals may come and a deadline may pass."""

from __future__ import annotations

import contextlib
import select
import time

from sluice.errors import RequestError, SluiceError, Unreachable
from sluice.wire.faults import error_from, is_passing
from sluice.wire.framing import ERROR, NOTICE, REPLY
from sluice_cli import client
from sluice_cli.inbox import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sluice.wire.light import LightConnection
    from sluice_cli.inbox import Inbox
    from sluice_cli.talk import Voice

    OnNotice = Callable[[str, dict[str, Any]], None]

_RECONNECT_PAUSE_S = 1.0
#: A question without an answer for so long is no refusal.
_STOOD_S = 5.0
_NEVER = float("inf")


class TimedOut(Exception):
    """The deadline passed while the answer had not come."""


class Question:
    """One request and its answer, asked again when the controller is restarted: body must bear that.

    on_notice gets the notices that come before the answer.  connect: to whom it is put.  patience_s: how long it
    may be away.
    """

    def __init__(
        self,
        name: str,
        body: object,
        voice: Voice,
        on_notice: OnNotice | None = None,
        connect: Callable[[], LightConnection] = client.connect,
        patience_s: float = client.PATIENCE_S,
    ) -> None:
        self._name = name
        self._body = body
        self._voice = voice
        self._on_notice = on_notice
        self._connect = connect
        self._patience_s = patience_s
        self._connection: LightConnection | None = None
        self._id = 0
        self._asked_at = _NEVER
        self._lost_at: float | None = None

    def __enter__(self) -> Question:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for no answer any more."""
        if self._connection is not None:
            self._connection.close()

    def wait(self, inbox: Inbox, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the body of the reply.

        Raises what the controller answers, Interrupted, TimedOut, or why it has not answered for too long.
        Waiting may go on with another call.
        """
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = None if ends_at is None else ends_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise TimedOut
            try:
                answer = self._step(inbox, left_s)
            except (Unreachable, RequestError) as error:
                if not is_passing(error):
                    raise
                self._on_lost(error)
                continue
            if answer is not None:
                return answer

    def renew(self) -> None:
        """Ask once more if the connection is lost: for a question that is kept open for its connection's sake."""
        with contextlib.suppress(SluiceError):
            if self._connection is not None:
                self._connection.receive_nowait()
                return
        self.close()
        with contextlib.suppress(SluiceError):
            self._ask()

    def fileno(self) -> int:
        assert self._connection is not None, "asked before the question"
        return self._connection.fileno()

    def _step(self, inbox: Inbox, left_s: float | None) -> dict[str, Any] | None:
        if number := inbox.next():
            raise Interrupted(number)
        connection = self._connection or self._ask()
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN)
        poller.register(inbox.fileno(), select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll(None if left_s is None else int(left_s * 1000) + 1)}
        if connection.fileno() in ready and (answer := self._read(connection)) is not None:
            return answer
        return None

    def _ask(self) -> LightConnection:
        # Kept at once: what cannot be sent must not leave it open.
        connection = self._connection = self._connect()
        self._id = connection.send_request(self._name, self._body)
        self._asked_at = time.monotonic()
        return connection

    def _read(self, connection: LightConnection) -> dict[str, Any] | None:
        for kind, id, name, value in connection.receive_nowait():
            if kind == NOTICE and self._on_notice is not None:
                self._on_notice(name, value)
            if id != self._id:
                continue
            if kind == ERROR:
                raise error_from(str(value.get("code", "")), str(value.get("message", "")))
            if kind == REPLY:
                answer: dict[str, Any] = value
                return answer
        return None

    def _on_lost(self, error: SluiceError) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        now = time.monotonic()
        stood_s = now - self._asked_at
        self._asked_at = _NEVER
        # A question that stood for a while had been taken: this absence has only begun.
        if self._lost_at is None or stood_s > _STOOD_S:
            self._lost_at = now
            client.tell_waiting(self._voice, error, self._patience_s)
        if now - self._lost_at > self._patience_s:
            raise error
        time.sleep(_RECONNECT_PAUSE_S)
