"""Durations of jobs: how long something may run or has run.

    duration = minutes | minutes ":" seconds | hours ":" minutes ":" seconds
             | days "-" [ hours [ ":" minutes [ ":" seconds ] ] ]
             | "UNLIMITED" | "INFINITE" | "-1"          (any case)

A duration of zero means no limit, however it is spelled; no limit is None everywhere.  Job time limits are
kept in whole minutes, rounded up: round_up_minutes().
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

#: What a duration that is no limit prints as.
UNLIMITED = "UNLIMITED"
_UNLIMITED_WORDS = frozenset(["UNLIMITED", "INFINITE", "-1"])
#: Digits of one field; bounds every duration below 10**10 days.
_DIGITS_MAX = 10
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def parse(text: str) -> int | None:
    """Return the seconds that *text* means; None: no limit.

    Raises InvalidRequest if *text* is no duration.
    """
    if text.upper() in _UNLIMITED_WORDS:
        return None
    units: tuple[int, ...] = (_HOUR_S, _MINUTE_S, 1)
    days, dash, clock = text.partition("-")
    if dash:
        fields = clock.split(":") if clock else []
        total_s = _number(days, text) * _DAY_S
    else:
        fields = text.split(":")
        total_s = 0
        if len(fields) < 3:
            units = (_MINUTE_S, 1)
    if len(fields) > len(units):
        raise _refusal(text, "too many fields")
    total_s += sum(_number(field, text) * unit for field, unit in zip(fields, units, strict=False))
    return total_s or None


def round_up_minutes(duration_s: float) -> int:
    """Return *duration_s* in whole minutes, rounded up."""
    return -int(-duration_s // _MINUTE_S)


def format_long(duration_s: float | None) -> str:
    """Return [days-]HH:MM:SS as scontrol and sacct print it; None is UNLIMITED, negative INVALID."""
    if duration_s is None or duration_s < 0:
        return _format_odd(duration_s)
    days, hours, minutes, seconds = _split(int(duration_s))
    clock = f"{hours:02}:{minutes:02}:{seconds:02}"
    return f"{days}-{clock}" if days else clock


def format_short(duration_s: float | None) -> str:
    """Return the duration as squeue prints it, without leading zero fields: 0:27, 1:02:03, 2-00:00:00."""
    if duration_s is None or duration_s < 0:
        return _format_odd(duration_s)
    days, hours, minutes, seconds = _split(int(duration_s))
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{seconds:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_cpu_time(duration_s: float) -> str:
    """Return used CPU time as sacct prints it: 00:00:00, 00:00.002 below an hour, [days-]HH:MM:SS above."""
    milliseconds = round(duration_s * 1000)
    if milliseconds <= 0 or milliseconds >= _HOUR_S * 1000:
        return format_long(milliseconds // 1000)
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{seconds // 60:02}:{seconds % 60:02}.{thousandths:03}"


def _number(field: str, text: str) -> int:
    if not (field.isascii() and field.isdigit()):
        raise _refusal(text, f"{field!r} is not a number")
    if len(field) > _DIGITS_MAX:
        raise _refusal(text, f"{field!r} has more than {_DIGITS_MAX} digits")
    return int(field)


def _split(duration_s: int) -> tuple[int, int, int, int]:
    minutes, seconds = divmod(duration_s, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return days, hours, minutes, seconds


def _format_odd(duration_s: float | None) -> str:
    return UNLIMITED if duration_s is None else "INVALID"


def _refusal(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} is not a duration: {problem}", code="invalid_duration")
