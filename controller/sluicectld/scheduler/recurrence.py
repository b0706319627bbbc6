"""When a reservation is: once, again and again at the same clock time, or always a little later than now.

Days are counted on the calendar of the reservation's zone, so that 02:00 stays 02:00 when daylight saving begins or
ends; a clock time that a day does not have is taken an hour later.  An hour is always 3600 seconds.

Invariant: the windows of one reservation are ascending and never overlap; one that would run into the next is cut.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from sluice.model.reservation import Reservation
from sluice.reservation_flags import REPEATING

_HOUR_S = 3600
_OFFSET = re.compile(r"UTC([+-])(\d\d):(\d\d)")
_WEEKDAYS = {"DAILY": range(7), "WEEKDAY": range(5), "WEEKEND": (5, 6)}
_NEVER = float("inf")


class Window(msgspec.Struct, frozen=True):
    """One time of a reservation: [from_at, until_at)."""

    from_at: float
    until_at: float


def find_period(reservation: Reservation) -> str:
    """Return the flag that tells how often it comes again, "" for once."""
    return next((flag for flag in REPEATING if flag in reservation.flags), "")


def compute_windows(reservation: Reservation, now_at: float, horizon_at: float) -> tuple[Window, ...]:
    """Return the windows that are not over and begin before the horizon, and the first one after it."""
    if reservation.float_s is not None:
        from_at = now_at + reservation.float_s
        return (Window(from_at, from_at + reservation.duration_s),)
    found = []
    for window in iterate_windows(reservation):
        if window.until_at > now_at:
            found.append(window)
        if window.from_at >= horizon_at:
            break
    return tuple(found)


def iterate_windows(reservation: Reservation) -> Iterator[Window]:
    """Yield the present window and those that follow; of a repeating reservation there is no last one."""
    period = find_period(reservation)
    start_at, duration_s = reservation.start_at, reservation.duration_s
    if not period:
        yield Window(start_at, reservation.end_at)
        return
    while True:
        next_at = find_next_start(reservation, start_at)
        yield Window(start_at, min(start_at + duration_s, next_at))
        start_at = next_at


def find_next_start(reservation: Reservation, after_at: float) -> float:
    """Return when a repeating reservation starts next, later than *after_at*; infinity for one that does not repeat."""
    period = find_period(reservation)
    anchor_at = reservation.anchor_at or reservation.start_at
    if not period:
        return _NEVER
    if period == "HOURLY":
        return anchor_at + (int((after_at - anchor_at) // _HOUR_S) + 1) * _HOUR_S
    zone = find_zone(reservation.zone)
    anchor = datetime.fromtimestamp(anchor_at, zone)
    weekdays = _WEEKDAYS.get(period, (anchor.weekday(),))
    day = datetime.fromtimestamp(after_at, zone).date() - timedelta(days=1)
    while True:
        if day.weekday() in weekdays:
            at = datetime.combine(day, anchor.time(), zone).timestamp()
            if at > after_at:
                return at
        day += timedelta(days=1)


def is_valid_anchor(period: str, at: float, zone: str) -> bool:
    """Is this a day on which a reservation with the period can begin?"""
    return datetime.fromtimestamp(at, find_zone(zone)).weekday() in _WEEKDAYS.get(period, range(7))


@lru_cache(maxsize=64)
def find_zone(name: str) -> tzinfo:
    """Return the zone of that name; UTC for one that this machine does not know."""
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return UTC
