"""Sizes: memory in MiB, node counts with their suffixes, and sets of node counts.

    memory     = number [ ("K" | "M" | "G" | "T" | "P") [ "B" ] ]   default MiB, any case, powers of 1024
    count      = number [ "k" | "m" ]                            1k = 1024, 1m = 1048576
    node sizes = sizes { "," sizes }
    sizes      = count [ "-" count [ ":" step ] ]

Memory is kept in whole MiB everywhere, rounded up; "0" is a value of its own (all memory of a node) whose
meaning is the reader's.  Node sizes are a tuple of (min, max, step), in written order.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

SizeRange = tuple[int, int, int]  # min, max, step
NodeSizes = tuple[SizeRange, ...]

_KIB = 1024
_UNITS = "KMGTP"
#: Of MiB or nodes: more than any machine has, and what every peer can read.
_NUMBER_MAX = 2**60
_DIGITS_MAX = 15


def parse_mib(text: str) -> int:
    """Return the memory size *text* in MiB, rounded up.

    Raises InvalidRequest if *text* is negative or no size.
    """
    unit = text[-1:].upper()
    digits = text
    if unit == "B":
        unit, digits = text[-2:-1].upper(), text[:-1]
        if unit not in _UNITS or not unit:
            raise _refusal(text, "a memory size", "no K, M, G, T or P before the B")
    if unit and unit in _UNITS:
        digits = digits[:-1]
    else:
        unit = "M"
    number = _number(digits, text, "a memory size")
    mib = -(-number // _KIB) if unit == "K" else number * mib_per_unit(unit)
    return _bounded(mib, text, "a memory size")


def mib_per_unit(unit: str) -> int:
    """Return how many MiB one M, G, T or P is."""
    return 1 << 10 * (_UNITS.index(unit) - 1)


def format_mib(mib: int) -> str:
    """Return *mib* with the largest unit that divides it: 100M, 4G, 23000M; 0 has no unit."""
    return format_units(mib, "M")


def format_kib(kib: int) -> str:
    """Return *kib* with the largest unit that divides it, as sacct shows resident sizes: 10900K, 4M."""
    return format_units(kib, "K")


def format_units(number: int, unit: str = "") -> str:
    """Return *number* of *unit* ("", K, M, G, T, P) with the largest 1024-based unit that divides it."""
    if not number:
        return "0"
    position = _UNITS.index(unit) if unit else -1
    while number % _KIB == 0 and position + 1 < len(_UNITS):
        number //= _KIB
        position += 1
    return f"{number}{_UNITS[position] if position >= 0 else ''}"


def parse_count(text: str) -> int:
    """Return a node count: 16, 1k = 1024, 1m = 1048576."""
    factor = {"k": _KIB, "m": _KIB * _KIB}.get(text[-1:].lower(), 1)
    return _bounded(_number(text if factor == 1 else text[:-1], text, "a node count") * factor, text, "a node count")


def parse_node_sizes(text: str) -> NodeSizes:
    """Return the node counts that *text* allows as (min, max, step) ranges: 2, 2-4, 2,4,8-16:4.

    Raises InvalidRequest for what is no count and for a maximum below its minimum.
    """
    return tuple(_parse_size_range(part) for part in text.split(","))


def format_node_sizes(sizes: NodeSizes) -> str:
    """Return the notation of *sizes*: 2-4,8-16:4."""
    return ",".join(
        str(low) if low == high else f"{low}-{high}" + (f":{step}" if step > 1 else "") for low, high, step in sizes
    )


def node_bounds(sizes: NodeSizes) -> tuple[int, int]:
    """Return the least and the greatest node count of *sizes*."""
    return min(low for low, _, _ in sizes), max(high - (high - low) % step for low, high, step in sizes)


def has_node_count(sizes: NodeSizes, count: int) -> bool:
    """Tell whether *sizes* allows *count* nodes."""
    return any(low <= count <= high and (count - low) % step == 0 for low, high, step in sizes)


def _parse_size_range(text: str) -> SizeRange:
    span, colon, step_text = text.partition(":")
    low_text, dash, high_text = span.partition("-")
    low = parse_count(low_text)
    high = parse_count(high_text) if dash else low
    step = _number(step_text, text, "a node count") if colon else 1
    if high < low:
        raise InvalidRequest(f"Maximum node count {high} is less than minimum node count {low}", code="node_count")
    if step < 1 or (colon and not dash):
        raise _refusal(text, "a node count", "a step needs a range and is at least 1")
    return low, high, step


def _number(digits: str, text: str, what: str) -> int:
    if not (digits.isascii() and digits.isdigit()):
        raise _refusal(text, what, f"{digits!r} is not a whole number" if digits else "no number")
    if len(digits) > _DIGITS_MAX:
        raise _refusal(text, what, f"more than {_DIGITS_MAX} digits")
    return int(digits)


def _bounded(number: int, text: str, what: str) -> int:
    if number > _NUMBER_MAX:
        raise _refusal(text, what, f"more than {_NUMBER_MAX}")
    return number


def _refusal(text: str, what: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} is not {what}: {problem[:120]}", code="invalid_size")
