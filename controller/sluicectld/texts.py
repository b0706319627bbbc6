"""Batch scripts and environments by digest: kept here while jobs that use them are young, else read from the store."""

import hashlib
from collections import OrderedDict

import msgspec

_BYTES_MAX = 64 * 1024 * 1024


def digest_of(text: bytes) -> str:
    """Return the name under which a text is stored once."""
    return hashlib.blake2b(text, digest_size=20).hexdigest()


def encode_environment(environment: tuple[bytes, ...]) -> bytes:
    """Return the stored form: msgpack of the list of NAME=value."""
    return msgspec.msgpack.encode(environment)


class TextCache:
    """The texts used last, at most 64 MiB of them."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def put(self, digest: str, text: bytes) -> bool:
        """Keep a text; return whether it was new here."""
        if digest in self._texts:
            self._texts.move_to_end(digest)
            return False
        self._texts[digest] = text
        self._size += len(text)
        while self._size > _BYTES_MAX and len(self._texts) > 1:
            _, dropped = self._texts.popitem(last=False)
            self._size -= len(dropped)
        return True

    def get(self, digest: str) -> bytes | None:
        """Return a text, None when the store has to be asked; of no digest the empty one."""
        return self._texts.get(digest) if digest else b""
