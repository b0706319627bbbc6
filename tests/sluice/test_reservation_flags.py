"""The flags of reservations: names, order, and PURGE_COMP's time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import reservation_flags
from sluice.errors import InvalidRequest
from sluice.reservation_flags import FLAGS, format_flags, parse


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("maint", "MAINT"),
        ("static_alloc,daily,FLEX,magnetic", "FLEX,DAILY,STATIC,MAGNETIC"),
        ("overlap,part_nodes", "OVERLAP,PART_NODES"),
        ("license_only", "ANY_NODES"),
        ("no_hold_jobs_after", "NO_HOLD_JOBS_AFTER_END"),
        ("purge_comp", "PURGE_COMP=00:05:00"),
        ("purge_comp=10", "PURGE_COMP=00:10:00"),
        ("replace,purge_comp=0:30", "REPLACE,PURGE_COMP=00:01:00"),
        ("", ""),
    ],
)
def test_flags_as_slurm_shows_them(text: str, shown: str) -> None:
    assert format_flags(*parse(text)) == shown


@pytest.mark.parametrize("text", ["bogus", "spec_nodes", "maint=1", "maint,=", "purge_comp=x", "purge_comp=unlimited"])
def test_what_is_no_flag(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


@given(st.sets(st.sampled_from([flag for flag in FLAGS if flag != "SPEC_NODES"])))
def test_what_is_shown_is_read_again(flags: set[str]) -> None:
    """parse(format(x)) == x"""
    shown = format_flags(flags, 300)

    assert parse(shown) == (reservation_flags.in_order(flags), 300 if "PURGE_COMP" in flags else None)
