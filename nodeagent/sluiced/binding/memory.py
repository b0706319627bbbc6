"""Which NUMA domains a task's memory comes from (--mem-bind): the decision, and the system call that sets it.

Source: CONTRACT section 2.2; set_mempolicy(2) and include/uapi/linux/mempolicy.h for the numbers.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import NamedTuple

from sluice import cpuset
from sluice.errors import InvalidRequest
from sluice.mem_bind import MemBind
from sluiced.binding.topology import Topology

#: The number of set_mempolicy(2).
_SYSCALLS = {"x86_64": 238, "aarch64": 237, "riscv64": 237, "ppc64le": 261, "s390x": 270}
_DEFAULT, _PREFERRED, _BIND, _LOCAL, _PREFERRED_MANY = 0, 1, 2, 4, 5
_WORD_BITS = 64
_STYLES = {"none": "NONE", "local": "LOC", "rank": "RANK", "map_mem": "MAP", "mask_mem": "MASK"}


class MemoryPolicy(NamedTuple):
    """mode: of set_mempolicy(2).  domains: a mask; those that the verbose line names.  style: how it calls them."""

    mode: int
    domains: int
    style: str


def decide_policy(bind: MemBind, topology: Topology, local_id: int, cpus: int) -> MemoryPolicy | None:
    """Return a task's policy, None where nothing was said.  Raises InvalidRequest for a domain that there is not.

    cpus: the kernel's, that the task may run on.
    """
    if not bind.kind:
        return None
    known = topology.domains()
    own = sum(1 << domain for domain, mask in known.items() if topology.kernel_mask(mask) & cpus)
    if bind.kind in ("none", "local"):
        mode = _DEFAULT if bind.kind == "none" else _LOCAL
        return MemoryPolicy(mode, own, _STYLES[bind.kind])
    domains = _wanted(bind, list(known), local_id)
    missing = domains & ~sum(1 << domain for domain in known)
    if missing or not domains:
        text = cpuset.format(sum(1 << domain for domain in known))
        asked = cpuset.format(missing) or "none"
        raise InvalidRequest(f"--mem-bind={bind.kind}: NUMA domain {asked} wanted, the node has {text}", "mem_bind")
    mode = _BIND if not bind.is_preferred else _PREFERRED if domains.bit_count() == 1 else _PREFERRED_MANY
    return MemoryPolicy(mode, domains, _STYLES[bind.kind])


def set_policy(policy: MemoryPolicy) -> str:
    """Set the calling process's policy; return what stands against it, "" for nothing."""
    number = _SYSCALLS.get(platform.machine())
    if number is None:
        return f"set_mempolicy's number is not known on {platform.machine()}"
    takes_mask = policy.mode not in (_DEFAULT, _LOCAL)
    words = (ctypes.c_ulong * (policy.domains.bit_length() // _WORD_BITS + 1))()
    for index in range(len(words)):
        words[index] = policy.domains >> (index * _WORD_BITS) & (1 << _WORD_BITS) - 1
    libc = ctypes.CDLL(None, use_errno=True)
    # The kernel takes one bit less than it is told.
    bits = len(words) * _WORD_BITS + 1 if takes_mask else 0
    mask = ctypes.byref(words) if takes_mask else None
    if libc.syscall(number, policy.mode, mask, ctypes.c_ulong(bits)) == 0:
        return ""
    return os.strerror(ctypes.get_errno())


def _wanted(bind: MemBind, domains: list[int], local_id: int) -> int:
    if bind.kind == "rank":
        return 1 << domains[local_id % len(domains)]
    value = bind.values[local_id % len(bind.values)]
    return 1 << value if bind.kind == "map_mem" else value
