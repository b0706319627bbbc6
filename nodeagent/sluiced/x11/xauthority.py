"""The file in which X clients find their cookie: private to the job's user, gone with the forwarding.

Source: the format of libXau (Xauth(3)): family, address, display number, name, data; each but the first with its
length, all numbers big-endian.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile

from sluiced.steps.user import User, acting_as

_UMASK = 0o077
#: Any address: clients may call this host by any of its names.
_FAMILY_WILD = 65535
COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"


def write_xauthority(folder: str, user: User, number: int, cookie: bytes) -> str:
    """Return the path of a new file with the cookie for the display.  Raises OSError."""
    with acting_as(user, _UMASK):
        descriptor, path = tempfile.mkstemp(prefix=".Xauthority-", dir=folder)
        with open(descriptor, "wb") as file:
            file.write(xauthority_entry(number, cookie))
    return path


def remove_xauthority(path: str, user: User) -> None:
    with acting_as(user, _UMASK), contextlib.suppress(OSError):
        os.unlink(path)


def xauthority_entry(number: int, cookie: bytes) -> bytes:
    """Return the entry of one display on this host."""
    fields = (b"", str(number).encode(), COOKIE_NAME, cookie)
    return struct.pack(">H", _FAMILY_WILD) + b"".join(struct.pack(">H", len(each)) + each for each in fields)
