"""What the NVIDIA driver has said of each GPU in the kernel's log: its last Xid, in the driver's own words.

Read whole each time: nothing has to be kept between two looks, and a GPU that the library cannot find any more has left
its reason here.  What was said before the driver was last loaded does not count.

Source: "NVRM: Xid (PCI:0000:07:00): 79, pid=1234, GPU has fallen off the bus." as drivers print it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

KERNEL_LOG = "/dev/kmsg"
_RECORD_MAX = 8192
#: Of the kernel's own buffer; a log that grows faster than it is read must not keep us.
_RECORDS_MAX = 100_000

#: Domain, bus, device: the driver and the library write them with other numbers of digits.
Place = tuple[int, int, int]


class Xid(NamedTuple):
    number: int
    text: str


_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)(?:\.\d)?\): (\d+),? ?(.*)", re.IGNORECASE)
_LOADED = re.compile(r"NVRM: loading NVIDIA")


def read_xids(path: str = KERNEL_LOG) -> dict[Place, Xid]:
    """Return the last Xid of each GPU; nothing where the log cannot be read (another user, a container)."""
    try:
        log = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return {}
    try:
        return find_xids(_records(log))
    finally:
        os.close(log)


def find_xids(records: Iterable[str]) -> dict[Place, Xid]:
    found: dict[Place, Xid] = {}
    for record in records:
        if _LOADED.search(record):
            found.clear()
        elif said := _XID.search(record):
            domain, bus, device, number, text = said.groups()
            found[int(domain, 16), int(bus, 16), int(device, 16)] = Xid(int(number), _bare(text))
    return found


def place_of(bus_id: str) -> Place | None:
    """Return the place that the library writes as 00000000:07:00.0."""
    parts = bus_id.partition(".")[0].split(":")
    try:
        domain, bus, device = (int(part, 16) for part in parts)
    except ValueError:
        return None
    return domain, bus, device


def _bare(text: str) -> str:
    """Leave out whose process it was: that stands before the words."""
    return re.sub(r"^(?:(?:pid|name|channel)=[^,]*,? ?)+", "", text).strip().rstrip(".")


def _records(log: int) -> Iterable[str]:
    for _ in range(_RECORDS_MAX):
        try:
            data = os.read(log, _RECORD_MAX)
        except BlockingIOError:
            return
        except BrokenPipeError:
            # What we were about to read has been overwritten; the next read goes on behind it.
            continue
        if not data:
            return
        yield data.decode(errors="replace")
