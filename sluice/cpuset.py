"""Sets of CPU (or device) numbers: the kernel's list format against bit masks.

    list  := "" | range { "," range }
    range := number [ "-" number ]

A mask is a Python int, bit n for number n; the text is what /sys and cgroup files hold.
"""

from __future__ import annotations

from .errors import InvalidRequest


def parse(text: str) -> int:
    """Return the mask of a kernel list; raises InvalidRequest when *text* is not one."""
    mask = 0
    for low, high in spans(text):
        mask |= ((1 << (high - low + 1)) - 1) << low
    return mask


def spans(text: str) -> list[tuple[int, int]]:
    """Return first and last of each part of a kernel list, in its order; raises InvalidRequest when it is not one."""
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InvalidRequest(f"{text!r} is not a list of numbers: {part!r}")
        low, high = int(first), int(last) if dash else int(first)
        if high < low:
            raise InvalidRequest(f"{text!r} is not a list of numbers: {part!r} runs backwards")
        found.append((low, high))
    return found


def format(mask: int) -> str:
    """Return the kernel list of a mask: `format(parse(x))` is the normal form of x."""
    parts = []
    low = 0
    while mask:
        skip = (mask & -mask).bit_length() - 1
        mask >>= skip
        low += skip
        length = ((mask + 1) & ~mask).bit_length() - 1
        parts.append(str(low) if length == 1 else f"{low}-{low + length - 1}")
        mask >>= length
        low += length
    return ",".join(parts)


def numbers(mask: int) -> list[int]:
    """Return the numbers of a mask, ascending."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


def lowest(mask: int, count: int) -> int:
    """Return the mask of the *count* lowest numbers; all of them when there are fewer."""
    taken = 0
    for _ in range(count):
        if not mask:
            break
        bit = mask & -mask
        taken |= bit
        mask ^= bit
    return taken
