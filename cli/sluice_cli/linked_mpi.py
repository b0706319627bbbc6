"""Which MPI a program is linked to, and whether --mpi suits it: ranks that find nobody each take themselves for rank 0.

Reads the names of needed libraries from the file (ELF, 64 bits, little-endian); of anything else nothing is said.

Source: System V ABI, "Dynamic Linking"; the sonames of Open MPI, MPICH and those that keep MPICH's ABI.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

#: Beginnings of sonames: whose they are, and the --mpi type that suits.
_LIBRARIES = (
    ("libmpi.so.40", "Open MPI", "pmix"),
    ("libmpich.so.", "MPICH", "pmi2"),
    ("libmpi.so.12", "MPICH or one of its relatives", "pmi2"),
)
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5
_HEADER, _SEGMENT, _ENTRY = 64, 56, 16
_SEGMENTS_MAX, _TABLE_MAX, _NAME_MAX = 64, 1 << 16, 128


def hint(program: str, folder: str, path: str, mpi: str) -> str:
    """Return a sentence when *program*, run in *folder* and found in *path*, needs another --mpi; else nothing."""
    for soname in _needed(_find(program, folder, path)):
        for start, library, suitable in _LIBRARIES:
            if soname.startswith(start) and suitable != mpi.partition("_")[0]:
                return (
                    f"{program} is linked to {library} ({soname}), whose tasks do not find each other with --mpi={mpi};"
                    f" use --mpi={suitable}"
                )
    return ""


def _find(program: str, folder: str, path: str) -> str:
    if "/" in program:
        return os.path.join(folder, program)
    places = (os.path.join(folder, each, program) for each in path.split(":"))
    return next((place for place in places if os.access(place, os.X_OK)), "")


def _needed(file_name: str) -> list[str]:
    """Return the sonames that the file needs; none for what is no such file."""
    try:
        with open(file_name, "rb") as file:
            return _read_needed(file)
    except (OSError, ValueError):
        return []


def _read_needed(file: BinaryIO) -> list[str]:
    header = file.read(_HEADER)
    if header[:6] != b"\x7fELF\x02\x01" or len(header) < _HEADER:
        return []
    segments = _segments(file, _number(header, 32), min(_number(header, 56, 2), _SEGMENTS_MAX))
    table = next(((offset, size) for kind, offset, _, size in segments if kind == _DYNAMIC), None)
    if table is None:
        return []
    entries = _at(file, table[0], min(table[1], _TABLE_MAX))
    pairs = [(_number(entries, at), _number(entries, at + 8)) for at in range(0, len(entries) - 15, _ENTRY)]
    strings = next((value for tag, value in pairs if tag == _STRTAB), 0)
    loaded = [(offset, at) for kind, offset, at, size in segments if kind == _LOAD and at <= strings < at + size]
    if not loaded:
        return []
    start = loaded[0][0] + strings - loaded[0][1]
    names = [_at(file, start + value, _NAME_MAX).partition(b"\0")[0] for tag, value in pairs if tag == _NEEDED]
    return [name.decode("ascii", "replace") for name in names]


def _segments(file: BinaryIO, offset: int, count: int) -> list[tuple[int, int, int, int]]:
    """Return (kind, offset in the file, address, size in the file) of each."""
    data = _at(file, offset, count * _SEGMENT)
    starts = range(0, len(data) - _SEGMENT + 1, _SEGMENT)
    return [
        (_number(data, at, 4), _number(data, at + 8), _number(data, at + 16), _number(data, at + 32)) for at in starts
    ]


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _number(data: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(data[at : at + size], "little")
