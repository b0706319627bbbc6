"""Where srun's streams go: -i, -o and -e.

A value is "" or "all" (through srun), "none", a rank, or a pattern.  A pattern that names one file for the whole
step is opened here, as the user sees it; one with %t, %N or %n names files on the nodes, which step daemons open.
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


def is_plain(value: str) -> bool:
    """Tell whether a value is no pattern."""
    return value.lower() in ("", "all", "none") or value.isdecimal()


def _is_per_node(pattern: str) -> bool:
    letters = [part[:1] for part in pattern.replace("%%", "").split("%")[1:]]
    stripped = [part.lstrip("0123456789")[:1] for part in pattern.replace("%%", "").split("%")[1:]]
    return not pattern.startswith("\\") and bool({"t", "N", "n"} & {*letters, *stripped})


def open_streams(draft: Draft, created: dict[str, Any], folder: str) -> Streams:
    """Return the streams of a step.  Raises OptionError for a file that can't be opened."""
    streams = Streams()
    fields = _fields(created)
    _open_input(streams, draft.spec.get("std_in", ""), fields, folder)
    is_appended = draft.spec.get("open_mode") == "a"
    out, err = draft.spec.get("std_out", ""), draft.spec.get("std_err", "")
    streams.std_out = _open_output(streams, 1, out, "stdout", fields, folder, is_appended)
    if err:
        streams.std_err = _open_output(streams, 2, err, "stderr", fields, folder, is_appended)
    elif not is_plain(out):
        # A file for stdout takes stderr too.
        streams.std_err = streams.std_out
        streams.outputs[2] = streams.outputs[1]
    return streams


def _open_input(streams: Streams, value: str, fields: dict[str, str | int], folder: str) -> None:
    plain = value.lower()
    if plain == "none":
        streams.std_in, streams.input = "none", None
    elif plain.isdecimal():
        streams.std_in = plain
    elif plain in ("", "all"):
        if _is_null(0):
            streams.std_in, streams.input = "none", None
    else:
        if _is_per_node(value):
            streams.std_in, streams.input = value, None
        else:
            streams.input = _open(os.path.join(folder, render(value, fields)), os.O_RDONLY, "stdin")


def _is_null(descriptor: int) -> bool:
    """Tell whether a descriptor is the null device, as a batch script's input is: tasks open their own."""
    try:
        return os.fstat(descriptor).st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return True


def _open_output(
    streams: Streams, stream: int, value: str, name: str, fields: dict[str, str | int], folder: str, is_appended: bool
) -> str:
    """Return what the nodes are told of this stream."""
    if is_plain(value):
        plain = value.lower()
        return os.devnull if plain == "none" else plain
    if _is_per_node(value):
        return value
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if is_appended else os.O_TRUNC)
    streams.outputs[stream] = _open(os.path.join(folder, render(value, fields)), flags, name)
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
