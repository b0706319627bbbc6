"""Which process a pid means, and ending it.

Pids are used again; a pid with its start time, within one boot, is not.  Signals go through a pidfd that was
opened before the start time was compared.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator

import msgspec


class ProcessId(msgspec.Struct, frozen=True):
    """One process, never another one."""

    pid: int
    start_ticks: int
    boot_id: str


def identify(pid: int) -> ProcessId | None:
    """Return which process *pid* is; None: there is none, or it has ended and only waits to be reaped."""
    fields = _stat_fields(pid)
    if not fields or fields[0] == b"Z":
        return None
    return ProcessId(pid, int(fields[19]), boot_id())


def is_alive(process: ProcessId) -> bool:
    return identify(process.pid) == process


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Return whether the process was there to get the signal."""
    with _opened(process) as descriptor:
        if descriptor is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        return True


def end(processes: Iterable[ProcessId], grace_s: float, *numbers: signal.Signals) -> None:
    """Send *numbers* to each, and KILL to those that are there after grace_s; return when all are gone."""
    waiting = [process for process in processes if all(send(process, number) for number in numbers)]
    left = wait_gone(waiting, grace_s)
    for process in left:
        send(process, signal.SIGKILL)
    wait_gone(left, 10.0)


def wait_gone(processes: Iterable[ProcessId], limit_s: float) -> list[ProcessId]:
    """Return those that are still there after limit_s, as soon as that is known."""
    ends_at = time.monotonic() + limit_s
    all_of_them = list(processes)
    for process in all_of_them:
        with _opened(process) as descriptor:
            if descriptor is not None:
                poller = select.poll()
                poller.register(descriptor, select.POLLIN)
                poller.poll(max(0.0, ends_at - time.monotonic()) * 1000)
        _reap(process.pid)
    return [process for process in all_of_them if is_alive(process)]


def environments() -> Iterator[tuple[int, bytes]]:
    """Give each process that we may look at, with the environment that it was started with (NAME=value, zero ended)."""
    for pid in all_pids():
        # Processes end while we look, and some are not ours to read.
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            yield pid, file.read()


def parents() -> dict[int, int]:
    """Return the parent of every process."""
    found = {}
    for pid in all_pids():
        if fields := _stat_fields(pid):
            found[pid] = int(fields[1])
    return found


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def boot_id() -> str:
    """Return what changes at every start of this machine."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _reap(pid: int) -> None:
    """Collect the exit status if the process was our child: in a test's process the daemons are."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@contextlib.contextmanager
def _opened(process: ProcessId) -> Iterator[int | None]:
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        yield None
        return
    try:
        # The descriptor pins the pid; only now does the comparison prove something.
        yield descriptor if is_alive(process) else None
    finally:
        os.close(descriptor)


def _stat_fields(pid: int) -> list[bytes]:
    """Return /proc/PID/stat from the state on; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return []
    # The name stands in brackets and may itself hold anything.
    return text[text.rfind(b")") + 2 :].split()
