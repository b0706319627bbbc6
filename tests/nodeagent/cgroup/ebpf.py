"""What the kernel's machine does with the few instructions that a device program has: an interpreter."""

from __future__ import annotations

import struct

from sluiced.cgroup import bpf_program
from sluiced.cgroup.bpf_program import Instruction

_U64 = (1 << 64) - 1


def decode(code: bytes) -> list[Instruction]:
    """Return the instructions of an encoded program."""
    found = []
    for operation, registers, offset, number in struct.iter_unpack("=BBhi", code):
        found.append(Instruction(operation, registers & 15, registers >> 4, offset, number))
    return found


def run(program: list[Instruction], context: bytes) -> int:
    """Return what the program answers.  Raises AssertionError where the verifier would refuse what it does."""
    registers: dict[int, int | None] = dict.fromkeys(range(11))
    at = 0
    while True:
        assert at < len(program), "it runs over the end"
        code, target, source, offset, number = program[at]
        at += 1
        match code:
            case bpf_program.LOAD_WORD:
                assert source == 1, "the context is in register 1"
                registers[target] = int.from_bytes(context[offset : offset + 4], "little")
            case bpf_program.MOVE:
                registers[target] = _known(registers, source)
            case bpf_program.MOVE_NUMBER:
                registers[target] = number & _U64
            case bpf_program.AND_NUMBER:
                registers[target] = _known(registers, target) & number & _U64
            case bpf_program.SHIFT_RIGHT:
                registers[target] = _known(registers, target) >> number
            case bpf_program.JUMP_IF_EQUAL:
                at += offset if _known(registers, target) == number & _U64 else 0
            case bpf_program.JUMP_IF_NOT_EQUAL:
                at += offset if _known(registers, target) != number & _U64 else 0
            case bpf_program.EXIT:
                return _known(registers, 0)
            case _:
                raise AssertionError(f"operation {code:#x} is not known")
        assert offset >= 0, "it jumps back"


def _known(registers: dict[int, int | None], number: int) -> int:
    value = registers[number]
    assert value is not None, f"register {number} was never written"
    return value
