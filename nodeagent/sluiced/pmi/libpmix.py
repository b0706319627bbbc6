"""libpmix by ctypes: what a PMIx server needs of its structures and functions.

The layouts are those of major versions 4 and 5 on 64-bit Linux, which differ in what nobody here reads.  load() refuses
others; check_layout() has the running library copy a structure of ours and looks whether everything came through.

Source: pmix_common.h and pmix_server.h of PMIx 4.2 and 5.0.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_int, c_size_t, c_uint16, c_uint32, c_void_p
from typing import Any

from sluice.pmix_version import MAJORS

NAMES = ("libpmix.so.2",)

SUCCESS = 0
ERROR = -1
NOT_FOUND = -46
#: "It is done, and no callback will follow."
DONE = -157

RANK_WILDCARD = 0xFFFFFFFE
_BOOL, _STRING, _UINT16, _UINT32, _INFO, _ARRAY, _RANK = 1, 3, 13, 14, 24, 39, 40


class LibraryProblem(Exception):
    """There is no usable library."""


class Proc(ctypes.Structure):
    _fields_ = (("nspace", c_char * 256), ("rank", c_uint32))


class DataArray(ctypes.Structure):
    """Of Infos: nothing else is needed here."""


class _Data(ctypes.Union):
    # The largest members have 24 bytes (envar: two pointers and a character).
    _fields_ = (
        ("flag", c_bool),
        ("string", c_char_p),
        ("uint16", c_uint16),
        ("uint32", c_uint32),
        ("array", POINTER(DataArray)),
        ("space", ctypes.c_uint64 * 3),
    )


class Value(ctypes.Structure):
    _fields_ = (("type", c_uint16), ("data", _Data))


class Info(ctypes.Structure):
    _fields_ = (("key", c_char * 512), ("flags", c_uint32), ("value", Value))


DataArray._fields_ = (("type", c_uint16), ("size", c_size_t), ("array", POINTER(Info)))


ReleaseFn = ctypes.CFUNCTYPE(None, c_void_p)
#: status, data, size, cbdata, release, release's cbdata
ModexFn = ctypes.CFUNCTYPE(None, c_int, c_void_p, c_size_t, c_void_p, ReleaseFn, c_void_p)
#: status, data, size, cbdata
DmodexFn = ctypes.CFUNCTYPE(None, c_int, c_void_p, c_size_t, c_void_p)
#: proc, server object, cbfunc, cbdata
ClientFn = ctypes.CFUNCTYPE(c_int, POINTER(Proc), c_void_p, c_void_p, c_void_p)
#: proc, server object, status, message, procs, count, cbfunc, cbdata
AbortFn = ctypes.CFUNCTYPE(c_int, POINTER(Proc), c_void_p, c_int, c_char_p, POINTER(Proc), c_size_t, c_void_p, c_void_p)
#: procs, count, infos, count, data, size, cbfunc, cbdata
FenceFn = ctypes.CFUNCTYPE(
    c_int, POINTER(Proc), c_size_t, POINTER(Info), c_size_t, c_void_p, c_size_t, c_void_p, c_void_p
)
#: proc, infos, count, cbfunc, cbdata
DirectFn = ctypes.CFUNCTYPE(c_int, POINTER(Proc), POINTER(Info), c_size_t, c_void_p, c_void_p)


class Module(ctypes.Structure):
    """The host's callbacks; those that are NULL are answered "not supported" by the library."""

    _fields_ = (
        ("client_connected", ClientFn),
        ("client_finalized", ClientFn),
        ("abort", AbortFn),
        ("fence_nb", FenceFn),
        ("direct_modex", DirectFn),
        # publish to client_connected2, of which the last may stay empty because the first is there.
        ("others", c_void_p * 23),
    )


def load(wanted: int | None = None) -> ctypes.CDLL:
    """Return the library.  wanted: its major version.  Raises LibraryProblem: it is not there, or another version."""
    problems = []
    for name in NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            problems.append(str(error))
            continue
        _check_version(library, name, wanted)
        _declare(library)
        return library
    raise LibraryProblem(f"{'; '.join(problems)} (Debian: install libpmix2)")


def _check_version(library: ctypes.CDLL, name: str, wanted: int | None) -> None:
    library.PMIx_Get_version.restype = c_char_p
    said = library.PMIx_Get_version().decode(errors="replace")
    found = re.search(r"(\d+)\.\d+", said)
    major = int(found[1]) if found is not None else 0
    if major not in MAJORS or ctypes.sizeof(c_void_p) != 8:
        known = " and ".join(map(str, MAJORS))
        raise LibraryProblem(f"{name} is {said!r}; versions {known} on a 64-bit machine are known here")
    if wanted not in (None, major):
        raise LibraryProblem(f"{name} is {said!r}; version {wanted} was asked for, --mpi=pmix takes what there is")


def _declare(library: ctypes.CDLL) -> None:
    library.PMIx_server_init.argtypes = [POINTER(Module), POINTER(Info), c_size_t]
    library.PMIx_server_register_nspace.argtypes = [c_char_p, c_int, POINTER(Info), c_size_t, c_void_p, c_void_p]
    library.PMIx_server_register_client.argtypes = [POINTER(Proc), c_uint32, c_uint32, c_void_p, c_void_p, c_void_p]
    library.PMIx_server_setup_fork.argtypes = [POINTER(Proc), POINTER(POINTER(c_char_p))]
    library.PMIx_server_dmodex_request.argtypes = [POINTER(Proc), DmodexFn, c_void_p]
    library.PMIx_generate_regex.argtypes = [c_char_p, POINTER(c_void_p)]
    library.PMIx_generate_ppn.argtypes = [c_char_p, POINTER(c_void_p)]
    library.PMIx_Data_copy.argtypes = [POINTER(c_void_p), c_void_p, c_uint16]
    library.PMIx_Error_string.restype = c_char_p


def check_layout(library: ctypes.CDLL) -> None:
    """Raises LibraryProblem when the library, once it is initialised, sees another structure than we wrote."""
    ours = infos([("sluice.check", "here")])
    ours[0].flags = 0
    theirs = c_void_p()
    status = library.PMIx_Data_copy(byref(theirs), byref(ours[0]), _INFO)
    if status != SUCCESS or not theirs.value:
        raise LibraryProblem(f"libpmix does not copy an info: {describe(library, status)}")
    copy = Info.from_address(theirs.value)
    if (copy.key, copy.value.type, copy.value.data.string) != (b"sluice.check", _STRING, b"here"):
        raise LibraryProblem("libpmix lays its structures out in another way than known here")


def describe(library: ctypes.CDLL, status: int) -> str:
    """Return a status in the library's words."""
    said = library.PMIx_Error_string(status)
    return f"{said.decode(errors='replace')} ({status})" if said else str(status)


class Rank(int):
    """A value of PMIx's type for ranks."""


class Local(int):
    """A value of 16 bits: a rank among those of a node."""


#: Text, a flag, a rank, a number of 16 or 32 bits, bytes as a generator of the library made them, or an array of infos.
InfoValue = str | bytes | bool | Rank | Local | int | ctypes.Array[Info]


def infos(pairs: Sequence[tuple[str, InfoValue]]) -> Any:
    """Return an array of Info; it keeps its strings and arrays alive."""
    array = (Info * len(pairs))()
    for info, (key, value) in zip(array, pairs, strict=True):
        info.key = key.encode()
        _set(info.value, value)
    return array


def _set(target: Value, value: InfoValue) -> None:
    match value:
        case str() | bytes():
            target.type = _STRING
            target.data.string = value.encode() if isinstance(value, str) else value
        case bool():
            target.type = _BOOL
            target.data.flag = value
        case Local():
            target.type = _UINT16
            target.data.uint16 = int(value)
        case int():
            target.type = _RANK if isinstance(value, Rank) else _UINT32
            target.data.uint32 = int(value)
        case ctypes.Array():
            target.type = _ARRAY
            target.data.array = ctypes.pointer(DataArray(_INFO, len(value), ctypes.cast(value, POINTER(Info))))


def proc(nspace: str, rank: int) -> Proc:
    return Proc(nspace=nspace.encode(), rank=rank)
