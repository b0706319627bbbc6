"""CPU sets: the kernel's list format against masks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import cpuset
from sluice.errors import InvalidRequest


@given(st.integers(min_value=0, max_value=2**200))
def test_a_mask_survives_its_text(mask: int) -> None:
    """parse(format(mask)) == mask"""
    assert cpuset.parse(cpuset.format(mask)) == mask


@given(st.integers(min_value=0, max_value=2**70), st.integers(min_value=0, max_value=80))
def test_the_lowest_numbers_are_a_prefix_of_all(mask: int, count: int) -> None:
    """numbers(lowest(mask, n)) == numbers(mask)[:n]"""
    assert cpuset.numbers(cpuset.lowest(mask, count)) == cpuset.numbers(mask)[:count]


def test_neighbours_are_folded_into_ranges() -> None:
    assert cpuset.format(0b100001111) == "0-3,8"


@pytest.mark.parametrize("text", ["a", "3-1", "1,,2", "-1", "1-"])
def test_what_the_kernel_would_not_write_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        cpuset.parse(text)
