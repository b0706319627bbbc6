"""Device rules as an eBPF program for cgroup v2: a small assembler.  Pure.

The kernel runs the program for each open or mknod of a device with a pointer to three 32-bit words (struct
bpf_cgroup_dev_ctx): kind in the low and access in the high half of the first, then major, then minor.  The answer is
1 to allow it, 0 to refuse.  The rules are tried in order; the first that matches answers.
Source: Documentation/bpf/standardization/instruction-set.rst and linux/bpf.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from sluiced.cgroup.devices import DeviceFence, DeviceRule

_KINDS = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ALL_ACCESS = 7

#: Operation codes: class, source and operation in one byte.
LOAD_WORD = 0x61
MOVE = 0xBF
MOVE_NUMBER = 0xB7
AND_NUMBER = 0x57
SHIFT_RIGHT = 0x77
JUMP_IF_EQUAL = 0x15
JUMP_IF_NOT_EQUAL = 0x55
EXIT = 0x95

_ANSWER, _CONTEXT, _KIND, _ACCESS_WANTED, _MAJOR, _MINOR, _SCRATCH = range(7)


class Instruction(NamedTuple):
    """Eight bytes: what to do, with which registers, jump distance or offset, and number."""

    code: int
    target: int = 0
    source: int = 0
    offset: int = 0
    number: int = 0


def assemble(fence: DeviceFence) -> list[Instruction]:
    """Return the program that answers as *fence* says."""
    program = [
        Instruction(LOAD_WORD, _KIND, _CONTEXT, 0),
        Instruction(MOVE, _ACCESS_WANTED, _KIND),
        Instruction(SHIFT_RIGHT, _ACCESS_WANTED, number=16),
        Instruction(AND_NUMBER, _KIND, number=0xFFFF),
        Instruction(LOAD_WORD, _MAJOR, _CONTEXT, 4),
        Instruction(LOAD_WORD, _MINOR, _CONTEXT, 8),
    ]
    for rule in fence.rules:
        program += _compile_rule(rule, fence.is_closed)
    return [*program, *_answer(not fence.is_closed)]


def encode(program: Sequence[Instruction]) -> bytes:
    """Return the program as the kernel takes it."""
    return b"".join(
        struct.pack("=BBhi", each.code, each.target | each.source << 4, each.offset, each.number) for each in program
    )


def _compile_rule(rule: DeviceRule, opens: bool) -> list[Instruction]:
    """A rule that opens matches when it covers all that is wanted, one that shuts when it covers any of it."""
    access = sum(_ACCESS[letter] for letter in rule.access)
    tests = [Instruction(JUMP_IF_NOT_EQUAL, _KIND, number=_KINDS[rule.kind])]
    tests.append(Instruction(MOVE, _SCRATCH, _ACCESS_WANTED))
    tests.append(Instruction(AND_NUMBER, _SCRATCH, number=_ALL_ACCESS & ~access if opens else access))
    tests.append(Instruction(JUMP_IF_NOT_EQUAL if opens else JUMP_IF_EQUAL, _SCRATCH, number=0))
    tests.append(Instruction(JUMP_IF_NOT_EQUAL, _MAJOR, number=rule.major))
    if rule.minor is not None:
        tests.append(Instruction(JUMP_IF_NOT_EQUAL, _MINOR, number=rule.minor))
    answer = _answer(opens)
    # A failed test jumps over what is left of the rule.
    length = len(tests) + len(answer)
    jumps = (JUMP_IF_EQUAL, JUMP_IF_NOT_EQUAL)
    aimed = [
        each._replace(offset=length - index - 1) if each.code in jumps else each for index, each in enumerate(tests)
    ]
    return aimed + answer


def _answer(is_allowed: bool) -> list[Instruction]:
    return [Instruction(MOVE_NUMBER, _ANSWER, number=int(is_allowed)), Instruction(EXIT)]
