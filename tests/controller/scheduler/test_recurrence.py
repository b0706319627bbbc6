"""When a reservation comes again: by the calendar of its zone, never overlapping itself."""

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.model.reservation import Reservation
from sluice.reservation_flags import REPEATING
from sluicectld.scheduler.recurrence import (
    Window,
    compute_windows,
    find_next_start,
    find_zone,
    is_valid_anchor,
    iterate_windows,
)

BERLIN = ZoneInfo("Europe/Berlin")
DAY_S = 86400


def clock(text: str) -> float:
    """Return the moment of a local time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def reservation(start: str, length_s: float, *flags: str, **fields: object) -> Reservation:
    at = clock(start)
    values = {"anchor_at": at, "zone": "Europe/Berlin"} | fields
    return Reservation(id=1, name="r", start_at=at, end_at=at + length_s, flags=flags, **values)


def local_starts(kept: Reservation, count: int) -> list[str]:
    windows = iterate_windows(kept)
    return [f"{datetime.fromtimestamp(next(windows).from_at, BERLIN):%a %d %H:%M}" for _ in range(count)]


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        pytest.param(
            "DAILY", ["Thu 26 02:00", "Fri 27 02:00", "Sat 28 02:00", "Sun 29 03:00", "Mon 30 02:00"], id="daily"
        ),
        pytest.param("WEEKDAY", ["Thu 26 02:00", "Fri 27 02:00", "Mon 30 02:00"], id="weekdays skip the weekend"),
        pytest.param("WEEKLY", ["Thu 26 02:00", "Thu 02 02:00"], id="weekly on the same day"),
        pytest.param("HOURLY", ["Thu 26 02:00", "Thu 26 03:00", "Thu 26 04:00"], id="hourly"),
    ],
)
def test_the_clock_time_stays_when_daylight_saving_begins(flag: str, expected: list[str]) -> None:
    """On Sunday the 29th of March 2026 the hour from 02:00 to 03:00 is missing."""
    assert local_starts(reservation("2026-03-26T02:00", 600, flag), len(expected)) == expected


def test_the_clock_time_stays_when_daylight_saving_ends() -> None:
    kept = reservation("2026-10-24T12:00", 600, "DAILY")

    windows = iterate_windows(kept)
    first, second = next(windows), next(windows)

    assert second.from_at - first.from_at == DAY_S + 3600
    assert local_starts(kept, 2) == ["Sat 24 12:00", "Sun 25 12:00"]


def test_weekends_only() -> None:
    assert local_starts(reservation("2026-03-21T09:00", 600, "WEEKEND"), 3) == [
        "Sat 21 09:00",
        "Sun 22 09:00",
        "Sat 28 09:00",
    ]


def test_a_whole_day_is_cut_where_the_day_is_shorter() -> None:
    kept = reservation("2026-03-28T12:00", DAY_S, "DAILY")

    first = next(iterate_windows(kept))

    assert first.until_at - first.from_at == DAY_S - 3600


def test_without_a_period_there_is_one_window() -> None:
    kept = reservation("2026-03-28T12:00", 600)

    assert compute_windows(kept, kept.start_at - 10, kept.start_at) == (Window(kept.start_at, kept.end_at),)
    assert compute_windows(kept, kept.end_at, kept.end_at + DAY_S) == ()
    assert find_next_start(kept, kept.start_at) == float("inf")


def test_what_floats_is_always_as_far_ahead() -> None:
    kept = reservation("2026-03-28T12:00", 600, "TIME_FLOAT", float_s=300.0)

    assert compute_windows(kept, 5000.0, 9000.0) == (Window(5300.0, 5900.0),)


def test_the_first_window_after_the_horizon_is_given_too() -> None:
    kept = reservation("2026-03-10T12:00", 600, "DAILY")

    windows = compute_windows(kept, kept.start_at, kept.start_at + 10)

    assert [window.from_at - kept.start_at for window in windows] == [0, DAY_S]


def test_a_weekday_is_a_day_on_which_weekday_reservations_begin() -> None:
    assert is_valid_anchor("WEEKDAY", clock("2026-03-27T23:30"), "Europe/Berlin")
    assert not is_valid_anchor("WEEKDAY", clock("2026-03-28T00:30"), "Europe/Berlin")
    assert is_valid_anchor("DAILY", clock("2026-03-28T00:30"), "Europe/Berlin")


def test_zones_without_a_name_and_unknown_ones() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=find_zone("UTC-03:30"))

    assert at.utcoffset() is not None
    assert at.utcoffset().total_seconds() == -3.5 * 3600
    assert find_zone("Nowhere/Atlantis").utcoffset(at).total_seconds() == 0


@given(
    start_at=st.integers(1_700_000_000, 1_900_000_000),
    length_s=st.integers(60, 7 * DAY_S),
    flag=st.sampled_from(REPEATING),
    zone=st.sampled_from(("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "UTC+05:45")),
)
def test_a_recurrence_never_overlaps_itself(start_at: int, length_s: int, flag: str, zone: str) -> None:
    kept = Reservation(
        id=1, name="r", start_at=start_at, end_at=start_at + length_s, anchor_at=start_at, flags=(flag,), zone=zone
    )

    windows = [window for window, _ in zip(iterate_windows(kept), range(40), strict=False)]

    for window, following in itertools.pairwise(windows):
        assert window.from_at < window.until_at <= following.from_at
