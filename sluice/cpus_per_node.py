"""Counts per node in SLURM_JOB_CPUS_PER_NODE's notation: 4(x2),2 is 4, 4, 2.

counts = [ entry { "," entry } ]
entry  = number [ "(x" repeat ")" ]
"""

from __future__ import annotations

import itertools

from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Nodes that one text may stand for.
COUNTS_MAX = 1_000_000
_DIGITS_MAX = 10


def fold(counts: Iterable[int]) -> str:
    """Return the notation of *counts*, equal neighbours folded."""
    entries = []
    for number, group in itertools.groupby(counts):
        repeat = sum(1 for _ in group)
        entries.append(f"{number}(x{repeat})" if repeat > 1 else str(number))
    return ",".join(entries)


def expand(text: str) -> list[int]:
    """Return the counts of *text*, one per node.

    Raises InvalidRequest if *text* is malformed or stands for more than COUNTS_MAX nodes.
    """
    counts: list[int] = []
    for entry in text.split(",") if text else ():
        number, bracket, rest = entry.partition("(x")
        if bracket and not rest.endswith(")"):
            raise _refusal(text, "missing ')'")
        repeat = _number(rest[:-1], text) if bracket else 1
        if len(counts) + repeat > COUNTS_MAX:
            raise _refusal(text, f"more than {COUNTS_MAX} nodes")
        counts.extend([_number(number, text)] * repeat)
    return counts


def _number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise _refusal(text, f"{digits[:20]!r} is not a number")
    return int(digits)


def _refusal(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} is not a list of counts per node: {problem}")
