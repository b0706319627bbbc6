"""--mem-bind: which NUMA domains, and what the kernel makes of it."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

import pytest

from sluice import mem_bind
from sluice.errors import InvalidRequest
from sluiced.binding.memory import MemoryPolicy, decide_policy, set_policy
from sluiced.binding.topology import machine, place_cpus
from tests.nodeagent.binding.trees import make_topology

TWO = make_topology(2, 4, 1)
DEFAULT, PREFERRED, BIND, LOCAL, PREFERRED_MANY = 0, 1, 2, 4, 5


@pytest.mark.parametrize(
    ("text", "local_id", "expected"),
    [
        ("none", 0, (DEFAULT, 0b01, "NONE")),
        ("local", 0, (LOCAL, 0b01, "LOC")),
        ("rank", 3, (BIND, 0b10, "RANK")),
        ("map_mem:1,0", 0, (BIND, 0b10, "MAP")),
        ("map_mem:1,0", 3, (BIND, 0b01, "MAP")),
        ("mask_mem:0x3", 0, (BIND, 0b11, "MASK")),
        ("prefer,map_mem:1", 0, (PREFERRED, 0b10, "MAP")),
        ("p,mask_mem:3", 0, (PREFERRED_MANY, 0b11, "MASK")),
    ],
)
def test_a_task_on_the_first_socket_has(text: str, local_id: int, expected: tuple[int, int, str]) -> None:
    assert decide_policy(mem_bind.parse(text), TWO, local_id, 0x0F) == expected


def test_nothing_said_is_no_policy() -> None:
    assert decide_policy(mem_bind.parse("verbose"), TWO, 0, 0x0F) is None


@pytest.mark.parametrize("text", ["map_mem:2", "mask_mem:0x5", "mask_mem:0"])
def test_a_domain_that_there_is_not_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(InvalidRequest, match="the node has 0-1"):
        decide_policy(mem_bind.parse(text), TWO, 0, 0x0F)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v,local", "verbose,local"),
        ("prefer,mask_mem:0x1", "quiet,prefer,mask_mem:0x1"),
        ("map_mem:0,1", "quiet,map_mem:0,1"),
    ],
)
def test_the_environment_tells_it(text: str, expected: str) -> None:
    assert mem_bind.format(mem_bind.parse(text)) == expected


def test_the_kernel_takes_the_policy() -> None:
    """In a child: a policy stays with its process."""
    domain = next(iter(place_cpus(machine()).domains()))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        problem = set_policy(MemoryPolicy(BIND, 1 << domain, "MAP"))
        memory = ctypes.create_string_buffer(1 << 20)
        memory[0] = b"x"
        lines = Path("/proc/self/numa_maps").read_text() if os.path.exists("/proc/self/numa_maps") else ""
        bound = re.search(rf"bind(:|=\S*:){domain}\b", lines) is not None
        os.write(writing, f"{problem}|{bound or not lines}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    told = os.read(reading, 4096).decode()
    os.close(reading)
    os.close(writing)
    if "not permitted" in told or "not implemented" in told:
        pytest.skip(f"this kernel has no memory policies for us: {told}")
    assert told == "|True"
