"""Error codes of the wire and the exceptions that they become on the other side.

An ERROR frame carries {"code", "message"}.  With a request's id it answers that request; with
id 0 it names the reason why its sender closes the connection.
"""

from __future__ import annotations

from sluice.errors import (
    AuthenticationFailed,
    Infeasible,
    InvalidRequest,
    NotFound,
    NotPermitted,
    PeerError,
    ProtocolMismatch,
    RequestError,
    SluiceError,
    Unreachable,
)

AUTHENTICATION_FAILED = "authentication_failed"
PROTOCOL_MISMATCH = "protocol_mismatch"
#: The peer is there and cannot serve now (starting, stopping, full); asking again later is right.
UNAVAILABLE = "unavailable"
#: The controller's database refuses; nothing was done, asking again later is right.
STORAGE = "storage"

GARBAGE = "garbage"
FRAME_EMPTY = "frame_empty"
FRAME_TOO_LARGE = "frame_too_large"
FRAME_TOO_SLOW = "frame_too_slow"
HELLO_TOO_SLOW = "hello_too_slow"

INTERNAL_ERROR = "internal_error"
REPLY_TOO_LARGE = "reply_too_large"
TOO_MANY_REQUESTS = "too_many_requests"
UNKNOWN_REQUEST = "unknown_request"

_REFUSALS = {kind.default_code: kind for kind in (InvalidRequest, NotPermitted, NotFound, Infeasible)}
_MISMATCHES = frozenset((PROTOCOL_MISMATCH, GARBAGE, FRAME_EMPTY, FRAME_TOO_LARGE))


class FrameError(ProtocolMismatch):
    """Bytes that are no frame of this protocol; code says in which way."""

    def __init__(self, message: str, code: str = GARBAGE) -> None:
        super().__init__(message)
        self.code = code


def error_from(code: str, message: str) -> SluiceError:
    """Return the exception for an ERROR that answers a request."""
    if code == AUTHENTICATION_FAILED:
        return AuthenticationFailed(message)
    if code == UNAVAILABLE:
        return Unreachable(message)
    return _REFUSALS.get(code, RequestError)(message, code)


def is_passing(error: SluiceError) -> bool:
    """Tell whether the same request may be granted later: nobody answers, or the controller cannot store it now."""
    return isinstance(error, Unreachable) or (isinstance(error, RequestError) and error.code == STORAGE)


def peer_error_from(code: str, message: str) -> PeerError:
    """Return the exception for an ERROR that ends the connection."""
    if code == AUTHENTICATION_FAILED:
        return AuthenticationFailed(message)
    if code in _MISMATCHES:
        return FrameError(f"the peer closed the connection: {message}", code)
    return Unreachable(f"the peer closed the connection: {message}")


def code_of(error: SluiceError) -> str:
    """Return the code under which *error* goes over the wire."""
    if isinstance(error, RequestError | FrameError):
        return error.code
    if isinstance(error, AuthenticationFailed):
        return AUTHENTICATION_FAILED
    if isinstance(error, ProtocolMismatch):
        return PROTOCOL_MISMATCH
    if isinstance(error, Unreachable):
        return UNAVAILABLE
    return INTERNAL_ERROR
