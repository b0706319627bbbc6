"""The compiled function, loaded once, and its record.

By ctypes, which the step daemons have loaded anyway: cffi would bring a parser of C into the process that is forked for
every step.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_LIBRARY = Path(__file__).parent / "libspawn.so"


class Limit(ctypes.Structure):
    """struct limit of spawn.c."""

    _fields_ = (("resource", ctypes.c_int32), ("soft", ctypes.c_uint64), ("hard", ctypes.c_uint64))


class Task(ctypes.Structure):
    """struct task of spawn.c, which says what each field means."""

    _fields_ = (
        ("programs", ctypes.POINTER(ctypes.c_char_p)),
        ("argv", ctypes.POINTER(ctypes.c_char_p)),
        ("environment", ctypes.POINTER(ctypes.c_char_p)),
        ("pid_text", ctypes.c_void_p),
        ("folder_text", ctypes.c_void_p),
        ("work_dir", ctypes.c_char_p),
        ("group_files", ctypes.POINTER(ctypes.c_char_p)),
        ("group", ctypes.c_int32),
        ("mounts", ctypes.c_int32),
        ("descriptors", ctypes.POINTER(ctypes.c_int32)),
        ("moved", ctypes.POINTER(ctypes.c_int32)),
        ("descriptor_count", ctypes.c_int32),
        ("cpus_size", ctypes.c_int32),
        ("cpus", ctypes.c_char_p),
        ("limits", ctypes.POINTER(Limit)),
        ("limit_count", ctypes.c_int32),
        ("is_own", ctypes.c_int32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("groups", ctypes.POINTER(ctypes.c_uint32)),
        ("group_count", ctypes.c_int32),
        ("has_nice", ctypes.c_int32),
        ("nice", ctypes.c_int32),
        ("umask", ctypes.c_uint32),
        ("patience_ms", ctypes.c_int32),
        ("stage", ctypes.c_char_p),
        ("error", ctypes.c_int32),
    )


def _load() -> ctypes.PyDLL | None:
    try:
        # Holding the interpreter's lock: there is no other thread to give it to.
        found = ctypes.PyDLL(str(_LIBRARY))
    except OSError:
        return None
    found.sluice_spawn.argtypes = (ctypes.POINTER(Task),)
    found.sluice_spawn.restype = ctypes.c_int32
    return found


#: None: it was not compiled here.
lib = _load()
