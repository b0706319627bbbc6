"""The root file system of the virtual machine: this Python, the repository and a few programs, at the same places.

The format is cpio "newc" (Documentation/driver-api/early-userspace/buffer-format.rst), not compressed: unpacking would
take the emulated processor longer than reading.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).parents[2]
#: What scripts of tests call.
PROGRAMS = (
    "sh", "basename", "cat", "dd", "echo", "env", "grep", "head", "id", "ls", "mkdir", "mknod", "nohup", "rm",
    "setsid", "sleep", "touch", "true", "wc",
)  # fmt: skip
#: What the agent and its tests import, with what that imports.
PACKAGES = (
    "msgpack", "msgspec", "psutil", "uvloop", "click", "cffi", "_cffi_backend", "pycparser", "pynvml",
    "pytest", "_pytest", "py", "pytest_timeout", "pluggy", "iniconfig", "packaging", "pygments", "_sluice.pth",
)  # fmt: skip
REPOSITORY = (
    *("sluice", "nodeagent", "plugins", "cli", "controller"),
    *("tests/nodeagent", "tests/vm", "tests/waiting.py", "tests/open_python.py"),
)
_NOT_OF_THE_LIBRARY = re.compile(
    r"/(test|tests|idlelib|ensurepip|lib2to3|tkinter|turtledemo|pydoc_data|site-packages|config-[^/]*)(/|$)"
)
_NEEDED_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")

FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def write_initramfs(path: Path, init: str, more: dict[str, str]) -> None:
    """Write the archive.  init: what runs as the first process.  more: path -> text of further files."""
    with path.open("wb") as file:
        archive = Archive(file)
        for folder in ("/proc", "/sys", "/dev", "/tmp", "/run", "/root", "/var"):
            archive.add_folder(folder)
        archive.add_text("/init", init, 0o755)
        for name, text in (FILES | more).items():
            archive.add_text(name, text)
        libraries = set()
        for source in _sources():
            archive.add(source)
            if source.suffix == ".so" or ".so." in source.name or not source.suffix or os.access(source, os.X_OK):
                libraries.add(source)
        for library in sorted(_needed_libraries(libraries)):
            archive.add(library)
        archive.close()


def _sources() -> Iterator[Path]:
    for name in PROGRAMS:
        found = shutil.which(name, path="/bin:/usr/bin")
        assert found is not None, f"{name} is not installed"
        yield Path(found)
    yield from (Path(sys.executable), Path(sys.prefix, "pyvenv.cfg"))
    library = Path(sysconfig.get_path("stdlib"))
    yield from _walk(library, lambda path: not _NOT_OF_THE_LIBRARY.search(str(path)[len(str(library)) :]))
    for package in PACKAGES:
        yield from _package_files(package)
    for name in REPOSITORY:
        yield from _walk(ROOT / name, lambda path: True)


def _package_files(name: str) -> Iterator[Path]:
    if name.endswith(".pth"):
        yield from (path for path in [Path(sysconfig.get_path("purelib"), name)] if path.exists())
        return
    found = importlib.util.find_spec(name)
    assert found is not None, f"{name} is not installed"
    assert found.origin is not None, f"{name} is a package without a file"
    origin = Path(found.origin)
    yield from _walk(origin.parent, lambda path: True) if origin.name == "__init__.py" else [origin]


def _walk(top: Path, is_wanted: object) -> Iterator[Path]:
    if top.is_file():
        yield top
        return
    assert callable(is_wanted)
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if is_wanted(Path(folder, name))]
        for name in names:
            path = Path(folder, name)
            if path.suffix in (".py", ".so", ".h", ".c", ".csv") or (path.suffix == ".pyc" and "opt-" not in name):
                yield path


def _needed_libraries(binaries: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that *binaries* name, their loader included."""
    names = [str(path) for path in binaries]
    found: set[Path] = set()
    for start in range(0, len(names), 100):
        told = subprocess.run(["ldd", *names[start : start + 100]], capture_output=True, text=True, check=False)
        found.update(Path(name) for name in _NEEDED_LIBRARY.findall(told.stdout))
    return found


class Archive:
    """A cpio archive that holds a file once, folders above it and targets of links included."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen: set[str] = set()
        self._number = 0

    def add(self, path: Path) -> None:
        """Add a file of this machine at its own place, or the link and what it points to."""
        where = str(path)
        if where in self._seen:
            return
        self._add_parents(path)
        if path.is_symlink():
            self._put(where, stat.S_IFLNK | 0o777, os.fsencode(os.readlink(path)))
            self.add(path.parent.resolve() / os.readlink(path))
            return
        status = path.stat()
        self._put(where, status.st_mode, path.read_bytes(), int(status.st_mtime))

    def add_text(self, where: str, text: str, mode: int = 0o644) -> None:
        self._add_parents(Path(where))
        self._put(where, stat.S_IFREG | mode, text.encode())

    def add_folder(self, where: str) -> None:
        if where not in self._seen:
            self._put(where, stat.S_IFDIR | (0o1777 if where == "/tmp" else 0o755), b"")

    def close(self) -> None:
        self._put("TRAILER!!!", 0, b"")

    def _add_parents(self, path: Path) -> None:
        for parent in reversed(path.parents[:-1]):
            if str(parent) in self._seen:
                continue
            if parent.is_symlink():
                # /bin is /usr/bin here, and so it is there.
                self._put(str(parent), stat.S_IFLNK | 0o777, os.fsencode(os.readlink(parent)))
                target = parent.parent / os.readlink(parent)
                self._add_parents(target)
                self.add_folder(str(target))
            else:
                self.add_folder(str(parent))

    def _put(self, where: str, mode: int, content: bytes, changed_at: int = 0) -> None:
        if where in self._seen:
            return
        self._seen.add(where)
        self._number += 1
        name = os.fsencode(where.lstrip("/")) + b"\0"
        numbers = (self._number, mode, 0, 0, 1, changed_at, len(content), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
        self._file.write(head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4))
