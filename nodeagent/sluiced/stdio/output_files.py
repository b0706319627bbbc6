"""Opening a step's files as its user: each way to fail has its own sentence, and none is silent.

Call these while acting as the user: the folder may be a network file system that root cannot read.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

_FALLOC_FL_KEEP_SIZE = 1
#: Opening a FIFO waits for its reader, as a shell's redirection does; a job must not hang in its launch.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY

_SENTENCES = {
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EROFS: "read-only file system",
    errno.ENOSPC: "no space left on device",
    errno.EDQUOT: "disk quota exceeded",
    errno.EISDIR: "it is a directory",
    errno.ENXIO: "it is a FIFO that nobody reads",
    errno.ESPIPE: "it is a FIFO, and a step does not wait for its writer",
    errno.ENAMETOOLONG: "the name is too long",
}


class FileProblem(Exception):
    """A file of the step cannot be used.  The text names the path and the errno."""

    def __init__(self, what: str, path: str, number: int) -> None:
        self.path = path
        self.number = number
        code = errno.errorcode.get(number, str(number))
        super().__init__(f"{what} {path!r}: {_sentence(path, number)} ({code})")


def open_output(path: str, is_appended: bool) -> int:
    """Return a descriptor that appends to *path*.  Raises FileProblem.

    Also a truncated file is opened for appending, so that two that write to one file never overwrite each other.
    """
    try:
        try:
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK, 0o666)
        except FileExistsError:
            truncation = 0 if is_appended else os.O_TRUNC
            descriptor = os.open(path, _FLAGS | os.O_CREAT | truncation | os.O_NONBLOCK, 0o666)
        else:
            _reserve_block(descriptor)
        os.set_blocking(descriptor, True)
    except OSError as error:
        raise FileProblem("output file", path, error.errno or 0) from None
    return descriptor


def open_input(path: str) -> int:
    """Return a descriptor that reads *path*.  Raises FileProblem; for a FIFO, too, whose writer may never come."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise FileProblem("input file", path, error.errno or 0) from None
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileProblem("input file", path, errno.ESPIPE)
    os.set_blocking(descriptor, True)
    return descriptor


def size_of(descriptor: int) -> int:
    """Return the size of a regular file, 0 for anything else."""
    facts = os.fstat(descriptor)
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def read_tail(path: str, descriptor: int, start: int, size_max: int) -> tuple[bytes, bool]:
    """Return the last bytes of an output file from *start* on, and whether there were more.

    The file is opened again by name, so that a user gets to see nothing that they may write but not read.  Empty when
    it is another file by now, or none that has an end.
    """
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return b"", False
        reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b"", False
    try:
        if not os.path.samestat(facts, os.fstat(reader)):
            return b"", False
        begin = max(min(start, facts.st_size), facts.st_size - size_max)
        return os.pread(reader, size_max, begin), begin > start
    except OSError:
        return b"", False
    finally:
        os.close(reader)


def _reserve_block(descriptor: int) -> None:
    """Find out now whether a new file can hold anything: a full disk lets empty files be made."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(descriptor, _FALLOC_FL_KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(1)) == 0:
        return
    number = ctypes.get_errno()
    if number in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(number, os.strerror(number))


def _sentence(path: str, number: int) -> str:
    folder = os.path.dirname(path) or "."
    if number == errno.ENOENT and not os.path.isdir(folder):
        return f"the directory {folder!r} does not exist"
    if number == errno.ENOTDIR:
        return f"{folder!r} is not a directory"
    return _SENTENCES.get(number, os.strerror(number).lower())
