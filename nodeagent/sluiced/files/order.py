"""What a receiver of one file is told, in a file without a name that comes with its fork."""

from __future__ import annotations

import os
from typing import BinaryIO

import msgspec

from sluice.model.base import Record
from sluice.wire.messages import TakeFile


class FileOrder(Record, frozen=True, kw_only=True):
    """The request, and whose rights the file is written with."""

    request: TakeFile
    uid: int
    gid: int
    user: str


def write_order(order: FileOrder) -> BinaryIO:
    """Return an open file that holds *order*, whatever its size."""
    file = os.fdopen(os.memfd_create("sluice-file-order", os.MFD_CLOEXEC), "w+b", buffering=0)
    file.write(msgspec.msgpack.encode(order))
    return file


def read_order(descriptor: int) -> FileOrder:
    """Return the order that *descriptor*, which is closed, holds."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        order: FileOrder = msgspec.msgpack.decode(file.read(), type=FileOrder)
    return order
