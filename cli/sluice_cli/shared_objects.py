"""The shared objects that a program needs, as the dynamic linker here finds them."""

from __future__ import annotations

import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def of_program(path: str, excluded: Sequence[str]) -> list[str]:
    """Return the paths of *path*'s shared objects that are not below an excluded folder; none of a static program."""
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    found = parse(done.stdout) if done.returncode == 0 else []
    return [each for each in found if not any(_is_below(each, folder) for folder in excluded)]


def parse(text: str) -> list[str]:
    """Return the paths in what ldd prints: `libx.so.1 => /opt/x/libx.so.1 (0x00007f...)`."""
    paths = []
    for line in text.splitlines():
        _, arrow, rest = line.partition(" => ")
        path = rest.rpartition(" (")[0].strip()
        if arrow and path.startswith("/"):
            paths.append(path)
    return paths


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
