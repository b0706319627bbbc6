"""The words for a node's state: sinfo's short and long ones, scontrol's joined ones, and the number that sorts them.

A NodeView gives the base word and the flags; here flags take the base's place or follow it as a suffix.
Source: CONTRACT section 13.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Map = dict[str, Any]

#: base word: (short, number); the numbers order states as Slurm does.
_BASES = {
    "unknown": ("unk", 0),
    "down": ("down", 1),
    "idle": ("idle", 2),
    "allocated": ("alloc", 3),
    "error": ("err", 4),
    "mixed": ("mix", 5),
    "future": ("futr", 6),
}
_FLAG_NUMBERS = {
    "RESERVED": 1 << 5,
    "DRAIN": 1 << 9,
    "COMPLETING": 1 << 10,
    "NOT_RESPONDING": 1 << 11,
    "FAIL": 1 << 13,
    "MAINTENANCE": 1 << 15,
    "PLANNED": 1 << 21,
}
_BUSY = frozenset(("allocated", "mixed"))
#: scontrol writes flags in this order.
_FLAG_ORDER = ("MAINTENANCE", "COMPLETING", "DRAIN", "FAIL", "RESERVED", "PLANNED", "NOT_RESPONDING")
#: Words that --states accepts, with what they test.
_FLAG_WORDS = {
    "fail": "FAIL",
    "maint": "MAINTENANCE",
    "no_respond": "NOT_RESPONDING",
    "noresp": "NOT_RESPONDING",
    "planned": "PLANNED",
    "plnd": "PLANNED",
    "reserved": "RESERVED",
    "resv": "RESERVED",
    "comp": "COMPLETING",
    "completing": "COMPLETING",
    "drain": "DRAIN",
    "reboot": "REBOOT_ISSUED",
    "reboot^": "REBOOT_ISSUED",
    "reboot_issued": "REBOOT_ISSUED",
    "reboot_requested": "REBOOT_REQUESTED",
}
_BASE_WORDS = {short: word for word, (short, _) in _BASES.items()} | {word: word for word in _BASES}
#: States of machines that are switched on and off, which no node here is in.
_NEVER_WORDS = frozenset(
    (
        *("perfctrs", "cloud", "powering_down", "powered_down", "power_down", "powering_up", "power_up", "powered_on"),
        *("pow_dn", "pow_up", "powring_dn", "powered_dn", "boot"),
        *("inval", "blocked", "block", "external", "?"),
    )
)
VALID_WORDS = (
    "unknown,down,idle,allocated,?,mixed,future,drain,drained,draining,no_respond,reserved,perfctrs,cloud,completing,"
    "powering_down,powered_down,power_down,powering_up,fail,maint,reboot,reboot^,unknown"
)


def words(view: Map) -> tuple[str, str]:
    """Return the short and the long word of sinfo: ("mix", "mixed"), ("drng*", "draining*")."""
    base: str = view["state"]
    flags = view.get("flags", ())
    short, long = _main_words(base, flags)
    if "REBOOT_ISSUED" in flags:
        return "boot^", "reboot^"
    if "REBOOT_REQUESTED" in flags:
        return short + "@", long + "@"
    if "NOT_RESPONDING" in flags:
        return short + "*", long + "*"
    if "PLANNED" in flags and base in _BUSY and "DRAIN" not in flags:
        return short + "-", long + "-"
    return short, long


def _main_words(base: str, flags: Any) -> tuple[str, str]:
    if "MAINTENANCE" in flags and base not in _BUSY:
        return "maint", "maint"
    is_busy = base in _BUSY or "COMPLETING" in flags
    if "DRAIN" in flags and base not in ("down", "future"):
        return ("drng", "draining") if is_busy else ("drain", "drained")
    if "DRAIN" in flags and base == "down":
        return "drain", "drained"
    if "FAIL" in flags:
        return ("failg", "failing") if is_busy else ("fail", "fail")
    if "COMPLETING" in flags:
        return ("alloc+", "allocated+") if base == "allocated" else ("comp", "completing")
    if base == "idle" and "RESERVED" in flags:
        return "resv", "reserved"
    if base == "idle" and "PLANNED" in flags:
        return "plnd", "planned"
    return _BASES.get(base, (base, 0))[0], base


def joined(view: Map) -> str:
    """Return scontrol's form: IDLE+DRAIN, DOWN*+DRAIN, MIXED+PLANNED."""
    base: str = view["state"].upper()
    flags = view.get("flags", ())
    if "NOT_RESPONDING" in flags and base == "DOWN":
        base, flags = "DOWN*", [flag for flag in flags if flag != "NOT_RESPONDING"]
    ordered = [flag for flag in _FLAG_ORDER if flag in flags]
    return "+".join([base, *ordered, *(flag for flag in flags if flag not in _FLAG_ORDER)])


def sort_number(view: Map) -> int:
    return _BASES.get(view["state"], ("", 0))[1] + sum(_FLAG_NUMBERS.get(flag, 0) for flag in view.get("flags", ()))


def share(view: Map) -> str:
    """Return what the node counts as: "allocated", "idle" or "other"."""
    flags = view.get("flags", ())
    if view["state"] in _BUSY or "COMPLETING" in flags:
        return "allocated"
    return "other" if is_out_of_service(view) else "idle"


def is_out_of_service(view: Map) -> bool:
    flags = view.get("flags", ())
    return view["state"] not in ("idle", "allocated", "mixed") or "DRAIN" in flags or "FAIL" in flags


def is_word(word: str) -> bool:
    """Is *word*, in lower case, a state that --states takes?"""
    known = word in _BASE_WORDS or word in _FLAG_WORDS or word in _NEVER_WORDS
    return known or word in ("drained", "draining", "drng", "failing", "failg", "resp", "all")


def matches(view: Map, word: str) -> bool:
    """Tell whether the node is in the state *word* (lower case), be it base state or flag."""
    flags = view.get("flags", ())
    is_busy = view["state"] in _BUSY or "COMPLETING" in flags
    if word in _FLAG_WORDS:
        return _FLAG_WORDS[word] in flags
    if word in ("drained", "draining", "drng"):
        return "DRAIN" in flags and is_busy == (word != "drained")
    if word in ("failing", "failg"):
        return "FAIL" in flags and is_busy
    if word == "resp":
        return "NOT_RESPONDING" not in flags
    return word == "all" or _BASE_WORDS.get(word) == view["state"]
