"""The agent's side of the fork server: starts it, asks it for step daemons, starts it again if it dies."""

from __future__ import annotations

import array
import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import BinaryIO, Protocol

import msgspec

from sluiced.steps.daemons import Daemons, OnOver
from sluiced.steps.serving import encode_request

logger = logging.getLogger(__name__)

#: The module that is run as the fork server.
FORK_SERVER = "sluiced.steps.forkserver"
_REPLY_SIZE_MAX = 256
#: Replacements of a fork server in one life of the agent; beyond, the machine itself is broken.
_RESTARTS_MAX = 1000


class Handed(Protocol):
    """Something with a descriptor that goes to the new process, and is closed here then."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


#: Called with the step daemon's pid and pidfd; the callee owns the descriptor.
OnForked = Callable[[int, int], None]


def _nothing_over() -> None:
    """A receiver of a file does not serve again."""


class _Request:
    """A step daemon that was asked for; kept until its pid is known, so that it can be asked for again."""

    __slots__ = ("connection", "control", "is_wired", "on_forked", "on_over", "step_path")

    def __init__(
        self,
        step_path: str,
        control: Handed,
        connection: socket.socket | None,
        on_forked: OnForked,
        on_over: OnOver,
        is_wired: bool,
    ) -> None:
        self.on_over = on_over
        self.is_wired = is_wired
        self.step_path = step_path
        self.control = control
        self.connection = connection
        self.on_forked = on_forked

    def close(self) -> None:
        self.control.close()
        if self.connection is not None:
            self.connection.close()


class Launcher:
    """One fork server, and the step daemons that serve again.

    lock: the spool's, which the server and step daemons share that have not claimed their step.
    """

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: dict[int, _Request] = {}
        #: Given to idle step daemons, which have not claimed them.
        self._given: dict[int, _Request] = {}
        self._daemons = Daemons()
        self._last_number = 0
        self._restarts = 0

    def start(self) -> None:
        """Start the fork server; requests may follow at once."""
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own.setblocking(False)
        command = [sys.executable, "-m", FORK_SERVER, str(theirs.fileno()), str(self._lock)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(), self._lock), env=environment)
        theirs.close()
        self._socket = own
        asyncio.get_running_loop().add_reader(own.fileno(), self._on_readable)

    def stop(self) -> None:
        """End the fork server; the step daemons that have a step live on."""
        self._daemons.stop()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait()
        for waiting in (self._requests, self._given):
            for request in waiting.values():
                request.close()
            waiting.clear()

    def fork(
        self,
        step_path: str,
        control: Handed,
        connection: socket.socket | None,
        on_forked: OnForked,
        on_over: OnOver,
        *,
        is_wired: bool = False,
        is_new: bool = False,
    ) -> None:
        """Have a step daemon for the step of *step_path*, an idle or a new one; takes over the sockets.

        on_over: the step has ended, and its daemon serves again.
        is_wired: it will need what most steps do not (wiring.py).  is_new: no idle one.
        """
        request = _Request(step_path, control, connection, on_forked, on_over, is_wired)
        if not step_path or is_wired or is_new or not self._give(request):
            self._ask(request)

    def _ask(self, request: _Request) -> None:
        """Have the fork server make a new one."""
        self._last_number += 1
        self._requests[self._last_number] = request
        self._send(self._last_number)

    def _give(self, request: _Request) -> bool:
        """Return whether an idle step daemon was there for it; what that one does not claim is a new one's."""
        descriptors = [request.control.fileno(), self._lock]
        if request.connection is not None:
            descriptors.append(request.connection.fileno())
        self._last_number += 1
        number = self._last_number

        def on_taken(daemon: tuple[int, int] | None) -> None:
            if self._given.pop(number, None) is None:
                return
            if daemon is None:
                logger.warning(
                    "step daemon: it died before it began, another one is started step=%s", request.step_path
                )
                self._ask(request)
            else:
                request.close()
                request.on_forked(*daemon)

        if not self._daemons.give(encode_request(request.step_path), descriptors, on_taken, request.on_over):
            return False
        self._given[number] = request
        return True

    def fork_receiver(self, order: BinaryIO, connection: socket.socket) -> None:
        """Have a process forked that takes a file from *connection*; takes both over."""
        self.fork("", order, connection, lambda pid, pidfd: os.close(pidfd), _nothing_over)

    def _send(self, number: int) -> None:
        assert self._socket is not None, "the fork server is started first"
        request = self._requests[number]
        descriptors = [request.control.fileno()]
        if request.connection is not None:
            descriptors.append(request.connection.fileno())
        packet = msgspec.msgpack.encode((number, request.step_path, request.is_wired))
        try:
            socket.send_fds(self._socket, [packet], descriptors)
        except BlockingIOError:
            asyncio.get_running_loop().call_later(0.01, self._send_again, number)
        except OSError:
            # The end of the socket is seen by the reader, which starts a new server and asks again.
            logger.warning("fork server: not reached step=%s", request.step_path)

    def _send_again(self, number: int) -> None:
        if number in self._requests and self._socket is not None:
            self._send(number)

    def _on_readable(self) -> None:
        assert self._socket is not None
        fds = array.array("i")
        try:
            data, ancillary, _, _ = self._socket.recvmsg(
                _REPLY_SIZE_MAX, socket.CMSG_LEN(2 * fds.itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        if not data:
            self._restart()
            return
        for _, _, content in ancillary:
            fds.frombytes(content)
        number, pid = msgspec.msgpack.decode(data, type=tuple[int, int])
        pidfd, channel = fds
        request = self._requests.pop(number, None)
        if request is None:
            os.close(pidfd)
            os.close(channel)
            return
        request.close()
        self._daemons.add(pid, socket.socket(fileno=channel), request.on_over)
        request.on_forked(pid, pidfd)

    def _restart(self) -> None:
        """The server died: what it had not answered is asked for again; the claim keeps it from running twice."""
        assert self._socket is not None
        assert self._process is not None
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        code = self._process.wait()
        self._restarts += 1
        assert self._restarts <= _RESTARTS_MAX, "the fork server does not stay alive"
        logger.error("fork server: ended code=%s, starting another one waiting=%s", code, len(self._requests))
        self.start()
        for number in list(self._requests):
            self._send(number)
