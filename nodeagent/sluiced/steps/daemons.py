"""The step daemons of an agent that can be given another step: whom it knows, who is idle, and the socket to each.

A step daemon that has ended a short step says so (serving.py) instead of exiting, and gets the next one: the fork of a
Python process and the copies of its pages cost twice what the step does.  Those that are not needed are let go of: some
seconds after their last step, or when there are more than IDLE_MAX.  One that dies meanwhile is only forgotten.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

IDLE_MAX = 16
_IDLE_S = 10.0
_WORD_SIZE_MAX = 16

#: Told when its step has ended and its result is there: returns the pidfd that watched the step; None: it is gone.
OnOver = Callable[[], int | None]


class Daemon:
    """One step daemon.  pidfd: of an idle one; whoever watches the step has it otherwise."""

    __slots__ = ("channel", "idle_since", "on_over", "pid", "pidfd")

    def __init__(self, pid: int, channel: socket.socket, on_over: OnOver) -> None:
        self.pid = pid
        self.channel = channel
        self.on_over = on_over
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

    def give(self, packet: bytes, descriptors: list[int], on_over: OnOver) -> tuple[int, int] | None:
        """Hand a step to an idle one; return its pid and its pidfd, which is the caller's; None: nobody is idle."""
        while self._idle:
            daemon = self._idle.pop()
            try:
                socket.send_fds(daemon.channel, [packet], descriptors)
            except OSError:
                self._forget(daemon)
                continue
            daemon.on_over = on_over
            pidfd, daemon.pidfd = daemon.pidfd, -1
            return daemon.pid, pidfd
        return None

    def stop(self) -> None:
        """Let all of them go: the idle ones now, the others after their steps."""
        for daemon in list(self._known):
            self._forget(daemon)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_readable(self, daemon: Daemon) -> None:
        try:
            is_over = bool(daemon.channel.recv(_WORD_SIZE_MAX))
        except BlockingIOError:
            return
        except OSError:
            is_over = False
        pidfd = daemon.on_over() if is_over else None
        if pidfd is None:
            self._forget(daemon)
            return
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
