"""The end of a stream, kept in bounded memory."""

from __future__ import annotations


class Tail:
    """Remembers the last size_max bytes that were added."""

    __slots__ = ("_data", "_size_max", "is_cut")

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._data = bytearray()
        self.is_cut = False

    def add(self, data: bytes) -> None:
        self._data += data
        excess = len(self._data) - self._size_max
        if excess > 0:
            del self._data[:excess]
            self.is_cut = True

    def bytes(self) -> bytes:
        return bytes(self._data)
