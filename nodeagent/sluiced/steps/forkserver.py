"""The fork server: imports everything once, stays single-threaded, and forks a step daemon for each request.

    python -m sluiced.steps.forkserver SOCKET LOCK

SOCKET is a SEQPACKET pair with the agent: a request is one packet, msgpack [id, step folder], with the control socket
and maybe srun's connection as descriptors; the answer is [id, pid] with a pidfd of the step daemon.  LOCK is the
spool's lock, which each step daemon holds until it has claimed its step.  The end of SOCKET ends the server.
"""

from __future__ import annotations

import array
import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys

import msgspec

from sluiced.steps.stepd import run_step
from sluiced.steps.warmup import warm_up

logger = logging.getLogger(__name__)

REQUEST_SIZE_MAX = 8192
_DESCRIPTORS_MAX = 4


def main(arguments: list[str]) -> int:
    """Serve until the agent is gone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    requests = socket.socket(fileno=int(arguments[0]))
    lock = int(arguments[1])
    for fd in (requests.fileno(), lock):
        os.set_inheritable(fd, False)
    # An interrupt at the terminal is the agent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wakeup = _watch_children()
    warm_up()
    # Objects made so far are never freed: the collector must not touch, and so copy, their pages in each child.
    gc.freeze()
    _serve(requests, lock, wakeup)
    return 0


def _serve(requests: socket.socket, lock: int, wakeup: int) -> None:
    poller = select.poll()
    poller.register(requests, select.POLLIN)
    poller.register(wakeup, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == wakeup:
                with contextlib.suppress(BlockingIOError):
                    os.read(wakeup, 512)
            elif not _serve_one(requests, lock):
                return
        _reap()


def _serve_one(requests: socket.socket, lock: int) -> bool:
    """Return False when the agent is gone."""
    data, descriptors = _receive(requests)
    if not data:
        return False
    number, folder = msgspec.msgpack.decode(data, type=tuple[int, str])
    pid = os.fork()
    if pid == 0:
        _become_step_daemon(requests, lock, folder, descriptors)
    # The child is ours to reap, so its pid cannot mean another process here.
    own = os.pidfd_open(pid)
    for fd in (*descriptors,):
        os.close(fd)
    try:
        socket.send_fds(requests, [msgspec.msgpack.encode((number, pid))], [own])
    except OSError:
        return False
    finally:
        os.close(own)
    return True


def _become_step_daemon(requests: socket.socket, lock: int, folder: str, descriptors: list[int]) -> None:
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        requests.close()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        control = socket.socket(fileno=descriptors[0])
        connection = socket.socket(fileno=descriptors[1]) if len(descriptors) > 1 else None
        run_step(folder, control, connection, lock)
        code = 0
    except BaseException:
        logger.exception("step daemon failed folder=%s", folder)
    finally:
        os._exit(code)


def _receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    fds = array.array("i")
    data, ancillary, _, _ = requests.recvmsg(
        REQUEST_SIZE_MAX, socket.CMSG_LEN(_DESCRIPTORS_MAX * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch_children() -> int:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reader


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
