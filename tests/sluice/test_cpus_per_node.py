"""Counts per node: equal neighbours fold, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import cpus_per_node
from sluice.errors import InvalidRequest


@pytest.mark.parametrize(
    ("counts", "text"), [([], ""), ([4], "4"), ([4, 4, 2], "4(x2),2"), ([2, 4, 2, 2, 2], "2,4,2(x3)")]
)
def test_fold_and_expand(counts: list[int], text: str) -> None:
    assert cpus_per_node.fold(counts) == text
    assert cpus_per_node.expand(text) == counts


@pytest.mark.parametrize("text", [",", "4(x2", "4(2)", "x", "4(x)", "4(x-1)", "-4", "4(x2)3", "1(x9999999)", "٣"])
def test_expand_refuses_garbage(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a list of counts per node: "):
        cpus_per_node.expand(text)


@given(st.lists(st.integers(0, 3)))
def test_expand_reverses_fold(counts: list[int]) -> None:
    """expand(fold(c)) == c."""
    assert cpus_per_node.expand(cpus_per_node.fold(counts)) == counts
