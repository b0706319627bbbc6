"""The step daemon's end of its control socket: an order a packet, with a connection where the order brings one."""

from __future__ import annotations

import os
import socket

from sluiced.steps.launch import ControlOrder, decode_order

_ORDER_SIZE_MAX = 4096


def receive_order(control: int) -> tuple[ControlOrder, list[socket.socket]]:
    """Return the next order, and the connections that came with it."""
    with socket.socket(fileno=os.dup(control)) as own:
        data, descriptors, _, _ = socket.recv_fds(own, _ORDER_SIZE_MAX, 1)
    return decode_order(data), [socket.socket(fileno=descriptor) for descriptor in descriptors]
