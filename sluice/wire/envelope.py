"""Frames to and from msgspec records; the body stays raw until its receiver names a type.

Decoding the envelope walks the whole body once without building it.  That is also the guard
of every later typed decode: a body that got through has no array longer than its own bytes.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from sluice.errors import InvalidRequest
from sluice.wire.faults import FRAME_TOO_LARGE, PROTOCOL_MISMATCH, FrameError
from sluice.wire.framing import (
    CONNECTION_ID,
    FRAME_SIZE_MAX,
    LENGTH_SIZE,
    PART,
    REQUEST,
    VERSION,
    VERSION_MAX,
    VERSION_MIN,
    pack_length_into,
)

T = TypeVar("T")

NIL = msgspec.Raw(b"\xc0")
_NO_LENGTH = bytes(LENGTH_SIZE)


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One frame.

    body: raw msgpack that keeps the received chunk alive; body.copy() where it is kept for long.
    """

    version: int
    kind: int
    id: int
    name: str
    body: msgspec.Raw = NIL


class _Prefix(msgspec.Struct, array_like=True):
    """What every version of the protocol has in common."""

    version: int


class ErrorBody(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class Hello(msgspec.Struct, frozen=True):
    credential: str


_encode_into = msgspec.msgpack.Encoder().encode_into
_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_prefix = msgspec.msgpack.Decoder(_Prefix).decode
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def decode_envelope(payload: bytes | memoryview) -> Envelope:
    """Return the envelope in a frame's bytes.  Raises FrameError."""
    try:
        envelope = _decode_envelope(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_other_version(payload)
        raise FrameError(f"not a frame: {error}") from None
    if not VERSION_MIN <= envelope.version <= VERSION_MAX:
        raise _other_version(envelope.version)
    if not REQUEST <= envelope.kind <= PART:
        raise FrameError(f"not a frame: unknown kind {envelope.kind}")
    if envelope.id < CONNECTION_ID:
        raise FrameError(f"not a frame: negative id {envelope.id}")
    return envelope


def decode_body(body: msgspec.Raw, kind: type[T]) -> T:
    """Return *body* as a *kind*.  Raises InvalidRequest that names the field."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        value: T = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"malformed {kind.__name__}: {error}") from None
    return value


def encode_body(body: object) -> msgspec.Raw:
    """Return *body* encoded once, to be sent to many."""
    return msgspec.Raw(msgspec.msgpack.encode(body))


def append_frame(out: bytearray, kind: int, id: int, name: str, body: object, size_max: int = FRAME_SIZE_MAX) -> None:
    """Append a frame to *out*; on any error *out* is as it was.

    body: whatever msgspec encodes; a Raw goes in as it is.  Raises FrameError when too large.
    """
    start = len(out)
    if isinstance(body, msgspec.Raw) and not len(memoryview(body)):
        body = None
    try:
        out += _NO_LENGTH
        _encode_into((VERSION, kind, id, name, body), out, -1)
        length = len(out) - start - LENGTH_SIZE
        if length > size_max:
            raise FrameError(f"{name}: frame of {length} bytes, the limit is {size_max}", FRAME_TOO_LARGE)
        pack_length_into(out, start, length)
    except BaseException:
        del out[start:]
        raise


def _refuse_other_version(payload: bytes | memoryview) -> None:
    """Raise about the version where that explains why the rest could not be read."""
    try:
        version = _decode_prefix(payload).version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if not VERSION_MIN <= version <= VERSION_MAX:
        raise _other_version(version)


def _other_version(version: int) -> FrameError:
    return FrameError(f"protocol version {version}, this side speaks {VERSION_MIN} to {VERSION_MAX}", PROTOCOL_MISMATCH)
