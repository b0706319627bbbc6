"""fork() for a process that has never had a second thread.

os.fork() makes Python's locks, thread records and loggers new in the child, for the sake of threads that are not there:
measured, 170 of the 210 page faults between fork and exit, and half the time.  Here the C library's fork is called with
the interpreter's lock held; the child goes on as the only thread, exactly as its parent was.

Only for the fork server and what it forks.  A process with threads or an event loop must not call this.
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.PyDLL(None, use_errno=True)


def fork() -> int:
    """Return 0 in the child, the child's pid in the parent.  Raises OSError."""
    pid: int = _libc.fork()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid
