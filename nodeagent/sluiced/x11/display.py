"""A display number of the loopback that nobody has: its ports, on which X clients look for a display."""

from __future__ import annotations

import contextlib
import errno
import socket

#: So many are left to displays of this machine, as sshd leaves them.
_FIRST = 10
_LAST = 1000
_PORT_BASE = 6000
_BACKLOG = 16


def take_display() -> tuple[int, list[socket.socket]]:
    """Return a display number and who listens for it.  Raises OSError where there is none.

    On both loopbacks, where there are two: a client tries them in turn, and must meet nobody else on either.
    """
    for number in range(_FIRST, _LAST):
        listeners = _listen(_PORT_BASE + number)
        if listeners:
            return number, listeners
    raise OSError(errno.EADDRINUSE, f"no display from {_FIRST} to {_LAST - 1} is free on this host")


def _listen(port: int) -> list[socket.socket]:
    """Return the listeners; none where somebody else has the port."""
    listeners: list[socket.socket] = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.ExitStack() as stack:
            try:
                own = stack.enter_context(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
                if family == socket.AF_INET6:
                    own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                own.bind((address, port))
                own.listen(_BACKLOG)
            except OSError as error:
                if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    # A host without this kind of loopback.
                    continue
                for each in listeners:
                    each.close()
                return []
            stack.pop_all()
            listeners.append(own)
    return listeners
