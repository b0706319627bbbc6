"""Points in time: every input of the contract, at a fixed now in a fixed zone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import timepoint
from sluice.errors import InvalidRequest

ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.fixture(autouse=True, scope="module")
def _zone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", ZONE)
        time.tzset()
        yield
    time.tzset()


def at(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


def now() -> float:
    return at("2026-11-22 20:05:50")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16:00", "2026-11-23 16:00:00"),
        ("21:00", "2026-11-22 21:00:00"),
        ("20:04:30", "2026-11-23 20:04:30"),
        ("9:00pm", "2026-11-22 21:00:00"),
        ("9:00 PM", "2026-11-22 21:00:00"),
        ("12:30am", "2026-11-23 00:30:00"),
        ("12:00PM", "2026-11-23 12:00:00"),
        ("0120", "2027-01-20 00:00:00"),
        ("1122", "2027-11-22 00:00:00"),
        ("012028", "2028-01-20 00:00:00"),
        ("01/20", "2027-01-20 00:00:00"),
        ("1/20", "2027-01-20 00:00:00"),
        ("12/24", "2026-12-24 00:00:00"),
        ("01/20/28", "2028-01-20 00:00:00"),
        ("01.20", "2027-01-20 00:00:00"),
        ("01.20.28", "2028-01-20 00:00:00"),
        ("2001-01-01", "2001-01-01 00:00:00"),
        ("2027-01-20T12:34", "2027-01-20 12:34:00"),
        ("2027-01-20t12:34:56", "2027-01-20 12:34:56"),
        ("2027-01-20 12:34", "2027-01-20 12:34:00"),
        ("2027-01-20T", "2027-01-20 00:00:00"),
        ("2027-01-20Tnoon", "2027-01-20 12:00:00"),
        ("01/20-12:30", "2027-01-20 12:30:00"),
        ("16:00 01/20", "2027-01-20 16:00:00"),
        ("today", "2026-11-22 00:00:00"),
        ("today 23:00", "2026-11-22 23:00:00"),
        ("tomorrow", "2026-11-23 00:00:00"),
        ("tomorrow 16:00", "2026-11-23 16:00:00"),
        ("16:00 tomorrow", "2026-11-23 16:00:00"),
        ("tomorrow teatime", "2026-11-23 16:00:00"),
        ("midnight", "2026-11-23 00:00:00"),
        ("NOON", "2026-11-23 12:00:00"),
        ("elevenses", "2026-11-23 11:00:00"),
        ("fika", "2026-11-23 15:00:00"),
        ("teatime", "2026-11-23 16:00:00"),
        ("now", "2026-11-22 20:05:50"),
        ("now+60", "2026-11-22 20:06:50"),
        ("now + 1 hour", "2026-11-22 21:05:50"),
        ("now-1hour", "2026-11-22 19:05:50"),
        ("now+2weeks", "2026-12-06 20:05:50"),
    ],
)
def test_parse_reads_every_input(text: str, expected: str) -> None:
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timepoint.parse(text, now()))) == expected


def test_parse_reads_seconds_since_the_epoch() -> None:
    assert timepoint.parse("uts1700000000", now()) == 1_700_000_000


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("yesterdayish", 0),
        ("tomorrowish", 0),
        ("25:00", 0),
        ("12:60", 3),
        ("13/01", 0),
        ("02/30", 0),
        ("2027-02-29", 0),
        ("1969-01-01", 0),
        ("1600", 0),
        ("9", 1),
        ("9pm", 1),
        ("16:00abc", 5),
        ("16:00 xx", 6),
        ("01/20/2027", 6),
        ("2027-1-2", 5),
        ("2027-01-20T13:34pm", 16),
        ("now+2h", 4),
        ("now+", 4),
        ("now 5", 4),
        ("", 0),
        ("uts", 3),
        ("٣:00", 0),
        ("16:00 17:00", 8),
    ],
)
def test_parse_says_where_it_stopped(text: str, position: int) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        timepoint.parse(text, now())
    assert refusal.value.message == f"Invalid time specification (pos={position}): {text}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16:00", "2026-11-22 16:00:00"),
        ("21:00", "2026-11-21 21:00:00"),
        ("12/24", "2025-12-24 00:00:00"),
        ("11/01", "2026-11-01 00:00:00"),
    ],
)
def test_accounting_queries_look_back(text: str, expected: str) -> None:
    assert timepoint.parse(text, now(), is_past=True) == at(expected)


def test_tomorrow_is_a_calendar_day_when_the_clocks_change() -> None:
    evening_before = at("2026-10-24 20:00:00")
    assert timepoint.parse("19:00", evening_before) - evening_before == 24 * 3600
    assert timepoint.parse("now+1day", evening_before) - evening_before == 24 * 3600


@pytest.mark.parametrize(
    ("time_format", "expected"),
    [
        ("", "2026-11-22T20:05:50"),
        ("standard", "2026-11-22T20:05:50"),
        ("%a %T", "Sun 20:05:50"),
        ("relative", "20:05:50"),
    ],
)
def test_format_follows_the_time_format(time_format: str, expected: str) -> None:
    assert timepoint.format_local(now(), time_format, now()) == expected


def test_format_gives_epoch_seconds_and_unset_times() -> None:
    assert timepoint.format_local(now(), "%s") == str(int(now()))
    assert timepoint.format_local(None) == "Unknown"
    assert timepoint.format_local(None, unset="N/A") == "N/A"


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("2026-11-23 08:00:00", "Tomorr 08:00"),
        ("2026-11-21 23:59:00", "Ystday 23:59"),
        ("2026-11-25 08:00:00", "Wed 08:00"),
        ("2026-11-29 08:00:00", "29 Nov 08:00"),
        ("2026-04-05 08:00:00", "5 Apr 08:00"),
        ("2012-06-06 08:00:00", "6 Jun 2012"),
    ],
)
def test_relative_times_are_short(point: str, expected: str) -> None:
    assert timepoint.format_local(at(point), "relative", now()) == expected


@given(st.integers(0, 4_000_000_000))
def test_parse_reverses_format(point_at: int) -> None:
    """parse(format_local(t)) == t, but for the hour that comes twice when summer ends."""
    assert abs(timepoint.parse(timepoint.format_local(point_at), 0.0) - point_at) in (0, 3600)


@given(st.text("0123456789:-/.T now+dayspm", max_size=20))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    """parse gives a number or raises InvalidRequest."""
    with contextlib.suppress(InvalidRequest):
        assert timepoint.parse(text, 1_800_000_000.0) > -1e11


@given(st.integers(0, 86399))
def test_a_time_of_day_lies_within_the_next_day(second: int) -> None:
    """now <= parse("HH:MM:SS") < now + 25 hours."""
    text = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    assert 0 <= timepoint.parse(text, now()) - now() < 25 * 3600
