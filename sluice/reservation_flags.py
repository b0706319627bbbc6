"""The flags of a reservation: how they are written, and in which order they are shown.

    flags = word { "," word }
    word  = name | "PURGE_COMP" [ "=" duration ]

Names may have any case.  Source: CONTRACT section 8.1; the order and the shown names as Slurm 22.05 prints them.
"""

from __future__ import annotations

from sluice import duration
from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Every flag, as it is shown, in the order in which it is shown.
FLAGS = (
    *("MAINT", "FLEX", "OVERLAP", "IGNORE_JOBS", "HOURLY", "DAILY", "WEEKDAY", "WEEKEND", "WEEKLY", "SPEC_NODES"),
    *("ANY_NODES", "STATIC", "PART_NODES", "FIRST_CORES", "TIME_FLOAT", "REPLACE", "REPLACE_DOWN", "PURGE_COMP"),
    *("NO_HOLD_JOBS_AFTER_END", "MAGNETIC", "USER_DELETE", "FORCE_START"),
)
#: At most one of them: how often it comes again.
REPEATING = ("HOURLY", "DAILY", "WEEKDAY", "WEEKEND", "WEEKLY")
_OTHER_NAMES = {
    "STATIC_ALLOC": "STATIC",
    "NO_HOLD_JOBS_AFTER": "NO_HOLD_JOBS_AFTER_END",
    "LICENSE_ONLY": "ANY_NODES",
}
#: Shown, never asked for.
_OUTPUT_ONLY = ("SPEC_NODES",)
#: Cannot be taken back from a reservation that exists.
FOR_GOOD = ("FIRST_CORES", "NO_HOLD_JOBS_AFTER_END", "OVERLAP", "REPLACE", "REPLACE_DOWN", "TIME_FLOAT")
#: Of PURGE_COMP without a time.
PURGE_AFTER_S = 300
_MINUTE_S = 60


def parse(text: str) -> tuple[tuple[str, ...], int | None]:
    """Return (the flags in their order, PURGE_COMP's seconds or None).  Raises InvalidRequest for an unknown one."""
    found = set()
    purge_after_s = None
    for word in text.split(","):
        name, equals, value = word.strip().partition("=")
        flag = _OTHER_NAMES.get(name.upper(), name.upper())
        if not name and not equals:
            continue
        if flag not in FLAGS or flag in _OUTPUT_ONLY or (equals and flag != "PURGE_COMP"):
            known = ", ".join(each for each in FLAGS if each not in _OUTPUT_ONLY)
            raise InvalidRequest(f"{word[:40]!r} is no flag of a reservation: {known}", "reservation_flags")
        if flag == "PURGE_COMP":
            purge_after_s = _read_purge(value)
        found.add(flag)
    return in_order(found), purge_after_s


def in_order(flags: Iterable[str]) -> tuple[str, ...]:
    """Return the flags as they are shown."""
    wanted = frozenset(flags)
    return tuple(flag for flag in FLAGS if flag in wanted)


def format_flags(flags: Iterable[str], purge_after_s: int | None) -> str:
    """Return the flags as scontrol prints them: MAINT,SPEC_NODES,PURGE_COMP=00:05:00."""
    words = [
        f"PURGE_COMP={duration.format_long(purge_after_s)}" if flag == "PURGE_COMP" and purge_after_s else flag
        for flag in in_order(flags)
    ]
    return ",".join(words)


def _read_purge(value: str) -> int:
    if not value:
        return PURGE_AFTER_S
    seconds = duration.parse(value)
    if seconds is None:
        raise InvalidRequest(f"PURGE_COMP={value[:40]}: a time is needed", "reservation_flags")
    return -(-seconds // _MINUTE_S) * _MINUTE_S
