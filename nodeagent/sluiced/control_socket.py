"""The agent's end of a step daemon's control socket, in the spool: an order a packet (steps/control.py)."""

from __future__ import annotations

import fcntl
import os
import socket
import termios
from collections.abc import Sequence

from sluiced import short_path
from sluiced.steps.launch import ControlOrder, encode_order


def bind(step_path: str) -> socket.socket:
    """Return the socket on which the step daemon will get its orders; orders sent from now on wait in it."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with short_path.of(step_path + ".control") as path:
        try:
            control.bind(path)
        except OSError:
            os.unlink(path)
            control.bind(path)
    return control


def send(step_path: str, order: ControlOrder, descriptors: Sequence[int] = ()) -> bool:
    """Return whether *order* waits for the step daemon, with *descriptors*; False: it is not there, or hears nothing.

    Nobody waits for one that hears nothing: the kernel lets some packets wait, and refuses more.
    """
    sender = _connect(step_path)
    if sender is None:
        return False
    with sender:
        try:
            socket.send_fds(sender, [encode_order(order)], descriptors)
        except OSError:
            return False
    return True


def ask(step_path: str, order: ControlOrder) -> AskedOrder | None:
    """Send an order of which it can be told whether it was read; None: the step daemon is not there."""
    sender = _connect(step_path)
    if sender is None:
        return None
    try:
        return AskedOrder(sender, order)
    except OSError:
        sender.close()
        return None


class AskedOrder:
    """An order on its way to a step daemon; to be closed.  Raises OSError where nobody can read it."""

    def __init__(self, sender: socket.socket, order: ControlOrder) -> None:
        self._sender = sender
        self._is_sent = True
        try:
            sender.send(encode_order(order))
        except BlockingIOError:
            # As many as the kernel lets wait have not been read either.
            self._is_sent = False

    def is_read(self) -> bool:
        # The kernel counts what was sent and not taken.
        return self._is_sent and not any(fcntl.ioctl(self._sender, termios.TIOCOUTQ, bytes(4)))

    def close(self) -> None:
        self._sender.close()


def _connect(step_path: str) -> socket.socket | None:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        with short_path.of(step_path + ".control") as path:
            sender.connect(path)
    except OSError:
        sender.close()
        return None
    return sender
