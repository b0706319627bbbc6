"""Usage over time: decay, accrual, resets, and what a second costs."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicectld.fairshare.billing import compute_billing
from sluicectld.fairshare.usage import accrue, advance, compute_reset_at, decay

WEEK_S = 7 * 86400.0
AMOUNTS = st.floats(0, 1e12)
SPANS = st.floats(0, 50 * WEEK_S)
HALF_LIVES = st.sampled_from([0.0, 3600.0, WEEK_S])


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_half_is_left_after_a_half_life() -> None:
    assert decay(100.0, WEEK_S, WEEK_S) == 50.0


def test_without_a_half_life_usage_stays() -> None:
    assert decay(100.0, WEEK_S, 0.0) == 100.0


@given(AMOUNTS, SPANS, SPANS, HALF_LIVES)
def test_decay_composes(usage: float, first_s: float, second_s: float, half_life_s: float) -> None:
    """decay(decay(u, a), b) == decay(u, a + b)"""
    twice = decay(decay(usage, first_s, half_life_s), second_s, half_life_s)

    assert twice == pytest.approx(decay(usage, first_s + second_s, half_life_s), rel=1e-9, abs=1e-9)


@given(AMOUNTS, st.floats(0, 1e6), SPANS, SPANS, HALF_LIVES)
def test_accrual_does_not_depend_on_how_often_it_is_computed(
    usage: float, billing: float, first_s: float, second_s: float, half_life_s: float
) -> None:
    """accrue(accrue(u, a), b) == accrue(u, a + b)"""
    twice = accrue(accrue(usage, billing, first_s, half_life_s), billing, second_s, half_life_s)

    assert twice == pytest.approx(accrue(usage, billing, first_s + second_s, half_life_s), rel=1e-9, abs=1e-6)


@given(AMOUNTS, st.floats(0, 1e6), SPANS, HALF_LIVES)
def test_accrual_lies_between_all_decayed_and_nothing_decayed(
    usage: float, billing: float, elapsed_s: float, half_life_s: float
) -> None:
    new = billing * elapsed_s
    found = accrue(usage, billing, elapsed_s, half_life_s)

    assert decay(usage + new, elapsed_s, half_life_s) <= found * (1 + 1e-9) + 1e-6
    assert found <= decay(usage, elapsed_s, half_life_s) + new * (1 + 1e-9) + 1e-6


def test_a_short_interval_counts_in_full() -> None:
    """Ten minutes of four CPUs against a half-life of a week."""
    assert accrue(0.0, 4.0, 600.0, WEEK_S) == pytest.approx(2400, rel=1e-3)


@pytest.mark.parametrize(
    ("period", "begin"),
    [
        ("DAILY", "2026-11-25"),
        ("WEEKLY", "2026-11-22"),
        ("MONTHLY", "2026-11-01"),
        ("QUARTERLY", "2026-10-01"),
        ("YEARLY", "2026-01-01"),
    ],
)
def test_a_period_begins_at_midnight(period: str, begin: str) -> None:
    """2026-11-25 is a Wednesday; weeks begin on Sunday."""
    assert compute_reset_at(period, at("2026-11-25T19:41:00")) == at(begin)


def test_midnight_is_the_sites() -> None:
    """At 23:30 UTC it is the next day already two hours further east."""
    assert compute_reset_at("DAILY", at("2026-11-25T23:30"), utc_offset_s=7200) == at("2026-11-25T22:00")


@pytest.mark.parametrize("period", ["NONE", "NOW"])
def test_some_periods_never_begin(period: str) -> None:
    assert compute_reset_at(period, at("2026-11-25")) is None


def test_usage_from_before_the_period_is_forgotten() -> None:
    """Two hours after midnight only what ran in them counts."""
    found = advance(1e9, 2.0, at("2026-11-30T12:00"), at("2026-12-01T02:00"), 0.0, "MONTHLY")

    assert found == 2.0 * 7200


def test_usage_from_within_the_period_is_kept() -> None:
    assert advance(100.0, 0.0, at("2026-12-01T01:00"), at("2026-12-01T02:00"), 0.0, "MONTHLY") == 100.0


ALLOCATION = {"cpu": 8, "mem": 65536, "gres/gpu": 2, "node": 1, "license/Matlab": 3}
WEIGHTS = {"cpu": 1.0, "mem": 0.25 / 1024, "gres/gpu": 20.0, "license/matlab": 5.0}


@pytest.mark.parametrize(
    ("flags", "billing"),
    [((), 8 + 16 + 40 + 15), (("MAX_TRES",), 40 + 15), (("MAX_TRES_GRES",), 16 + 40 + 15)],
    ids=["the sum of all", "the largest on the nodes plus licenses", "the larger of CPUs and memory plus the rest"],
)
def test_billing(flags: tuple[str, ...], billing: float) -> None:
    assert compute_billing(ALLOCATION, WEIGHTS, frozenset(flags)) == billing


def test_without_weights_the_cpus_are_billed() -> None:
    assert compute_billing(ALLOCATION, {}) == 8
