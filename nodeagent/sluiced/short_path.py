"""Socket addresses hold 108 bytes; a path may be longer, and is then gone about by way of its folder's descriptor."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_ADDRESS_MAX = 100


@contextlib.contextmanager
def of(path: str) -> Iterator[str]:
    """Give a path that fits into a socket address however deep *path* is."""
    if len(path) <= _ADDRESS_MAX:
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
