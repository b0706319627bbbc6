"""The keys of scontrol create and update reservation: one row a key, each changes a draft.

What the keys come to together (times, nodes, cores) is settled afterwards, by reservations.py.
Source: scontrol's manual, RESERVATIONS; CONTRACT section 8.1.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from sluice import duration, license_spec, reservation_flags, timepoint
from sluice.bounds import COUNT_MAX
from sluice.errors import InvalidRequest, RequestError
from sluice.model.reservation import Reservation

#: What UNLIMITED means for a reservation.
YEAR_S = 365 * 86400
_MINUTE_S = 60
_UNITS = {"k": 1024, "m": 1024 * 1024}


class Draft(msgspec.Struct):
    """A reservation in the making, with what was asked for; None: not asked."""

    reservation: Reservation
    is_new: bool
    now_at: float
    start_at: float | None = None
    end_at: float | None = None
    duration_s: float | None = None
    #: As written: a hostlist, ALL, or empty to have others chosen.
    nodes: str | None = None
    nodes_sign: str = ""
    node_count: int | None = None
    core_counts: tuple[int, ...] | None = None
    is_skipped: bool = False

    def change(self, **fields: Any) -> None:
        self.reservation = replace(self.reservation, **fields)


Change = Callable[[Draft, str, str], None]


def apply_keys(draft: Draft, changes: tuple[tuple[str, str], ...]) -> None:
    """Change the draft; a key may end in + or - as in Users+=ann.  Raises RequestError."""
    for key, value in changes:
        name = key.rstrip("+-").lower()
        row = KEYS.get(name)
        if row is None:
            raise InvalidRequest(f"{key!r} of a reservation cannot be changed", "reservation")
        row(draft, key[len(name) :], value)


def _start(draft: Draft, sign: str, value: str) -> None:
    draft.start_at = timepoint.parse(value, draft.now_at)


def _end(draft: Draft, sign: str, value: str) -> None:
    draft.end_at = timepoint.parse(value, draft.now_at)


def _duration(draft: Draft, sign: str, value: str) -> None:
    seconds = duration.parse(value)
    if seconds is None:
        draft.duration_s = YEAR_S
        return
    whole_s = -(-seconds // _MINUTE_S) * _MINUTE_S
    present_s = draft.reservation.duration_s
    draft.duration_s = {"+": present_s + whole_s, "-": present_s - whole_s}.get(sign, whole_s)


def _nodes(draft: Draft, sign: str, value: str) -> None:
    draft.nodes, draft.nodes_sign = value, sign


def _node_count(draft: Draft, sign: str, value: str) -> None:
    count = sum(map(_read_count, value.split(",")))
    present = len(draft.reservation.nodes)
    draft.node_count = {"+": present + count, "-": present - count}.get(sign, count)
    if draft.node_count < 0:
        raise InvalidRequest(f"NodeCnt-={count}: the reservation has {present} nodes", "node_count")


def _core_count(draft: Draft, sign: str, value: str) -> None:
    draft.core_counts = tuple(map(_read_count, value.split(",")))


def _read_count(text: str) -> int:
    unit = _UNITS.get(text[-1:].lower(), 1)
    digits = text[:-1] if unit > 1 else text
    if not (digits.isascii() and digits.isdigit() and int(digits[:12]) * unit <= COUNT_MAX):
        raise InvalidRequest(f"{text[:40]!r} is no count", "node_count")
    return int(digits) * unit


def _flags(draft: Draft, sign: str, value: str) -> None:
    flags, purge_after_s = reservation_flags.parse(value)
    old = draft.reservation
    if sign == "-":
        for_good = [flag for flag in flags if flag in reservation_flags.FOR_GOOD and flag in old.flags]
        if for_good and not draft.is_new:
            raise RequestError(f"flag {for_good[0]} stays as long as the reservation does", "not_supported")
        draft.change(flags=tuple(flag for flag in old.flags if flag not in flags))
        return
    # Given without a sign they replace the others: but for those that nobody gives.
    kept = [flag for flag in old.flags if sign == "+" or flag == "SPEC_NODES" or flag in reservation_flags.FOR_GOOD]
    is_purged = "PURGE_COMP" in flags or "PURGE_COMP" in kept
    draft.change(
        flags=reservation_flags.in_order({*flags, *kept}),
        purge_after_s=(purge_after_s or old.purge_after_s) if is_purged else None,
    )


def _names(field: str, denied: str) -> Change:
    """Return the change of a list of names that may be denied: Users=ann,bob, Users=-carl, Users+=dora."""

    def change(draft: Draft, sign: str, value: str) -> None:
        old: tuple[str, ...] = getattr(draft.reservation, field)
        was_denied = bool(denied) and bool(getattr(draft.reservation, denied))
        words = [word.strip() for word in value.split(",") if word.strip()]
        are_denied = {word.startswith("-") for word in words}
        if len(are_denied) > 1 or (True in are_denied and not denied):
            raise InvalidRequest(f"{field}: {value[:80]!r} lets in and keeps out at once", "invalid_user")
        names = [word.removeprefix("-") for word in words]
        is_denied = True in are_denied
        if sign == "-" and not (draft.is_new or not old):
            names, is_denied = [each for each in old if each not in names], was_denied
        elif sign == "-":
            is_denied = bool(denied)
        elif sign == "+":
            if old and is_denied != was_denied:
                raise InvalidRequest(
                    f"{field}: {','.join(old)} and {value[:80]!r} contradict each other", "reservation"
                )
            names = [*old, *(each for each in names if each not in old)]
        draft.change(**{field: tuple(dict.fromkeys(names))})
        if denied:
            draft.change(**{denied: is_denied and bool(names)})

    return change


def _text(field: str) -> Change:
    return lambda draft, sign, value: draft.change(**{field: value})


def _licenses(draft: Draft, sign: str, value: str) -> None:
    terms, is_any = license_spec.parse(value)
    if is_any:
        raise InvalidRequest(f"Licenses={value}: a reservation keeps all of its licenses, not any one of several")
    asked = dict(terms)
    old = dict(draft.reservation.licenses)
    if sign == "+":
        asked = old | {name: old.get(name, 0) + count for name, count in asked.items()}
    elif sign == "-":
        asked = {name: count for name, count in old.items() if name not in asked}
    draft.change(licenses=tuple(sorted(asked.items())))


def _tres(draft: Draft, sign: str, value: str) -> None:
    """cpu=4 is CoreCnt, node=2 NodeCnt, license/x=1 Licenses, bb/x=1 BurstBuffer; cpu=2,1 is node by node."""
    counts: list[tuple[str, list[str]]] = []
    for word in value.split(","):
        name, equals, count = word.partition("=")
        if equals:
            counts.append((name, [count]))
        elif counts:
            counts[-1][1].append(word)
        else:
            raise InvalidRequest(f"TRES={value[:80]}: {word[:40]!r} is not name=count", "reservation")
    licenses = []
    for name, numbers in counts:
        kind, _, which = name.partition("/")
        kind = kind.lower()
        if kind == "cpu":
            _core_count(draft, "", ",".join(numbers))
        elif kind == "node":
            _node_count(draft, "", ",".join(numbers))
        elif kind == "license" and which:
            licenses.append(f"{which}:{numbers[0]}")
        elif kind == "bb":
            draft.change(burst_buffer=f"{which}:{numbers[0]}" if which else numbers[0])
        else:
            raise InvalidRequest(
                f"TRES={value[:80]}: cpu, node, license/NAME and bb/NAME can be reserved", "reservation"
            )
    if licenses:
        _licenses(draft, "", ",".join(licenses))


def _max_start_delay(draft: Draft, sign: str, value: str) -> None:
    seconds = duration.parse(value) if value else None
    draft.change(max_start_delay_s=None if seconds is None else -(-seconds // _MINUTE_S) * _MINUTE_S)


def _skip(draft: Draft, sign: str, value: str) -> None:
    draft.is_skipped = True


def _ignore(draft: Draft, sign: str, value: str) -> None:
    """Watts: power is not reserved here."""


_users = _names("users", "is_users_denied")
_accounts = _names("accounts", "is_accounts_denied")
_groups = _names("groups", "")

KEYS: dict[str, Change] = {
    "starttime": _start,
    "endtime": _end,
    "duration": _duration,
    "nodes": _nodes,
    "nodecnt": _node_count,
    "nodecount": _node_count,
    "corecnt": _core_count,
    "corecount": _core_count,
    "partitionname": _text("partition"),
    "partition": _text("partition"),
    "users": _users,
    "user": _users,
    "groups": _groups,
    "group": _groups,
    "accounts": _accounts,
    "account": _accounts,
    "qos": _names("qos", "is_qos_denied"),
    "allowedpartitions": _names("allowed_partitions", ""),
    "licenses": _licenses,
    "license": _licenses,
    "features": _text("features"),
    "feature": _text("features"),
    "flags": _flags,
    "flag": _flags,
    "tres": _tres,
    "maxstartdelay": _max_start_delay,
    "burstbuffer": _text("burst_buffer"),
    "comment": _text("comment"),
    "skip": _skip,
    "watts": _ignore,
}
