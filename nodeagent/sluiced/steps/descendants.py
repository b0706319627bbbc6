"""Every process that a step has started, wherever it went: setsid and double forks do not leave the family.

A step daemon is the subreaper of its step, so all that is left of it is below the daemon in the process tree, and
waiting for any child fails with ECHILD exactly when nothing is left.  What a dead step daemon left behind is found by
the notice file's name in its environment.

A pid that was read may belong to someone else by now: signals go through a pidfd, after the relation was read again.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
from collections.abc import Collection

from sluice.model.base import Record
from sluiced import process_id

_PR_SET_CHILD_SUBREAPER = 36
#: Rounds over the tree for one signal: a process may fork between two looks.
_ROUNDS_MAX = 8
#: Of the evidence on unkillable processes: how many of them, how deep, how long.
_EVIDENCE_MAX = 5
_FRAMES_MAX = 8
_COMMAND_MAX = 80


@functools.cache
def load_libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of every orphan below this process."""
    if load_libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def descendants(root: int) -> set[int]:
    """Return the pids of all processes below *root*, zombies left out."""
    children: dict[int, list[int]] = {}
    zombies = set()
    for pid in process_id.all_pids():
        fields = process_id.stat_fields(pid)
        if fields:
            children.setdefault(int(fields[1]), []).append(pid)
            if fields[0] == b"Z":
                zombies.add(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        waiting += below
        found.update(below)
    return found - zombies


def signal_descendants(root: int, *numbers: int, spared: Collection[int] = ()) -> int:
    """Send *numbers* in order to everything below *root* but those spared; return how many got them.

    What a program starts because it was told to end is its own way of ending, such as a cleanup, and not told again;
    only KILL and STOP are for whatever is there.
    """
    is_for_all = numbers[-1] in (signal.SIGKILL, signal.SIGSTOP)
    reached: set[int] = set()
    for _ in range(_ROUNDS_MAX):
        new = descendants(root) - reached - set(spared)
        if not is_for_all:
            new = {pid for pid in new if _parent(pid) not in reached}
        if not new:
            break
        # Parents first, as pids mostly go: a shell whose program is killed before it would go on to the next one.
        for pid in sorted(new):
            _signal_relative(root, pid, numbers)
        reached |= new
    return len(reached)


def _signal_relative(root: int, pid: int, numbers: tuple[int, ...]) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if not _is_below(root, pid):
            return
        for number in numbers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def _parent(pid: int) -> int:
    """Return the pid of the parent, 0 for a process that is gone."""
    fields = process_id.stat_fields(pid)
    return int(fields[1]) if fields else 0


def _is_below(root: int, pid: int) -> bool:
    while pid > 1:
        fields = process_id.stat_fields(pid)
        if not fields:
            return False
        pid = int(fields[1])
        if pid == root:
            return True
    return False


class Unkillable(Record, frozen=True):
    """Processes that KILL did not end: what is known of them, and the (pid, start) of each."""

    text: str
    processes: tuple[tuple[int, int], ...]


def find_unkillable(pids: set[int]) -> Unkillable:
    """Return what is known of processes that KILL did not end."""
    started = ((pid, process_id.start_ticks(pid)) for pid in sorted(pids))
    return Unkillable(describe(pids), tuple((pid, ticks) for pid, ticks in started if ticks is not None))


def describe(pids: set[int]) -> str:
    """Return it as text: pid, state, command, and where in the kernel it waits, as far as that can be read."""
    return "; ".join(_describe(pid) for pid in sorted(pids)[:_EVIDENCE_MAX]) or "no process is left to see"


def _describe(pid: int) -> str:
    fields = process_id.stat_fields(pid)
    state = fields[0].decode() if fields else "gone"
    command = _read_text(f"/proc/{pid}/cmdline").replace("\0", " ").strip() or _read_text(f"/proc/{pid}/comm").strip()
    frames = [line.rpartition("] ")[2].partition("+")[0] for line in _read_text(f"/proc/{pid}/stack").splitlines()]
    stack = f" stack {' < '.join(frames[:_FRAMES_MAX])}" if frames else ""
    place = _read_text(f"/proc/{pid}/wchan").strip("\0 \n0")
    waits = f" waits in {place}" if place else ""
    return f"pid {pid} state {state} command {command[:_COMMAND_MAX]!r}{waits}{stack}"


def _read_text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def strays(marker: str) -> list[int]:
    """Return the processes whose environment at their start held *marker* (NAME=value)."""
    needle = marker.encode() + b"\0"
    found = []
    for pid in process_id.all_pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                text = file.read()
        except OSError:
            continue
        if (b"\0" + text).find(b"\0" + needle) >= 0:
            found.append(pid)
    return found


def kill_strays(marker: str) -> set[int]:
    """Kill what a dead step daemon left behind; return the pids that were seen."""
    seen: set[int] = set()
    for _ in range(_ROUNDS_MAX):
        pids = strays(marker)
        if not pids:
            break
        seen.update(pids)
        for pid in pids:
            _kill_marked(pid, marker)
    return seen


def _kill_marked(pid: int, marker: str) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            is_marked = (marker.encode() + b"\0") in file.read()
        if is_marked:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return
    finally:
        os.close(descriptor)
