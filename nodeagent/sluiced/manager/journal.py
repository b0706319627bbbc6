"""The book of a job's steps on disk, in the job's folder of the spool: what a killed agent knew, the next one knows.

    managed    ManagedJob, as it was handed over or last tidied up
    steps      Steps in the order of their changes; the last of each number holds

Not synced, as all of the spool: what a killed process wrote stays in the kernel's cache.
"""

from __future__ import annotations

import os
import struct

import msgspec
from msgspec.structs import replace

from sluice.model.step import Step
from sluice.wire.messages import ManagedJob
from sluiced.manager.book import StepBook
from sluiced.spool import write_file

_LENGTH = struct.Struct("<I")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
#: A journal that has grown so far, and has nothing to tell, begins anew.
_SIZE_MAX = 1 << 20

_encoder = msgspec.msgpack.Encoder()
_decode_step = msgspec.msgpack.Decoder(Step).decode
_decode_managed = msgspec.msgpack.Decoder(ManagedJob).decode


class Journal:
    """folder: the job's, which is there."""

    def __init__(self, folder: str) -> None:
        self._managed = os.path.join(folder, "managed")
        self._steps = os.path.join(folder, "steps")
        self._size = 0

    def begin(self, managed: ManagedJob) -> None:
        """Raises OSError."""
        self._replace(self._managed, _encoder.encode(managed))

    def append(self, step: Step) -> None:
        """Raises OSError."""
        data = _encoder.encode(step)
        descriptor = os.open(self._steps, _FLAGS, 0o600)
        try:
            # In one call: a journal that was cut off misses its end and nothing else.
            os.write(descriptor, _LENGTH.pack(len(data)) + data)
        finally:
            os.close(descriptor)
        self._size += _LENGTH.size + len(data)

    def read(self) -> StepBook | None:
        """Return the book; None: no steps were handed over, or it cannot be read."""
        try:
            with open(self._managed, "rb") as file:
                managed = _decode_managed(file.read())
        except (OSError, msgspec.DecodeError):
            return None
        return StepBook(managed, self._read_steps())

    def tidy_up(self, book: StepBook) -> None:
        """Forget what has ended and is told, once that is worth it.  Raises OSError."""
        if self._size < _SIZE_MAX:
            return
        # The next number first: it must not be given again if this ends between the two.
        job = replace(book.managed.job, next_step_id=book.job.next_step_id)
        self.begin(replace(book.managed, job=job))
        records = [_encoder.encode(step) for step in book.running.values()]
        data = b"".join(_LENGTH.pack(len(record)) + record for record in records)
        self._replace(self._steps, data)
        self._size = len(data)

    def _read_steps(self) -> list[Step]:
        try:
            with open(self._steps, "rb") as file:
                data = file.read()
        except OSError:
            return []
        steps = []
        at = 0
        while at + _LENGTH.size <= len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            try:
                steps.append(_decode_step(data[at : at + length]))
            except msgspec.DecodeError:
                break
            at += length
        self._size = len(data)
        return steps

    def _replace(self, path: str, data: bytes) -> None:
        write_file(path + ".new", data)
        os.rename(path + ".new", path)
