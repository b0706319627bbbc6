"""The file in which X clients find their cookie: private to the job's user, gone with the forwarding.

With X11Parameters=home_xauthority it is the user's own ~/.Xauthority, in which xauth adds and removes the cookie.

Source: the format of libXau (Xauth(3)): family, address, display number, name, data; each but the first with its
length, all numbers big-endian.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import tempfile

from sluiced.steps.user import User, acting_as

_UMASK = 0o077
#: Any address: clients may call this host by any of its names.
_FAMILY_WILD = 65535
_XAUTH_DEADLINE_S = 20.0
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


def add_at_home(user: User, number: int, cookie: bytes) -> str:
    """Add the cookie to the user's own file; return its path.  Raises OSError."""
    path = os.path.join(user.home, ".Xauthority")
    _run_xauth(user, path, f"add localhost:{number} . {cookie.hex()}\nadd unix:{number} . {cookie.hex()}\n")
    return path


def remove_at_home(path: str, user: User, number: int) -> None:
    with contextlib.suppress(OSError):
        _run_xauth(user, path, f"remove localhost:{number}\nremove unix:{number}\n")


def _run_xauth(user: User, path: str, commands: str) -> None:
    """Commands on the standard input: on the command line everybody would see the cookie."""
    is_other = os.geteuid() == 0 and user.uid != 0
    try:
        done = subprocess.run(
            ["xauth", "-q", "-f", path, "source", "-"],
            input=commands.encode(),
            capture_output=True,
            timeout=_XAUTH_DEADLINE_S,
            user=user.uid if is_other else None,
            group=user.gid if is_other else None,
            extra_groups=user.groups if is_other else None,
            umask=_UMASK,
            cwd="/",
            check=False,
        )
    except FileNotFoundError:
        raise OSError("xauth is not installed on the node, which X11Parameters=home_xauthority needs") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"xauth has not changed {path} within {_XAUTH_DEADLINE_S:g} s") from None
    if done.returncode:
        raise OSError(f"xauth: {path}: {done.stderr.decode(errors='replace').strip()}")


def xauthority_entry(number: int, cookie: bytes) -> bytes:
    """Return the entry of one display on this host."""
    fields = (b"", str(number).encode(), COOKIE_NAME, cookie)
    return struct.pack(">H", _FAMILY_WILD) + b"".join(struct.pack(">H", len(each)) + each for each in fields)
