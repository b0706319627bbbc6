"""Loading a device program and tying it to a cgroup v2 folder, by the bpf(2) system call itself.

The kernel keeps the program as long as the cgroup.  The programs of the folders above answer too, and all must allow.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform

from sluiced.cgroup.bpf_program import assemble, encode
from sluiced.cgroup.devices import DeviceFence

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_PROG_LOAD = 5
_PROG_ATTACH = 8
_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_LICENSE = b"Apache-2.0"
_LOG_SIZE = 1 << 16


class _Load(ctypes.Structure):
    """The first part of union bpf_attr for BPF_PROG_LOAD; what is left out is zero."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("instructions", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log", ctypes.c_uint64),
    )


class _Attach(ctypes.Structure):
    _fields_ = (
        ("target", ctypes.c_uint32),
        ("program", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


def fence_group(folder: str, fence: DeviceFence) -> None:
    """Let the processes below *folder* open only what *fence* allows.  Raises OSError."""
    program = load(encode(assemble(fence)))
    try:
        target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _call(_PROG_ATTACH, _Attach(target, program, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI))
        finally:
            os.close(target)
    finally:
        os.close(program)


def load(code: bytes) -> int:
    """Return a descriptor of the program; raises OSError with the verifier's last words."""
    instructions = ctypes.create_string_buffer(code, len(code))
    license_text = ctypes.create_string_buffer(_LICENSE)
    request = _Load(
        type=_TYPE_CGROUP_DEVICE,
        count=len(code) // 8,
        instructions=ctypes.addressof(instructions),
        license=ctypes.addressof(license_text),
    )
    try:
        return _call(_PROG_LOAD, request)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EINVAL):
            raise
        log = ctypes.create_string_buffer(_LOG_SIZE)
        request.log_level, request.log_size, request.log = 1, _LOG_SIZE, ctypes.addressof(log)
        try:
            return _call(_PROG_LOAD, request)
        except OSError as told:
            words = log.value.decode(errors="replace").strip().splitlines()
            raise OSError(told.errno, f"{told.strerror}: {' | '.join(words[-3:])}") from None


@functools.cache
def why_not() -> str:
    """Return why device programs cannot be loaded here, "" where they can."""
    try:
        os.close(load(encode(assemble(DeviceFence((), False)))))
    except OSError as error:
        return f"bpf: {error.strerror}"
    return ""


def _call(command: int, request: ctypes.Structure) -> int:
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf: the system call's number is not known for {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(number, command, ctypes.byref(request), ctypes.sizeof(request))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
