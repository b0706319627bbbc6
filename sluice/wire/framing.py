"""The layout of a frame, its kinds and limits; bytes in, whole frames out.

A frame is a big-endian length in 4 bytes, then that many bytes of msgpack: the array
[version, kind, id, name, body].  This module knows lengths only; envelope.py and light.py
decode.  Memory is bounded by size_max per connection: a length is judged before its bytes
are kept.

Source: docs/wire.md, "Frames".
"""

from __future__ import annotations

import struct

from sluice.wire.faults import FRAME_EMPTY, FRAME_TOO_LARGE, FrameError

VERSION = 1
VERSION_MIN = 1
VERSION_MAX = 1

REQUEST = 0
REPLY = 1
ERROR = 2
NOTICE = 3
PART = 4

FRAME_SIZE_MAX = 16 * 1024 * 1024
#: For the first frame of a TCP connection, before its sender has been authenticated.
FRAME_SIZE_FIRST_MAX = 64 * 1024

#: The id of frames that belong to no request: notices, and errors that end the connection.
CONNECTION_ID = 0
#: Client to server, first frame on TCP: {"credential": str}.
HELLO = "hello"
#: Server to client, the answer to a hello that was accepted.
WELCOME = "welcome"

#: What credentials for the controller are made out to.
CONTROLLER_AUDIENCE = "sluicectld"

_LENGTH = struct.Struct(">I")
LENGTH_SIZE = _LENGTH.size
pack_length = _LENGTH.pack
pack_length_into = _LENGTH.pack_into
_unpack_length_from = _LENGTH.unpack_from


def node_audience(node: str) -> str:
    """Return the audience of credentials for the agent of *node* and its step daemons."""
    return "node:" + node


class FrameSplitter:
    """Cuts a stream of bytes into frames.

    feed() takes what arrived; next() gives the frames one by one, so that the caller may change
    size_max, or stop, between two of them.
    """

    __slots__ = ("_data", "_needed", "_offset", "_partial", "_view", "size_max")

    def __init__(self, size_max: int = FRAME_SIZE_MAX) -> None:
        self.size_max = size_max
        self._data = b""
        self._view = memoryview(b"")
        self._offset = 0
        #: The start of a frame whose end has not arrived, and the size from which looking again pays.
        self._partial = bytearray()
        self._needed = LENGTH_SIZE

    @property
    def is_midframe(self) -> bool:
        """True after next() gave None while the start of a frame is here."""
        return bool(self._partial)

    @property
    def buffered(self) -> int:
        """Return the count of bytes that were fed and not yet given as frames."""
        return len(self._partial) + len(self._data) - self._offset

    def take_rest(self) -> bytes:
        """Return, and forget, what was fed and not yet given as frames."""
        rest = bytes(self._partial) + self._data[self._offset :]
        self._partial.clear()
        self._data, self._view, self._offset = b"", memoryview(b""), 0
        return rest

    def feed(self, data: bytes) -> None:
        if self._offset < len(self._data):
            data = self._data[self._offset :] + data
        elif self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return
            data = bytes(self._partial)
            self._partial = bytearray()
        self._data = data
        self._view = memoryview(data)
        self._offset = 0

    def next(self) -> memoryview | None:
        """Return the next frame without its length, or None until more is fed.

        The view keeps the fed bytes alive.  Raises FrameError on a length no peer may send.
        """
        start = self._offset + LENGTH_SIZE
        if start > len(self._data):
            self._keep_partial(LENGTH_SIZE)
            return None
        (length,) = _unpack_length_from(self._data, self._offset)
        if length > self.size_max:
            raise FrameError(f"frame of {length} bytes, the limit here is {self.size_max}", FRAME_TOO_LARGE)
        if length == 0:
            raise FrameError("empty frame", FRAME_EMPTY)
        end: int = start + length
        if end > len(self._data):
            self._keep_partial(LENGTH_SIZE + length)
            return None
        self._offset = end
        return self._view[start:end]

    def _keep_partial(self, needed: int) -> None:
        if self._offset < len(self._data):
            self._partial = bytearray(self._view[self._offset :])
            self._needed = needed
        self._data = b""
        self._view = memoryview(b"")
        self._offset = 0
