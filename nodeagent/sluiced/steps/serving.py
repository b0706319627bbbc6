"""A step daemon from one step to the next: what it runs first, and what the agent gives it after that.

It serves again only when it is as it was before: the step was short and plain and ended well (stepd.py says so), and no
more descriptors are open than a library may keep for itself.  Everything else ends with the process, as does a number
of steps.  An idle one owns nothing; it goes when the agent closes the channel or is gone.

The channel is a SEQPACKET pair with the agent: a request is one packet, msgpack [step path], with the control socket,
the spool's lock and maybe srun's connection as descriptors; the answers are MINE, when the step is claimed, and OVER,
when its result is there.  Who goes without MINE has not begun, and the agent gives the step to another one.
"""

from __future__ import annotations

import gc
import os
import socket
from typing import NamedTuple

import msgspec

from sluiced.steps.stepd import run_step

MINE = b"mine"
OVER = b"over"
_REQUEST_SIZE_MAX = 8192
STEPS_MAX = 200
#: Descriptors that libraries may open and keep, such as those of the name service.
_KEPT_MAX = 8


class Request(NamedTuple):
    """One step to run; all descriptors are the step daemon's own."""

    step_path: str
    control: int
    lock: int
    connection: socket.socket | None


def encode_request(step_path: str) -> bytes:
    return msgspec.msgpack.encode(step_path)


def serve(first: Request, channel: socket.socket) -> None:
    """Run steps until there is a reason to make room for a new process."""
    request: Request | None = first
    allowed = _open_descriptors() + _KEPT_MAX
    steps = 0
    while request is not None and run_step(*request, on_claimed=lambda: _tell(channel, MINE)):
        steps += 1
        os.close(request.control)
        gc.collect()
        # Once that is told, whatever comes next has to be run.
        if steps == STEPS_MAX or _open_descriptors() > allowed or not _tell(channel, OVER):
            return
        request = _wait_request(channel)


def _tell(channel: socket.socket, word: bytes) -> bool:
    try:
        channel.send(word)
    except OSError:
        # The agent is gone: the next one waits for the end of this process.
        return False
    return True


def _wait_request(channel: socket.socket) -> Request | None:
    """Return the next step; None: there is none for this process."""
    data, descriptors, _, _ = socket.recv_fds(channel, _REQUEST_SIZE_MAX, 3, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    step_path = msgspec.msgpack.decode(data, type=str)
    control, lock, *others = descriptors
    return Request(step_path, control, lock, socket.socket(fileno=others[0]) if others else None)


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
