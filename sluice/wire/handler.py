"""What a daemon does with the frames of its peers; subclass and override."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.wire.faults import UNKNOWN_REQUEST

if TYPE_CHECKING:
    from sluice.errors import PeerError
    from sluice.wire.connection import Connection
    from sluice.wire.envelope import Envelope
    from sluice.wire.responder import Responder


class Handler:
    """Receives one connection's life, in the loop's thread; none of it may block.

    A RequestError raised by on_request is the answer to that request; any other exception is our
    bug: it is logged with its traceback and the request fails with internal_error.
    """

    def on_connected(self, connection: Connection) -> None:
        """The peer is known (connection.identity, on a server) or has accepted us (on a client)."""

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        responder.error(UNKNOWN_REQUEST, f"request {envelope.name!r} is not known here")

    def on_notice(self, connection: Connection, envelope: Envelope) -> None:
        """Notices that are not known are ignored."""

    def on_closed(self, connection: Connection, reason: PeerError) -> None:
        """Called once for each on_connected, after every pending request has failed."""
