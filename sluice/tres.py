"""TRES: counts of everything that is limited, billed or charged, cpu=4,mem=4G,gres/gpu=1.

    tres list = "" | entry { "," entry }
    entry     = name "=" count
    name      = "cpu" | "mem" | "node" | "billing" | ... | ("gres" | "license" | "fs" | ...) "/" name
    count     = number [ "K" | "M" | "G" | "T" | "P" ] | "-1"

TRES are dicts of name to integer.  Memory (mem, vmem) counts MiB and is rounded up; other units are powers
of 1024.  A count of -1 clears a limit and is for the reader to interpret.  A name that is absent counts zero.
"""

from __future__ import annotations

from sluice import size
from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Tres = dict[str, int]

#: The order in which scontrol prints TRES: by their id, gres and others after these.
_ID_ORDER = {
    name: place for place, name in enumerate(("cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages"))
}
_MEMORY_NAMES = ("mem", "vmem")
_UNITS = "KMGTP"
_DIGITS_MAX = 18


def parse(text: str) -> Tres:
    """Return the counts of *text* by name, as written.

    Raises InvalidRequest for an entry without name or number, or a name given twice.
    """
    tres: Tres = {}
    for entry in text.split(",") if text else ():
        name, equals, count = entry.partition("=")
        name = name.strip().lower() if "/" not in name else name.strip()
        if not name or not equals:
            raise _refusal(text, f"{entry[:40]!r} is not name=count")
        if name in tres:
            raise _refusal(text, f"{name!r} is given twice")
        tres[name] = _parse_count(name, count.strip(), text)
    return tres


def format_sorted(tres: Mapping[str, int], is_raw: bool = False) -> str:
    """Return *tres* in alphabetical order, as sacct prints it: billing=4,cpu=4,mem=4G,node=1.

    is_raw: memory as a number of MiB without unit (--noconvert, sshare).
    """
    return _format(sorted(tres), tres, is_raw)


def format_by_id(tres: Mapping[str, int], is_raw: bool = False) -> str:
    """Return *tres* in scontrol's order: cpu=4,mem=4G,node=1,billing=4,gres/gpu=1."""
    return _format(sorted(tres, key=lambda name: (_ID_ORDER.get(name, len(_ID_ORDER)), name)), tres, is_raw)


def add(*several: Mapping[str, int]) -> Tres:
    """Return the sum of all, name by name."""
    result: Tres = {}
    for tres in several:
        for name, count in tres.items():
            result[name] = result.get(name, 0) + count
    return result


def subtract(minuend: Mapping[str, int], subtrahend: Mapping[str, int]) -> Tres:
    """Return the difference, name by name; it may be negative."""
    result = dict(minuend)
    for name, count in subtrahend.items():
        result[name] = result.get(name, 0) - count
    return result


def maximum(*several: Mapping[str, int]) -> Tres:
    """Return the greatest count of each name that occurs in any."""
    result: Tres = {}
    for tres in several:
        for name, count in tres.items():
            result[name] = max(result.get(name, count), count)
    return result


def scale(tres: Mapping[str, int], factor: int) -> Tres:
    """Return *tres* with every count times *factor*."""
    return {name: count * factor for name, count in tres.items()}


def without_zeros(tres: Mapping[str, int]) -> Tres:
    """Return *tres* without the names that count zero."""
    return {name: count for name, count in tres.items() if count}


def exceeded(wanted: Mapping[str, int], limits: Mapping[str, int]) -> list[str]:
    """Return the names of *limits* that *wanted* is above, sorted; a limit below zero is none."""
    return sorted(name for name, limit in limits.items() if 0 <= limit < wanted.get(name, 0))


def _format(names: Iterable[str], tres: Mapping[str, int], is_raw: bool) -> str:
    return ",".join(f"{name}={_format_count(name, tres[name], is_raw)}" for name in names)


def _format_count(name: str, count: int, is_raw: bool) -> str:
    return size.format_mib(count) if name in _MEMORY_NAMES and not is_raw and count > 0 else str(count)


def _parse_count(name: str, count: str, text: str) -> int:
    if count == "-1":
        return -1
    if name in _MEMORY_NAMES:
        return size.parse_mib(count)
    unit = count[-1:].upper()
    digits = count[:-1] if unit and unit in _UNITS else count
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise _refusal(text, f"count {count[:40]!r} of {name[:40]!r} is not a number")
    return int(digits) << (10 * (_UNITS.index(unit) + 1) if digits != count else 0)


def _refusal(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} is not a TRES list: {problem}", code="invalid_tres")
