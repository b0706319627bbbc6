"""Targets shared out over a tree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice.fanout import split


@given(st.integers(0, 300), st.integers(0, 40))
def test_everybody_is_in_one_group_in_order_and_the_groups_are_equal(count: int, width: int) -> None:
    """concatenate(split(x, width)) == x; at most *width* groups, none empty, sizes differ by one at most."""
    groups = split(range(count), width)

    assert [each for group in groups for each in group] == list(range(count))
    assert len(groups) <= max(1, width)
    sizes = {len(group) for group in groups}
    assert 0 not in sizes
    assert not sizes or max(sizes) - min(sizes) <= 1
