"""The keys and values of a step, as one node knows them: what all nodes have at the last barrier, and attributes here.

A put is told to the other nodes with the next barrier; ranks of this node see it at once, which PMI allows.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

KEY_MAX = 64
#: Keys and values that one step may keep on one node.
BYTES_MAX = 128 * 1024 * 1024

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(dict[str, str]).decode


class StoreFull(Exception):
    """There is no room for another value."""


class Store:
    """Text by text, one character a byte (text.py's)."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._new: dict[str, str] = {}
        self._attributes: dict[str, str] = {}
        self._size = 0

    def put(self, key: str, value: str) -> None:
        """Raises StoreFull."""
        self._take_room(key, value)
        self._values[key] = self._new[key] = value

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def put_attribute(self, key: str, value: str) -> None:
        """Of this node alone.  Raises StoreFull."""
        self._take_room(key, value)
        self._attributes[key] = value

    def attribute(self, key: str) -> str | None:
        return self._attributes.get(key)

    def take_new(self) -> bytes:
        """Return what was put here since the last barrier, for the other nodes."""
        new, self._new = self._new, {}
        return _encode(new) if new else b""

    def merge(self, pieces: Iterable[bytes]) -> None:
        """Take what the nodes have given.  Raises ValueError for what is no such piece, StoreFull."""
        for piece in pieces:
            for key, value in (_decode(piece) if piece else {}).items():
                if self._values.get(key) != value:
                    self._take_room(key, value)
                    self._values[key] = value

    def _take_room(self, key: str, value: str) -> None:
        self._size += len(key) + len(value)
        if self._size > BYTES_MAX:
            raise StoreFull(f"the keys and values of a step may take {BYTES_MAX >> 20} MiB on a node")
