"""Requests of the peer that are not answered yet: counted, bounded, and each answered whatever happens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, ErrorBody
from sluice.wire.faults import INTERNAL_ERROR, TOO_MANY_REQUESTS, FrameError
from sluice.wire.framing import CONNECTION_ID, ERROR
from sluice.wire.handler import Handler
from sluice.wire.responder import Responder

if TYPE_CHECKING:
    from sluice.wire.connection import Connection

logger = logging.getLogger(__name__)


class IncomingRequests:
    """Hands each request to the handler with a responder for it."""

    __slots__ = ("_connection", "_handler", "_ids", "_requests_max")

    def __init__(self, connection: Connection, handler: Handler, requests_max: int) -> None:
        self._connection = connection
        self._handler = handler
        self._requests_max = requests_max
        self._ids: set[int] = set()

    def on_request(self, envelope: Envelope) -> None:
        """Raises FrameError about an id that cannot tell this request's reply from another's."""
        if envelope.id in self._ids or envelope.id == CONNECTION_ID:
            raise FrameError(f"request {envelope.name!r} has id {envelope.id}, which is in use")
        if len(self._ids) >= self._requests_max:
            # Not reading on would be gentler, and would deadlock two peers that wait for each other's replies.
            text = f"{len(self._ids)} requests of this connection are in flight"
            body = ErrorBody(code=TOO_MANY_REQUESTS, message=text)
            self._connection.send_frame(ERROR, envelope.id, envelope.name, body)
            return
        self._ids.add(envelope.id)
        responder = Responder(self._connection, envelope.id, envelope.name)
        try:
            self._handler.on_request(self._connection, envelope, responder)
        except Exception as error:
            _answer_failure(responder, error)

    def forget(self, id: int) -> None:
        self._ids.discard(id)


def _answer_failure(responder: Responder, error: Exception) -> None:
    is_expected = isinstance(error, SluiceError)
    if not is_expected or responder.is_done:
        logger.error("request %s: failed peer=%s", responder.name, responder.connection.peer, exc_info=error)
    if responder.is_done:
        return
    if isinstance(error, SluiceError):
        responder.error(error)
    else:
        responder.error(INTERNAL_ERROR, f"{responder.name} failed: {type(error).__name__}, see the daemon's log")
