"""The file on this node: written beside its place under a hidden name, there at once when it is whole, or not at all.

Runs as the job's user.  A problem is kept, not raised: a node without room still passes the data on.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import zlib
from collections.abc import Iterator

from sluice.wire.messages import FileData, FileProblem, TakeFile

_EXISTS = "File exists"
_CHUNK = 1 << 20


class Landing:
    """problem: why this node will not have the file; None as long as all is well."""

    def __init__(self, request: TakeFile) -> None:
        self.problem: FileProblem | None = None
        self._request = request
        self._path = f"{request.path}_{request.node}" if request.names_node else request.path
        self._hidden = ""
        self._fd = -1
        self._digest = hashlib.sha256()

    def open(self) -> None:
        """Make the hidden file, and find out early what would stand against the file itself."""
        with self._keeping_problem():
            folder, name = os.path.split(self._path)
            if self._request.makes_folder:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
            if os.path.isdir(self._path):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not self._request.is_forced and os.path.lexists(self._path):
                raise OSError(errno.EEXIST, _EXISTS)
            hidden = os.path.join(folder, f".{name}.{self._request.node}.{os.getpid()}")
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(hidden, flags, 0o600)
            self._hidden = hidden

    def write(self, part: FileData) -> None:
        if self.problem is not None:
            return
        with self._keeping_problem():
            try:
                data = zlib.decompress(part.data) if part.is_compressed else part.data
            except zlib.error as error:
                raise OSError(errno.EBADMSG, f"the data do not decompress: {error}") from None
            self._digest.update(data)
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]

    def finish(self, digest: str) -> None:
        """Put the file in its place if it is what was sent."""
        if self.problem is None:
            with self._keeping_problem():
                self._place(digest)
        self.abandon()

    def abandon(self) -> None:
        """Leave nothing but a file that is in its place."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._hidden:
            with contextlib.suppress(OSError):
                os.unlink(self._hidden)
            self._hidden = ""

    def _place(self, digest: str) -> None:
        request = self._request
        size = os.fstat(self._fd).st_size
        if (self._digest.hexdigest(), size) != (digest, request.size):
            raise OSError(errno.EBADMSG, f"the file arrived damaged: {size} of {request.size} bytes, another checksum")
        os.fchmod(self._fd, request.mode & 0o7777)
        if request.times is not None:
            os.utime(self._fd, request.times)
        if request.is_forced:
            os.rename(self._hidden, self._path)
            self._hidden = ""
            return
        try:
            os.link(self._hidden, self._path)
        except FileExistsError:
            # Nodes that share the file system put the same file there, and one of them was the first.
            if not _holds(self._path, digest):
                raise

    @contextlib.contextmanager
    def _keeping_problem(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            text = error.strerror or str(error)
            self.problem = FileProblem(node=self._request.node, text=text, number=error.errno or 0)


def _holds(path: str, digest: str) -> bool:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(_CHUNK):
            found.update(part)
    return found.hexdigest() == digest
