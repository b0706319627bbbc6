"""The step daemons of an agent that can be given another step: whom it knows, who is idle, and the socket to each.

A step daemon that has ended a short step says so (serving.py) instead of exiting, and gets the next one: the fork of a
Python process and the copies of its pages cost twice what the step does.  Those that are not needed are let go of: some
seconds after their last step, or when there are more than IDLE_MAX.  One that dies meanwhile is only forgotten, and a
step that it was given and has not claimed is handed back.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from sluiced.steps.serving import MINE, OVER

IDLE_MAX = 16
_IDLE_S = 10.0
_WORD_SIZE_MAX = 16

#: Told when its step has ended and its result is there: returns the pidfd that watched the step; None: it is gone.
OnOver = Callable[[], int | None]
#: Told what became of a step that was given: the pid and the pidfd, which is the callee's, of who has claimed it; None:
#: the one it was given to has died before that.
OnTaken = Callable[[tuple[int, int] | None], None]


class Daemon:
    """One step daemon.  pidfd: of one without a claimed step; whoever watches the step has it otherwise."""

    __slots__ = ("channel", "idle_since", "on_over", "on_taken", "pid", "pidfd")

    def __init__(self, pid: int, channel: socket.socket, on_over: OnOver) -> None:
        self.pid = pid
        self.channel = channel
        self.on_over = on_over
        #: While it has a step that it has not claimed.
        self.on_taken: OnTaken | None = None
        self.pidfd = -1
        self.idle_since = 0.0


class Daemons:
    """All that have an open channel."""

    def __init__(self) -> None:
        self._known: set[Daemon] = set()
        #: The one that was busy last is the last.
        self._idle: list[Daemon] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, pid: int, channel: socket.socket, on_over: OnOver) -> None:
        """Know a new one, busy with its first step."""
        channel.setblocking(False)
        daemon = Daemon(pid, channel, on_over)
        self._known.add(daemon)
        asyncio.get_running_loop().add_reader(channel.fileno(), self._on_readable, daemon)

    def give(self, packet: bytes, descriptors: list[int], on_taken: OnTaken, on_over: OnOver) -> bool:
        """Hand a step to an idle one, which has it when on_taken() is told so; return False where nobody is idle."""
        while self._idle:
            daemon = self._idle.pop()
            try:
                socket.send_fds(daemon.channel, [packet], descriptors)
            except OSError:
                self._forget(daemon)
                continue
            daemon.on_taken, daemon.on_over = on_taken, on_over
            return True
        return False

    def stop(self) -> None:
        """Let all of them go: the idle ones now, the others after their steps."""
        for daemon in list(self._known):
            self._forget(daemon)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_readable(self, daemon: Daemon) -> None:
        try:
            word = daemon.channel.recv(_WORD_SIZE_MAX)
        except BlockingIOError:
            return
        except OSError:
            word = b""
        if word == MINE:
            self._on_claimed(daemon)
            return
        pidfd = daemon.on_over() if word == OVER else None
        if pidfd is None:
            on_taken, daemon.on_taken = daemon.on_taken, None
            self._forget(daemon)
            if on_taken is not None:
                on_taken(None)
            return
        self._rest(daemon, pidfd)

    def _on_claimed(self, daemon: Daemon) -> None:
        on_taken, daemon.on_taken = daemon.on_taken, None
        if on_taken is not None:
            pidfd, daemon.pidfd = daemon.pidfd, -1
            on_taken((daemon.pid, pidfd))

    def _rest(self, daemon: Daemon, pidfd: int) -> None:
        daemon.pidfd = pidfd
        daemon.idle_since = asyncio.get_running_loop().time()
        self._idle.append(daemon)
        if len(self._idle) > IDLE_MAX:
            self._forget(self._idle[0])
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_IDLE_S, self._retire)

    def _retire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        for daemon in [each for each in self._idle if loop.time() - each.idle_since >= _IDLE_S]:
            self._forget(daemon)
        if self._idle:
            self._timer = loop.call_later(_IDLE_S, self._retire)

    def _forget(self, daemon: Daemon) -> None:
        """Its end of the channel sees that nothing more will come."""
        self._known.discard(daemon)
        if daemon in self._idle:
            self._idle.remove(daemon)
        asyncio.get_running_loop().remove_reader(daemon.channel.fileno())
        daemon.channel.close()
        if daemon.pidfd >= 0:
            os.close(daemon.pidfd)
