"""fork() for a process that has never had a second thread.

os.fork() makes Python's locks, thread records and loggers new in the child, for the sake of threads that are not there:
measured, 170 of the 210 page faults between fork and exec, and half the time.  Here the C library's fork is called with
the interpreter's lock held; the child goes on as the only thread, exactly as its parent was.

fork_into() has the child born in a cgroup of version 2 (clone3 with CLONE_INTO_CGROUP, Linux 5.7).  Moving there later
waits for a grace period of the kernel: measured, 14 ms on an idle machine, against nothing.

Only for the fork server and what it forks.  A process with threads or an event loop must not call this.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal

_libc = ctypes.PyDLL(None, use_errno=True)

#: The same number on every architecture.
_NR_CLONE3 = 435
_PR_GET_TID_ADDRESS = 40
_CHILD_CLEARTID = 0x0020_0000
_CHILD_SETTID = 0x0100_0000
_INTO_CGROUP = 0x2_0000_0000


class _CloneArguments(ctypes.Structure):
    """struct clone_args of linux/sched.h."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
            "set_tid_size", "cgroup",
        )
    )  # fmt: skip


def fork() -> int:
    """Return 0 in the child, the child's pid in the parent.  Raises OSError."""
    pid: int = _libc.fork()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def fork_into(folder: int | None) -> tuple[int, bool]:
    """Return what fork() does, and whether the child is in the cgroup *folder*, a descriptor, already."""
    if folder is not None and (address := _thread_id_address()):
        pid = _clone_into(folder, address)
        if pid >= 0:
            return pid, True
    return fork(), False


def _clone_into(folder: int, address: int) -> int:
    """address: where the C library keeps the thread's id, which its own fork has the kernel write as well."""
    arguments = _CloneArguments(
        flags=_INTO_CGROUP | _CHILD_SETTID | _CHILD_CLEARTID,
        child_tid=address,
        exit_signal=signal.SIGCHLD,
        cgroup=folder,
    )
    pid: int = _libc.syscall(_NR_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    return pid


@functools.cache
def _thread_id_address() -> int:
    """Return that address, 0 where the kernel does not tell it (CONFIG_CHECKPOINT_RESTORE)."""
    address = ctypes.c_uint64()
    failed = _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0)
    return 0 if failed else address.value
