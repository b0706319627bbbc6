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

from sluiced.steps.temp_dir import TempDir
from sluiced.steps.user import User, acting_as

_UMASK = 0o077
#: Any address: clients may call this host by any of its names.
_FAMILY_WILD = 65535
_XAUTH_DEADLINE_S = 20.0
COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"


class OwnFile:
    """A file of its own, in a private folder of the step's.  Raises OSError."""

    def __init__(self, parent: str, step: str, user: User, number: int, cookie: bytes) -> None:
        # A folder, because what a dead step daemon leaves of those is taken away.
        self._folder = TempDir(parent, step, user)
        self.path = os.path.join(self._folder.path, "Xauthority")
        with acting_as(user, _UMASK), open(self.path, "xb") as file:
            file.write(xauthority_entry(number, cookie))

    def remove(self) -> None:
        self._folder.remove()


class HomeFile:
    """The user's own file, with the cookie added.  Raises OSError."""

    def __init__(self, user: User, number: int, cookie: bytes) -> None:
        self._user = user
        self._names = (f"localhost:{number}", f"unix:{number}")
        self.path = os.path.join(user.home, ".Xauthority")
        self._run_xauth("".join(f"add {name} . {cookie.hex()}\n" for name in self._names))

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._run_xauth("".join(f"remove {name}\n" for name in self._names))

    def _run_xauth(self, commands: str) -> None:
        """Commands on the standard input: on the command line everybody would see the cookie."""
        user = self._user
        is_other = os.geteuid() == 0 and user.uid != 0
        try:
            done = subprocess.run(
                ["xauth", "-q", "-f", self.path, "source", "-"],
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
            raise OSError(f"xauth has not changed {self.path} within {_XAUTH_DEADLINE_S:g} s") from None
        if done.returncode:
            raise OSError(f"xauth: {self.path}: {done.stderr.decode(errors='replace').strip()}")


def xauthority_entry(number: int, cookie: bytes) -> bytes:
    """Return the entry of one display on this host."""
    fields = (b"", str(number).encode(), COOKIE_NAME, cookie)
    return struct.pack(">H", _FAMILY_WILD) + b"".join(struct.pack(">H", len(each)) + each for each in fields)
