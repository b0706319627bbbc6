"""Loopback ports that are free: below the range from which the kernel takes the ports of outgoing connections."""

from __future__ import annotations

import errno
import random
import socket

from sluice.errors import ConfigError

_FIRST, _LAST = 20_000, 32_000
_TRIES_MAX = 200


def find_free_range(count: int, rng: random.Random) -> int:
    """Return the first of *count* adjacent ports of 127.0.0.1 that were free a moment ago.  Raises ConfigError."""
    if count > _LAST - _FIRST:
        raise ConfigError(f"{count} ports wanted, there are {_LAST - _FIRST} ({_FIRST} to {_LAST})")
    for _ in range(_TRIES_MAX):
        first = rng.randrange(_FIRST, _LAST - count + 1)
        if all(is_free("127.0.0.1", port) for port in range(first, first + count)):
            return first
    raise ConfigError(f"no {count} adjacent ports are free between {_FIRST} and {_LAST}")


def is_free(address: str, port: int) -> bool:
    """Could a daemon listen there?  An address that is not this machine's is for the daemon to refuse."""
    with socket.socket() as probe:
        # As the daemons listen: ports of connections that have just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
