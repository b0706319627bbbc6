"""The handle by which a request is answered, now or later."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sluice.errors import SluiceError
from sluice.wire.envelope import ErrorBody
from sluice.wire.faults import INTERNAL_ERROR, REPLY_TOO_LARGE, FrameError, code_of
from sluice.wire.framing import ERROR, PART, REPLY

if TYPE_CHECKING:
    from sluice.wire.connection import Connection

logger = logging.getLogger(__name__)


class Responder:
    """Answers one request, from the loop's thread: any parts, then one reply or error.

    After the connection is gone all of it does nothing.
    """

    __slots__ = ("connection", "id", "is_done", "is_refused", "name")

    def __init__(self, connection: Connection, id: int, name: str) -> None:
        self.connection = connection
        self.id = id
        self.name = name
        self.is_done = False
        #: A body was too large and the request was answered so; what follows is dropped.
        self.is_refused = False

    def reply(self, body: object = None) -> None:
        self._finish(REPLY, body)

    def part(self, body: object) -> None:
        """Send a piece; long streams await connection.wait_drained() between pieces."""
        if self.is_refused:
            return
        assert not self.is_done, f"request {self.id} {self.name}: part after the answer"
        try:
            self.connection.send_frame(PART, self.id, self.name, body)
        except FrameError as error:
            self._refuse_size(error)

    def error(self, error: SluiceError | str, message: str = "") -> None:
        """error: an exception, or the code of one with *message*."""
        if isinstance(error, SluiceError):
            body = ErrorBody(code=code_of(error), message=str(error))
        else:
            body = ErrorBody(code=error, message=message)
        self._finish(ERROR, body)

    def _finish(self, kind: int, body: object) -> None:
        if self.is_refused:
            return
        assert not self.is_done, f"request {self.id} {self.name}: answered twice"
        try:
            self.connection.send_frame(kind, self.id, self.name, body)
        except FrameError as error:
            self._refuse_size(error)
            return
        except (OverflowError, TypeError, ValueError):
            # A value that the wire has no form for: whoever asked is told, and does not wait for ever.
            logger.exception("request %s: the reply cannot be written peer=%s", self.name, self.connection.peer)
            text = f"{self.name} failed: its reply cannot be written, see the daemon's log"
            self.connection.send_frame(ERROR, self.id, self.name, ErrorBody(code=INTERNAL_ERROR, message=text))
        self.is_done = True
        self.connection.forget_request(self.id)

    def _refuse_size(self, error: FrameError) -> None:
        logger.warning("request %s: %s peer=%s", self.name, error, self.connection.peer)
        self._finish(ERROR, ErrorBody(code=REPLY_TOO_LARGE, message=f"the reply is too large: {error}"))
        self.is_refused = True
