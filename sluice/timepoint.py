"""Points in time: how users write them and how commands print them, in the local time zone.

    point = "now" [ ("+" | "-") count [ "seconds" | "minutes" | "hours" | "days" | "weeks" ] ]
          | "uts" seconds                                     since the epoch
          | date | clock | date [ "T" | "-" ] clock | clock date
    date  = YYYY-MM-DD | MM/DD[/YY] | MM.DD[.YY] | MMDD[YY] | "today" | "tomorrow"
    clock = HH:MM[:SS] [ "AM" | "PM" ] | "midnight" | "noon" | "elevenses" | "fika" | "teatime"

Blanks may separate the parts; letters may have any case; unit names may be singular.  A clock alone that
is past means tomorrow, a date without year that is past means next year; a date alone means its midnight.
With is_past (accounting queries) both look back instead of ahead.

The zone is the process's own, by time.localtime and time.mktime, so a day may have 23 or 25 hours.
Points are seconds since the epoch.
"""

from __future__ import annotations

import time

from sluice.errors import InvalidRequest

STANDARD_FORMAT = "%Y-%m-%dT%H:%M:%S"
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_CLOCK_WORDS = {"midnight": 0, "noon": 12, "elevenses": 11, "fika": 15, "teatime": 16}
_DAY_WORDS = {"today": 0, "tomorrow": 1}
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DIGITS_MAX = 10
_DAY_S = 86400


def parse(text: str, now_at: float, is_past: bool = False) -> float:
    """Return the point in time that *text* names at *now_at*, in seconds since the epoch.

    Raises InvalidRequest "Invalid time specification (pos=N): TEXT", N counting characters.
    """
    reader = _Reader(text)
    word = reader.peek_word()
    if word == "now":
        return _read_relative(reader, now_at)
    if word == "uts":
        reader.skip(word)
        return float(reader.read_number(1, _DIGITS_MAX + 2))
    date: tuple[int | None, int, int] | None = None
    clock: tuple[int, int, int] | None = None
    while date is None or clock is None:
        start = reader.skip_blanks()
        if clock is None and (found := _read_clock(reader)):
            clock = found
        elif date is None and (day := _read_date(reader, now_at)):
            date = day
            reader.skip_separator()
        elif reader.is_at_end() and (date or clock):
            break
        else:
            raise reader.refusal(start)
    reader.expect_end()
    return _resolve(date, clock or (0, 0, 0), now_at, is_past)


def format_local(at: float | None, time_format: str = "", now_at: float = 0.0, unset: str = "Unknown") -> str:
    """Return *at* in local time as SLURM_TIME_FORMAT = *time_format* says; *unset* if there is none.

    time_format: "" or "standard" for YYYY-MM-DDTHH:MM:SS, "relative" to *now_at*, or any strftime format.
    """
    if at is None:
        return unset
    if time_format == "relative":
        return _format_relative(at, now_at)
    if time_format in ("", "standard"):
        time_format = STANDARD_FORMAT
    return time.strftime(time_format, time.localtime(at))


class _Reader:
    """A position in the text; read_* moves it, peek_* does not."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lower = text.lower()
        self.position = 0

    def refusal(self, position: int | None = None) -> InvalidRequest:
        where = self.position if position is None else position
        return InvalidRequest(f"Invalid time specification (pos={where}): {self.text[:80]}", code="invalid_time")

    def is_at_end(self) -> bool:
        return self.position >= len(self.lower)

    def expect_end(self) -> None:
        self.skip_blanks()
        if not self.is_at_end():
            raise self.refusal()

    def peek(self) -> str:
        return self.lower[self.position : self.position + 1]

    def peek_word(self) -> str:
        end = self.position
        while end < len(self.lower) and self.lower[end].isalpha():
            end += 1
        return self.lower[self.position : end]

    def peek_digits(self) -> str:
        end = self.position
        while end < len(self.lower) and self.lower[end] in "0123456789":
            end += 1
        return self.lower[self.position : end]

    def skip(self, text: str) -> None:
        self.position += len(text)

    def skip_blanks(self) -> int:
        while self.peek() in (" ", "\t"):
            self.position += 1
        return self.position

    def skip_separator(self) -> None:
        """Move over the "T" or "-" between a date and its clock."""
        word = self.peek_word()
        is_t = word == "t" or (word.startswith("t") and word[1:] in _CLOCK_WORDS)
        if is_t or self.peek() == "-":
            self.position += 1

    def read_number(self, digits_min: int = 2, digits_max: int = 2) -> int:
        digits = self.peek_digits()
        if not digits_min <= len(digits) <= digits_max:
            raise self.refusal()
        self.skip(digits)
        return int(digits)

    def read_if(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.position += 1
        return True


def _read_relative(reader: _Reader, now_at: float) -> float:
    reader.skip("now")
    reader.skip_blanks()
    if reader.is_at_end():
        return now_at
    sign = -1 if reader.peek() == "-" else 1
    if not (reader.read_if("+") or reader.read_if("-")):
        raise reader.refusal()
    reader.skip_blanks()
    start = reader.position
    number = reader.read_number(1, _DIGITS_MAX)
    reader.skip_blanks()
    word = reader.peek_word()
    unit_s = _UNITS_S.get(word.removesuffix("s"), 0) if word else 1
    if not unit_s:
        raise reader.refusal(start)
    reader.skip(word)
    reader.expect_end()
    return now_at + sign * number * unit_s


def _read_clock(reader: _Reader) -> tuple[int, int, int] | None:
    """Return (hour, minute, second) and move, or None without moving if no clock begins here."""
    word = reader.peek_word()
    if word in _CLOCK_WORDS:
        reader.skip(word)
        return _CLOCK_WORDS[word], 0, 0
    start = reader.position
    digits = reader.peek_digits()
    if not digits or reader.lower[start + len(digits) : start + len(digits) + 1] != ":":
        return None
    hour = reader.read_number(1, 2)
    reader.read_if(":")
    minute = _read_sixtieth(reader)
    second = _read_sixtieth(reader) if reader.read_if(":") else 0
    hour_end = reader.position
    reader.skip_blanks()
    half = reader.peek_word()
    if half in ("am", "pm"):
        if not 1 <= hour <= 12:
            raise reader.refusal()
        reader.skip(half)
        hour = hour % 12 + (12 if half == "pm" else 0)
    else:
        reader.position = hour_end
    if hour > 23:
        raise reader.refusal(start)
    return hour, minute, second


def _read_sixtieth(reader: _Reader) -> int:
    start = reader.position
    number = reader.read_number()
    if number > 59:
        raise reader.refusal(start)
    return number


def _read_date(reader: _Reader, now_at: float) -> tuple[int | None, int, int] | None:
    """Return (year or None, month, day) and move, or None without moving if no date begins here."""
    word = reader.peek_word()
    if word in _DAY_WORDS:
        reader.skip(word)
        today = time.localtime(now_at)
        noon_at = _mktime((today.tm_year, today.tm_mon, today.tm_mday + _DAY_WORDS[word]), (12, 0, 0))
        return time.localtime(noon_at)[:3]
    start = reader.position
    digits = reader.peek_digits()
    after = reader.lower[start + len(digits) : start + len(digits) + 1]
    if not digits:
        return None
    year: int | None = None
    if len(digits) == 4 and after == "-":
        year = reader.read_number(4, 4)
        reader.read_if("-")
        month = reader.read_number()
        if not reader.read_if("-"):
            raise reader.refusal()
        day = reader.read_number()
    elif after in ("/", "."):
        month = reader.read_number(1, 2)
        reader.read_if(after)
        day = reader.read_number(1, 2)
        year = 2000 + reader.read_number() if reader.read_if(after) else None
    elif len(digits) in (4, 6):
        reader.skip(digits)
        month, day = int(digits[:2]), int(digits[2:4])
        year = 2000 + int(digits[4:]) if len(digits) == 6 else None
    else:
        raise reader.refusal(start + len(digits) if len(digits) < 3 else start)
    if not _is_date(year, month, day):
        raise reader.refusal(start)
    return year, month, day


def _is_date(year: int | None, month: int, day: int) -> bool:
    if not 1 <= month <= 12 or (year is not None and year < 1970):
        return False
    is_leap = year is None or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return 1 <= day <= _MONTH_DAYS[month - 1] + (1 if is_leap and month == 2 else 0)


def _resolve(
    date: tuple[int | None, int, int] | None, clock: tuple[int, int, int], now_at: float, is_past: bool
) -> float:
    now = time.localtime(now_at)
    if date is None:
        at = _mktime(now[:3], clock)
        if is_past and at > now_at:
            return _mktime((now.tm_year, now.tm_mon, now.tm_mday - 1), clock)
        if not is_past and at < now_at:
            return _mktime((now.tm_year, now.tm_mon, now.tm_mday + 1), clock)
        return at
    year, month, day = date
    if year is not None:
        return _mktime((year, month, day), clock)
    at = _mktime((now.tm_year, month, day), clock)
    if is_past and at > now_at:
        return _mktime((now.tm_year - 1, month, day), clock)
    if not is_past and at < now_at:
        return _mktime((now.tm_year + 1, month, day), clock)
    return at


def _mktime(date: tuple[int, ...], clock: tuple[int, int, int]) -> float:
    # The C library carries a day of 0 or 32 over and finds out about daylight saving (-1).
    return time.mktime((date[0], date[1], date[2], *clock, 0, 0, -1))


def _format_relative(at: float, now_at: float) -> str:
    point, now = time.localtime(at), time.localtime(now_at)
    days = _day_number(point) - _day_number(now)
    if days == 0:
        return time.strftime("%H:%M:%S", point)
    if days in (1, -1):
        return time.strftime("Tomorr %H:%M" if days == 1 else "Ystday %H:%M", point)
    if 1 < days < 7:
        return time.strftime("%a %H:%M", point)
    is_this_year = point.tm_year == now.tm_year
    return time.strftime("%-d %b %H:%M" if is_this_year else "%-d %b %Y", point)


def _day_number(local: time.struct_time) -> int:
    # Noon of one day to noon of another is a whole number of days within an hour of daylight saving.
    return round((_mktime(local[:3], (12, 0, 0)) - _mktime((1970, 1, 2), (12, 0, 0))) / _DAY_S)
