"""The file operations that all of it is made of."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable

_CHAIN_TRIES_MAX = 50
_EMPTY_TRIES_MAX = 100
_EMPTY_PAUSE_S = 0.005


def read(folder: str, name: str) -> str:
    """Return the text of a control file, stripped.  Raises OSError."""
    with open(os.path.join(folder, name)) as file:
        return file.read().strip()


def read_or_empty(folder: str, name: str) -> str:
    with contextlib.suppress(OSError):
        return read(folder, name)
    return ""


def read_number(folder: str, name: str) -> int | None:
    """Return a control file's number; None: there is no such file, or it holds a word."""
    text = read_or_empty(folder, name)
    return int(text) if text.isdecimal() else None


def read_counts(folder: str, name: str) -> dict[str, int]:
    """Return a file of lines "name number" as a mapping; empty where there is none."""
    lines = [line.split() for line in read_or_empty(folder, name).splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdecimal()}


def write(folder: str, name: str, text: str) -> None:
    """Write a control file.  Raises OSError that names the file and the text."""
    path = os.path.join(folder, name)
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise OSError(error.errno, f"{os.strerror(error.errno or 0)}: writing {text!r}", path) from None


def has(folder: str, name: str) -> bool:
    return os.path.exists(os.path.join(folder, name))


def pids(folder: str) -> list[int]:
    """Return the processes in a group itself, not those in groups below it."""
    return [int(line) for line in read_or_empty(folder, "cgroup.procs").split()]


def pids_below(folder: str) -> list[int]:
    """Return the processes in a group and in all groups below it."""
    return [pid for here, _, _ in os.walk(folder) for pid in pids(here)]


def make_chain(top: str, names: Iterable[str]) -> str:
    """Make a group and those above it, from *top* on; return its folder.  Raises OSError.

    Whoever takes the last group of a chain away takes the empty ones above it along, maybe between two of our steps.
    With the last one made, all above it stay.
    """
    for left in reversed(range(_CHAIN_TRIES_MAX)):
        folder = top
        try:
            for name in names:
                folder = os.path.join(folder, name)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o755)
        except OSError as error:
            if not left or error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
        else:
            break
    return folder


def wait_empty(folders: Iterable[str]) -> None:
    """Return when killed processes have left the groups, or after half a second without that."""
    for _ in range(_EMPTY_TRIES_MAX):
        if not any(pids_below(folder) for folder in folders):
            return
        time.sleep(_EMPTY_PAUSE_S)


def remove_tree(folder: str) -> None:
    """Take a group and all below it away; what still has processes stays."""
    for here, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(here)


def remove_upward(folder: str, levels: int) -> None:
    """Take a group and up to *levels* - 1 above it away, as far as they are empty."""
    for _ in range(levels):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
        folder = os.path.dirname(folder)
