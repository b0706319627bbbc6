"""Sizes: memory is never rounded down, and printed in the largest unit that loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import size
from sluice.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected_mib"),
    [
        pytest.param("100", 100, id="MiB when nothing is said"),
        pytest.param("0", 0, id="zero stays zero"),
        pytest.param("1K", 1, id="less than a MiB is one"),
        pytest.param("1025K", 2, id="rounded up"),
        pytest.param("512MB", 512, id="a B may follow"),
        pytest.param("4g", 4096, id="any case"),
        pytest.param("1T", 1048576, id="tera"),
    ],
)
def test_parse_mib_reads_every_unit(text: str, expected_mib: int) -> None:
    assert size.parse_mib(text) == expected_mib


@pytest.mark.parametrize(
    "text", ["", "-5", "abc", "1.5G", "4GiB", "4b", "4BG", "G", "4Gx", "1E", "B", "KB", "M5", "9" * 400, "٣"]
)
def test_parse_mib_refuses_negatives_and_garbage(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a memory size: "):
        size.parse_mib(text)


@pytest.mark.parametrize(
    ("mib", "text"),
    [
        (0, "0"),
        (10, "10M"),
        (100, "100M"),
        (23000, "23000M"),
        (1536, "1536M"),
        (4096, "4G"),
        (1048576, "1T"),
        (1 << 30, "1P"),
    ],
)
def test_format_mib_uses_the_largest_exact_unit(mib: int, text: str) -> None:
    assert size.format_mib(mib) == text


def test_format_kib_and_plain_numbers() -> None:
    assert size.format_kib(10900) == "10900K"
    assert size.format_kib(4096) == "4M"
    assert size.format_units(2048) == "2K"
    assert size.format_units(1000) == "1000"


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("2", ((2, 2, 1),)),
        ("2-4", ((2, 4, 1),)),
        ("2k-4K", ((2048, 4096, 1),)),
        ("1m", ((1048576, 1048576, 1),)),
        ("2,4,8-16:4", ((2, 2, 1), (4, 4, 1), (8, 16, 4))),
    ],
)
def test_node_sizes_are_counts_ranges_and_sets(text: str, sizes: size.NodeSizes) -> None:
    assert size.parse_node_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "x", "1.5", "1-", "-4", "2,,4", "4:2", "1-4:0", "1-4:", "1-2-3"])
def test_node_sizes_refuse_garbage(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a node count: "):
        size.parse_node_sizes(text)


def test_a_maximum_below_the_minimum_is_told_in_numbers() -> None:
    with pytest.raises(InvalidRequest, match="Maximum node count 1 is less than minimum node count 3"):
        size.parse_node_sizes("3-1")


def test_bounds_end_at_the_last_step() -> None:
    sizes = size.parse_node_sizes("8-15:4,2")
    assert size.node_bounds(sizes) == (2, 12)
    assert [count for count in range(20) if size.has_node_count(sizes, count)] == [2, 8, 12]


@pytest.mark.parametrize("text", ["999999999999999P", "9999999999999999"])
def test_memory_that_no_peer_could_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="more than"):
        size.parse_mib(text)


@given(st.integers(0, 10**12))
def test_parse_mib_reverses_format_mib(mib: int) -> None:
    """parse_mib(format_mib(m)) == m."""
    assert size.parse_mib(size.format_mib(mib)) == mib
    assert size.parse_mib(size.format_mib(mib * 1024)) == mib * 1024


@given(st.integers(0, 10**9))
def test_kibibytes_are_never_rounded_down(kib: int) -> None:
    """0 <= 1024 * parse_mib("nK") - n < 1024."""
    assert 0 <= 1024 * size.parse_mib(f"{kib}K") - kib < 1024


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(0, 99), st.integers(1, 9)), min_size=1, max_size=4))
def test_node_sizes_survive_their_notation(raw: list[tuple[int, int, int]]) -> None:
    """parse_node_sizes(format_node_sizes(s)) allows the same counts."""
    sizes = tuple((low, low + extra, step) for low, extra, step in raw)
    back = size.parse_node_sizes(size.format_node_sizes(sizes))
    assert all(size.has_node_count(back, n) == size.has_node_count(sizes, n) for n in range(220))
