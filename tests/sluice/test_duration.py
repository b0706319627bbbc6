"""Durations: every spelling of the contract, and both ways of printing one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import duration
from sluice.errors import InvalidRequest

seconds = st.integers(0, 400 * 86400)


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        pytest.param("5", 300, id="minutes"),
        pytest.param("5:30", 330, id="minutes and seconds"),
        pytest.param("90:30", 5430, id="more than 59 minutes"),
        pytest.param("1:2:3", 3723, id="hours, minutes, seconds"),
        pytest.param("24:00:00", 86400, id="a whole day in hours"),
        pytest.param("1-", 86400, id="days alone"),
        pytest.param("1-2", 93600, id="days and hours"),
        pytest.param("1-2:3", 93780, id="days, hours, minutes"),
        pytest.param("1-2:3:4", 93784, id="days to seconds"),
        pytest.param("0", None, id="zero is no limit"),
        pytest.param("00:00:00", None, id="zero in any form is no limit"),
        pytest.param("-1", None, id="minus one is no limit"),
        pytest.param("unlimited", None, id="unlimited in any case"),
        pytest.param("INFINITE", None, id="infinite"),
    ],
)
def test_parse_reads_every_form(text: str, expected_s: int | None) -> None:
    assert duration.parse(text) == expected_s


@pytest.mark.parametrize("text", ["abc", "", "5m", " 5", "1:2:3:4", "1--2", ":30", "1-2-3", "-5", "+5", "1.5", "٣"])
def test_parse_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        duration.parse(text)
    assert refusal.value.message.startswith(f"{text!r} is not a duration: ")


def test_parse_bounds_the_digits() -> None:
    with pytest.raises(InvalidRequest, match="more than 10 digits"):
        duration.parse("9" * 5000)


@pytest.mark.parametrize(
    ("duration_s", "long", "short"),
    [
        (0, "00:00:00", "0:00"),
        (27.9, "00:00:27", "0:27"),
        (303, "00:05:03", "5:03"),
        (3723, "01:02:03", "1:02:03"),
        (2 * 86400, "2-00:00:00", "2-00:00:00"),
        (None, "UNLIMITED", "UNLIMITED"),
        (-1, "INVALID", "INVALID"),
    ],
)
def test_format_prints_as_slurm_does(duration_s: float | None, long: str, short: str) -> None:
    assert duration.format_long(duration_s) == long
    assert duration.format_short(duration_s) == short


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [(0, "00:00:00"), (0.005, "00:00.005"), (754.5, "12:34.500"), (3723.4, "01:02:03"), (86400, "1-00:00:00")],
)
def test_format_cpu_time_shows_thousandths_below_an_hour(duration_s: float, expected: str) -> None:
    assert duration.format_cpu_time(duration_s) == expected


@pytest.mark.parametrize(("duration_s", "minutes"), [(0, 0), (1, 1), (60, 1), (60.1, 2), (5430, 91)])
def test_round_up_minutes(duration_s: float, minutes: int) -> None:
    assert duration.round_up_minutes(duration_s) == minutes


@given(seconds)
def test_parse_reverses_format_long(duration_s: int) -> None:
    """parse(format_long(s)) == s, zero being no limit."""
    assert duration.parse(duration.format_long(duration_s)) == (duration_s or None)


@given(seconds)
def test_parse_reverses_format_short(duration_s: int) -> None:
    """parse(format_short(s)) == s, zero being no limit."""
    assert duration.parse(duration.format_short(duration_s)) == (duration_s or None)


@given(seconds)
def test_rounding_up_adds_less_than_a_minute(duration_s: int) -> None:
    """0 <= 60 * round_up_minutes(s) - s < 60."""
    assert 0 <= 60 * duration.round_up_minutes(duration_s) - duration_s < 60
