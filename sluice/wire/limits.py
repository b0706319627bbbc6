"""Every bound and deadline of a connection, in one record."""

from __future__ import annotations

import msgspec

from sluice.wire.framing import FRAME_SIZE_FIRST_MAX, FRAME_SIZE_MAX


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one peer may cost us."""

    frame_size_max: int = FRAME_SIZE_MAX
    first_frame_size_max: int = FRAME_SIZE_FIRST_MAX
    #: Requests of one connection that have no final reply yet; each direction counts its own.
    requests_in_flight_max: int = 4096
    #: Bytes that wait for a slow reader; a producer of long replies awaits wait_drained().
    queued_bytes_max: int = 64 * 1024 * 1024
    connections_max: int = 16384
    #: Connections that have not been authenticated yet.
    strangers_max: int = 1024
    #: Per uid on the UNIX socket; root and the daemon's own user are exempt.
    #: Each may hold a frame that is half here, so this times frame_size_max is what one user can pin.
    connections_per_user_max: int = 256
    #: From the first byte of a frame to its last.
    frame_deadline_s: float = 30.0
    hello_deadline_s: float = 10.0
    #: How long a full write buffer may stay full.
    drain_deadline_s: float = 60.0
    #: For the first piece of a reply, and between two pieces, where a request names none itself.
    reply_deadline_s: float = 60.0
    #: How long a refused peer may take to read why.
    linger_deadline_s: float = 2.0
