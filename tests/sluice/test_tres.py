"""TRES: counts add up name by name, and memory is MiB inside whatever the unit outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import tres
from sluice.errors import InvalidRequest

names = st.sampled_from(["cpu", "mem", "node", "billing", "gres/gpu", "gres/gpu:a100", "license/matlab"])
some_tres = st.dictionaries(names, st.integers(0, 10**9))


def test_parse_reads_memory_as_mib() -> None:
    assert tres.parse("billing=4,cpu=4,gres/gpu=1,mem=4G,node=1") == {
        "billing": 4,
        "cpu": 4,
        "gres/gpu": 1,
        "mem": 4096,
        "node": 1,
    }


def test_parse_reads_odd_counts() -> None:
    assert tres.parse("") == {}
    assert tres.parse("CPU=-1,mem=-1") == {"cpu": -1, "mem": -1}
    assert tres.parse("billing=2K,mem=100") == {"billing": 2048, "mem": 100}


@pytest.mark.parametrize("text", ["cpu", "cpu=", "=4", "cpu=x", "cpu=4,", "cpu=1,cpu=2", "cpu=-2", "mem=x", "cpu=1.5"])
def test_parse_refuses_garbage(text: str) -> None:
    with pytest.raises(InvalidRequest):
        tres.parse(text)


def test_sacct_sorts_and_scontrol_goes_by_id() -> None:
    counts = tres.parse("gres/gpu=1,billing=8,node=2,mem=46000M,cpu=8")
    assert tres.format_sorted(counts) == "billing=8,cpu=8,gres/gpu=1,mem=46000M,node=2"
    assert tres.format_by_id(counts) == "cpu=8,mem=46000M,node=2,billing=8,gres/gpu=1"
    assert tres.format_by_id({"mem": 4096, "cpu": 0}, is_raw=True) == "cpu=0,mem=4096"


def test_arithmetic_goes_name_by_name() -> None:
    used, job = {"cpu": 4, "node": 1}, {"cpu": 2, "gres/gpu": 1}
    assert tres.add(used, job, job) == {"cpu": 8, "node": 1, "gres/gpu": 2}
    assert tres.subtract(used, job) == {"cpu": 2, "node": 1, "gres/gpu": -1}
    assert tres.maximum(used, job) == {"cpu": 4, "node": 1, "gres/gpu": 1}
    assert tres.scale(job, 3) == {"cpu": 6, "gres/gpu": 3}
    assert tres.without_zeros({"cpu": 0, "node": 1}) == {"node": 1}


def test_exceeded_names_the_limits_that_are_passed() -> None:
    assert tres.exceeded({"cpu": 5, "node": 1, "mem": 9}, {"cpu": 4, "node": 1, "mem": -1, "gres/gpu": 0}) == ["cpu"]


@given(some_tres)
def test_parse_reverses_both_formats(counts: tres.Tres) -> None:
    """parse(format(t)) == t in either order, raw or not."""
    for is_raw in (False, True):
        assert tres.parse(tres.format_sorted(counts, is_raw)) == counts
        assert tres.parse(tres.format_by_id(counts, is_raw)) == counts


@given(some_tres, some_tres)
def test_subtracting_what_was_added_changes_nothing(left: tres.Tres, right: tres.Tres) -> None:
    """subtract(add(a, b), b) == a where a counts anything."""
    assert tres.without_zeros(tres.subtract(tres.add(left, right), right)) == tres.without_zeros(left)


@given(some_tres, some_tres)
def test_the_maximum_is_an_upper_bound(left: tres.Tres, right: tres.Tres) -> None:
    """Neither a nor b exceeds maximum(a, b)."""
    greatest = tres.maximum(left, right)
    assert tres.exceeded(left, greatest) == tres.exceeded(right, greatest) == []
