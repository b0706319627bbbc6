"""The fork server: imports everything once, stays single-threaded, and forks a step daemon for each request.

    python -m sluiced.steps.forkserver SOCKET LOCK

SOCKET is a SEQPACKET pair with the agent: a request is one packet, msgpack [id, step path, is it wired], with the
control socket and maybe srun's connection as descriptors; the answer is [id, pid] with a pidfd of the step daemon and
the agent's end of its channel (serving.py).
Without a path it is a receiver that is forked, for the file order and the connection that come along.  LOCK is the
spool's lock, which each step daemon holds until it has claimed its step.  The end of SOCKET ends the server.
"""

from __future__ import annotations

import array
import contextlib
import functools
import gc
import logging
import os
import select
import signal
import socket
import sys

import msgspec

from sluiced.files.receiver import run_receiver
from sluiced.steps.children import watch_children
from sluiced.steps.fork import fork
from sluiced.steps.serving import Request, serve
from sluiced.steps.warmup import warm_up
from sluiced.steps.wiring import load_wiring

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
    _set_signals()
    wakeup = watch_children()
    # A collection would touch, and so copy, a child's pages for nothing; one that lives long turns it on again.
    gc.disable()
    warm_up()
    gc.collect()
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
    try:
        data, descriptors = _receive(requests)
    except ConnectionResetError:
        # It was killed with an answer unread.
        return False
    if not data:
        return False
    number, step_path, is_wired = msgspec.msgpack.decode(data, type=tuple[int, str, bool])
    if is_wired:
        _load_wiring()
    agents, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = fork()
    if pid == 0:
        agents.close()
        _become(requests, lock, step_path, descriptors, channel)
    # The child is ours to reap, so its pid cannot mean another process here.
    own = os.pidfd_open(pid)
    for fd in descriptors:
        os.close(fd)
    channel.close()
    try:
        with agents:
            socket.send_fds(requests, [msgspec.msgpack.encode((number, pid))], [own, agents.fileno()])
    except OSError:
        return False
    finally:
        os.close(own)
    return True


@functools.cache
def _load_wiring() -> None:
    """Import, at the first step that needs it, what the later ones then inherit."""
    load_wiring()
    gc.collect()
    gc.freeze()


def _become(requests: socket.socket, lock: int, step_path: str, descriptors: list[int], channel: socket.socket) -> None:
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        os.close(requests.fileno())
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        connection = socket.socket(fileno=descriptors[1]) if len(descriptors) > 1 else None
        if step_path:
            serve(Request(step_path, descriptors[0], lock, connection), channel)
        else:
            os.close(lock)
            assert connection is not None, "a file comes on a connection"
            run_receiver(descriptors[0], connection)
        code = 0
    except BaseException:
        logger.exception("%s failed step=%s", "step daemon" if step_path else "receiver", step_path)
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


def _set_signals() -> None:
    """Let exec give each program the default of every signal: handlers do not survive it, ignored signals do.

    Ignored are what Python ignores, an interrupt at the terminal (which is the agent's to handle), and what this
    process was started with.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) in (signal.SIG_IGN, signal.default_int_handler):
            signal.signal(number, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
