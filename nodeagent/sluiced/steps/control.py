"""The step daemon's end of its control socket: an order a packet, with a connection where the order brings one."""

from __future__ import annotations

import os
import select
import socket
from typing import Protocol

from sluiced.steps.launch import ControlOrder, decode_order

_ORDER_SIZE_MAX = 4096


class Writable(Protocol):
    """What a select waits for."""

    def fileno(self) -> int: ...


def receive_order(control: int) -> tuple[ControlOrder, list[socket.socket]]:
    """Return the next order, and the connections that came with it."""
    with socket.socket(fileno=os.dup(control)) as own:
        data, descriptors, _, _ = socket.recv_fds(own, _ORDER_SIZE_MAX, 1)
    return decode_order(data), [socket.socket(fileno=descriptor) for descriptor in descriptors]


def pass_over_orders(control: int, wait_s: float, *writable: Writable) -> None:
    """Wait, until one of *writable* is, and take an order that comes meanwhile and can change nothing any more.

    Whose orders stay unread is taken for a step daemon that hangs (unresponsive.py).
    """
    poller = select.poll()
    poller.register(control, select.POLLIN)
    for each in writable:
        poller.register(each, select.POLLOUT)
    if any(descriptor == control for descriptor, _ in poller.poll(int(wait_s * 1000))):
        for connection in receive_order(control)[1]:
            connection.close()
