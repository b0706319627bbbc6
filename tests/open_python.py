"""A Python that users without rights may run, with our packages: this one, or Debian's where this one lies in root's
home."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

NOBODY = 65534
_ROOT = Path(__file__).parents[1]
_OURS = (".", "controller", "nodeagent", "plugins", "cli", "migrations")


@functools.cache
def find() -> str:
    """Return its path; "": there is none, or these tests do not run as root."""
    if os.geteuid() != 0:
        return ""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return next((path for path in (sys.executable, f"/usr/bin/{version}") if _is_open(path)), "")


def environment() -> dict[str, str]:
    """Return the variables that let it find our packages."""
    folders = [str(_ROOT / folder) for folder in _OURS]
    return os.environ | {"PYTHONPATH": os.pathsep.join((*folders, sysconfig.get_path("purelib")))}


def _is_open(path: str) -> bool:
    program = [path, "-P", "-c", "import msgspec, sluiced.daemon"]
    try:
        done = subprocess.run(
            program,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            env=environment(),
            check=False,
            capture_output=True,
        )
    except OSError:
        return False
    return done.returncode == 0
