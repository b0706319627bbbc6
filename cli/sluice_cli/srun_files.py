"""Where srun's streams go: -i, -o and -e.

A value is "" or "all" (through srun), "none", a rank of the step, or a pattern; a number that is no rank is a file's
name.  A pattern that names one file for the whole step is opened here, as the user sees it; one with %t, %N or %n names
files on the nodes, which step daemons open.  What a value means is settled here: the nodes are told of a number only
where it is a rank.  In a step over several components that is a rank of the whole step.

Source: recorded from Slurm 22.05, where a number over components may write nothing.
"""

from __future__ import annotations

import errno
import os
import stat

from sluice.filename_pattern import render
from sluice_cli.draft import REFUSED_EXIT, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.draft import Draft

_FILE_MODE = 0o666


class Streams:
    """What the nodes are told about their three streams, and the descriptors that srun itself uses.

    std_in, std_out, std_err: TaskLaunch's fields.  input: what srun reads and sends, None for nothing.
    outputs: by stream number, where srun writes what arrives.
    """

    __slots__ = ("input", "outputs", "std_err", "std_in", "std_out")

    def __init__(self) -> None:
        self.std_in = "all"
        self.std_out = ""
        self.std_err = ""
        self.input: int | None = 0
        self.outputs = {1: 1, 2: 2}


def _word(value: str, ntasks: int) -> str | None:
    """Return a value that is no pattern as the nodes read it: "", all, none or a rank; None for a pattern."""
    word = value.lower()
    if word in ("", "all", "none"):
        return word
    digits = word.lstrip(" ").removeprefix("+")
    # No rank has more digits than the number of tasks, leading zeros apart; nor does int() take any number of them.
    digits = digits.lstrip("0") or digits[-1:]
    is_rank = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(ntasks)) and int(digits) < ntasks
    return digits if is_rank else None


def _is_per_node(pattern: str) -> bool:
    letters = [part[:1] for part in pattern.replace("%%", "").split("%")[1:]]
    stripped = [part.lstrip("0123456789")[:1] for part in pattern.replace("%%", "").split("%")[1:]]
    return not pattern.startswith("\\") and bool({"t", "N", "n"} & {*letters, *stripped})


def open_streams(draft: Draft, created: dict[str, Any], ntasks: int, folder: str) -> Streams:
    """Return the streams of a step of *ntasks* tasks.  Raises OptionError for a file that can't be opened."""
    streams = Streams()
    place = _Place(_fields(created), ntasks, folder, draft.spec.get("open_mode") == "a")
    _open_input(streams, draft.spec.get("std_in", ""), place)
    out, err = draft.spec.get("std_out", ""), draft.spec.get("std_err", "")
    streams.std_out = _open_output(streams, 1, out, "stdout", place)
    if err:
        streams.std_err = _open_output(streams, 2, err, "stderr", place)
    elif _word(out, ntasks) is None:
        # A file for stdout takes stderr too.
        streams.std_err = streams.std_out
        streams.outputs[2] = streams.outputs[1]
    return streams


class _Place:
    """What the values of one step are read with."""

    __slots__ = ("fields", "folder", "is_appended", "ntasks")

    def __init__(self, fields: dict[str, str | int], ntasks: int, folder: str, is_appended: bool) -> None:
        self.fields = fields
        self.ntasks = ntasks
        self.folder = folder
        self.is_appended = is_appended

    def path(self, pattern: str) -> str:
        return os.path.join(self.folder, render(pattern, self.fields))


def _open_input(streams: Streams, value: str, place: _Place) -> None:
    word = _word(value, place.ntasks)
    if word is None:
        if _is_per_node(value):
            streams.std_in, streams.input = value, None
        else:
            streams.input = _open(place.path(value), os.O_RDONLY, "stdin")
    elif word == "none" or (word in ("", "all") and _is_null(0)):
        streams.std_in, streams.input = "none", None
    elif word:
        streams.std_in = word


def _is_null(descriptor: int) -> bool:
    """Tell whether a descriptor is the null device, as a batch script's input is: tasks open their own."""
    try:
        return os.fstat(descriptor).st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return True


def _open_output(streams: Streams, stream: int, value: str, name: str, place: _Place) -> str:
    """Return what the nodes are told of this stream."""
    word = _word(value, place.ntasks)
    if word is not None:
        return os.devnull if word == "none" else word
    if _is_per_node(value):
        return value
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if place.is_appended else os.O_TRUNC)
    streams.outputs[stream] = _open(place.path(value), flags, name)
    return ""


def _open(path: str, flags: int, name: str) -> int:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, _FILE_MODE)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            # Which opens for reading, and then cannot be read.
            os.close(descriptor)
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise OptionError(f"Could not open {name} file {path}: {error.strerror}", exit_code=REFUSED_EXIT) from None
    return descriptor


def _fields(created: dict[str, Any]) -> dict[str, str | int]:
    job, step = created["job"], created["step"]
    fields: dict[str, str | int] = {
        "j": job["id"],
        "s": str(step["step_id"]),
        "J": f"{job['id']}.{step['step_id']}",
        "u": job["spec"]["user"],
        "x": job["spec"]["name"],
        "r": job.get("attempt", 0),
    }
    if job.get("array_job_id"):
        fields["A"] = job["array_job_id"]
        fields["a"] = job.get("array_task_id") or 0
    return fields
