"""Between the tasks' pipes and srun: no byte lost, none reordered within a stream, memory bounded.

While srun reads slowly the pipes are left full, which stops the tasks; while a task reads its input slowly srun's
frames are left in the socket.  Once srun is gone the pipes are still emptied, so that the tasks can end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios

from sluice.wire.messages import TaskInput, TaskOutput, TerminalSize
from sluiced.stdio.attached import Attached
from sluiced.stdio.srun_link import SrunLink
from sluiced.stdio.tail import Tail

STDOUT = 1
STDERR = 2
_CHUNK = 64 * 1024
#: Input that waits for the tasks of this node; large, because a signal may stand behind it in srun's stream.
_INPUT_MAX = 16 * 1024 * 1024
_TERMINAL_MAX = 65535
_END_OF_TRANSMISSION = b"\x04"
EVERY_TASK = -1


class _Source:
    """The read end of one task's stream."""

    __slots__ = ("rank", "stream")

    def __init__(self, rank: int, stream: int) -> None:
        self.rank = rank
        self.stream = stream


class _Sink:
    """The write end of one task's stdin."""

    __slots__ = ("data", "fd", "is_ended", "is_terminal", "rank")

    def __init__(self, rank: int, fd: int, is_terminal: bool) -> None:
        self.rank = rank
        self.fd = fd
        self.data = bytearray()
        self.is_ended = False
        self.is_terminal = is_terminal


class Relay:
    """All streams of the step on this node that go through srun."""

    def __init__(self, link: SrunLink | None, tail_max: int) -> None:
        self._link = link
        self._sources: dict[int, _Source] = {}
        self._sinks: dict[int, _Sink] = {}
        #: Who else gets what srun gets.
        self.attached = Attached()
        self.tails = {STDOUT: Tail(tail_max), STDERR: Tail(tail_max)}

    @property
    def is_output_ended(self) -> bool:
        return not self._sources

    @property
    def wants_input(self) -> bool:
        return sum(len(sink.data) for sink in self._sinks.values()) < _INPUT_MAX

    def add_output(self, fd: int, rank: int, stream: int) -> None:
        os.set_blocking(fd, False)
        self._sources[fd] = _Source(rank, stream)

    def add_input(self, fd: int, rank: int) -> None:
        os.set_blocking(fd, False)
        self._sinks[fd] = _Sink(rank, fd, is_terminal=False)

    def add_terminal(self, fd: int, rank: int) -> None:
        """fd: the master of a pseudo terminal, for both directions."""
        self.add_output(fd, rank, STDOUT)
        self._sinks[fd] = _Sink(rank, fd, is_terminal=True)

    def poll_events(self) -> dict[int, int]:
        """Return what to poll each descriptor for now."""
        events: dict[int, int] = {}
        if self._link is None or self._link.is_gone or not self._link.is_full:
            events = dict.fromkeys(self._sources, select.POLLIN)
        for fd, sink in self._sinks.items():
            if sink.data:
                events[fd] = events.get(fd, 0) | select.POLLOUT
            elif not sink.is_terminal:
                # Polled without events: tells when the task closed its end.
                events.setdefault(fd, 0)
        return events

    def on_event(self, fd: int, events: int) -> None:
        if fd in self._sources and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._read(fd)
        sink = self._sinks.get(fd)
        if sink is None:
            return
        if events & select.POLLOUT:
            self._write(sink)
        elif events & (select.POLLERR | select.POLLNVAL) and not sink.is_terminal:
            self._close_sink(sink)

    def on_input(self, message: TaskInput) -> None:
        for sink in list(self._sinks.values()):
            if message.task not in (EVERY_TASK, sink.rank) or sink.is_ended:
                continue
            sink.data += message.data
            if message.is_end:
                sink.is_ended = True
                if sink.is_terminal:
                    sink.data += _END_OF_TRANSMISSION
            self._write(sink)

    def end_input(self) -> None:
        """srun is gone: nothing more will come."""
        self.on_input(TaskInput(is_end=True))

    def abandon_output(self) -> None:
        """Read no more: who holds the other ends cannot be ended."""
        for fd in list(self._sources):
            self._close_source(fd)

    def close(self) -> None:
        """No task is left; what they had not read goes nowhere."""
        for fd in self._sources.keys() | self._sinks.keys():
            os.close(fd)
        self._sources.clear()
        self._sinks.clear()

    def on_terminal_size(self, size: TerminalSize) -> None:
        for sink in self._sinks.values():
            if sink.is_terminal:
                set_terminal_size(sink.fd, size.rows, size.columns)

    def _read(self, fd: int) -> None:
        source = self._sources[fd]
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            # A terminal without a slave answers EIO: that is its end.
            data = b""
        if not data:
            self._close_source(fd)
            return
        self.tails[source.stream].add(data)
        output = TaskOutput(task=source.rank, stream=source.stream, data=data)
        if self._link is not None:
            self._link.notify(output)
        self.attached.notify(output)

    def _write(self, sink: _Sink) -> None:
        try:
            while sink.data:
                del sink.data[: os.write(sink.fd, memoryview(sink.data)[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            sink.data.clear()
            sink.is_ended = True
        if sink.is_ended and not sink.is_terminal:
            self._close_sink(sink)

    def _close_sink(self, sink: _Sink) -> None:
        if self._sinks.pop(sink.fd, None) is not None:
            os.close(sink.fd)

    def _close_source(self, fd: int) -> None:
        del self._sources[fd]
        if self._sinks.pop(fd, None) is None:
            os.close(fd)
        # A terminal that nobody has open is still its task's: closed, it would send a hangup to a program that closes
        # its streams before it exits, as cat does.  It goes with this process.


def set_terminal_size(fd: int, rows: int, columns: int) -> None:
    """What no terminal can have is brought to what one can."""
    rows, columns = (min(max(number, 0), _TERMINAL_MAX) for number in (rows, columns))
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
