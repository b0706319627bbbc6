"""Requests for licenses, as --licenses spells them.

    licenses = "" | entry { "," entry } | entry { "|" entry }
    entry    = name [ ( ":" | "=" ) count ]

With commas the job gets all of them, with bars any one; a count that is left out is 1.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

#: (name, count) of each license, in the order asked.
Terms = tuple[tuple[str, int], ...]

_DIGITS_MAX = 10


def parse(text: str) -> tuple[Terms, bool]:
    """Return the licenses asked for, and whether any one of them is enough.

    Raises InvalidRequest for a count that is no number, and for commas and bars together.
    """
    text = text.replace(";", ",")
    is_any = "|" in text
    if is_any and "," in text:
        raise _refusal(text, "all of some and any one of others can not be asked together")
    counts: dict[str, int] = {}
    for entry in text.split("|" if is_any else ","):
        name, _, count = entry.strip().replace("=", ":").partition(":")
        if not name:
            continue
        if count and not (count.isascii() and count.isdigit() and len(count) <= _DIGITS_MAX):
            raise _refusal(text, f"count {count[:40]!r} of {name[:40]!r} is not a number")
        number = int(count) if count else 1
        counts[name] = max(counts.get(name, 0), number) if is_any else counts.get(name, 0) + number
    return tuple(counts.items()), is_any


def names(text: str) -> list[str]:
    """Return the names in *text*, whatever else is in it."""
    entries = text.replace("|", ",").replace(";", ",").replace("=", ":").split(",")
    return [name for entry in entries if (name := entry.partition(":")[0].strip())]


def _refusal(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} asks for no licenses: {problem}", code="invalid_licenses")
