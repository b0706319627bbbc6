"""Where ranks are: PMI_process_mapping, as MPI libraries read it."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiced.pmi.layout import VALUE_MAX, process_mapping


def read_mapping(text: str, size: int) -> list[int]:
    """Return the node of each rank as MPICH does: block by block, from the first one again while ranks are left."""
    blocks = [tuple(map(int, found)) for found in re.findall(r"\((\d+),(\d+),(\d+)\)", text)]
    nodes: list[int] = []
    while len(nodes) < size:
        for first, count, each in blocks:
            nodes += [node for node in range(first, first + count) for _ in range(each)]
    return nodes[:size]


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        pytest.param([[0, 1], [2, 3]], "(vector,(0,2,2))", id="equal blocks"),
        pytest.param([[0, 1, 2], [3], [4]], "(vector,(0,1,3),(1,2,1))", id="a fuller first node"),
        pytest.param([[0, 2], [1, 3]], "(vector,(0,2,1),(0,2,1))", id="in turn"),
        pytest.param([[0]], "(vector,(0,1,1))", id="one task"),
    ],
)
def test_mapping_is_written_as_blocks(ranks: list[list[int]], expected: str) -> None:
    assert process_mapping(ranks) == expected


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_the_mapping_read_again_gives_the_nodes(nodes: list[int]) -> None:
    """read(process_mapping(ranks)) == the node of each rank, where it fits into a value."""
    ranks = [[rank for rank, own in enumerate(nodes) if own == node] for node in range(6)]

    text = process_mapping(ranks)

    assert len(text) <= VALUE_MAX
    if text:
        assert read_mapping(text, len(nodes)) == nodes


def test_a_long_repeated_pattern_is_written_once() -> None:
    """2000 ranks dealt out over 4 nodes in twos, the last one alone."""
    nodes = [rank // 2 % 4 for rank in range(2001)]
    ranks = [[rank for rank, own in enumerate(nodes) if own == node] for node in range(4)]

    text = process_mapping(ranks)

    assert text == "(vector,(0,4,2))"
    assert read_mapping(text, 2001) == nodes


def test_a_mapping_that_is_too_long_is_not_told() -> None:
    rng = random.Random(1)
    nodes = [rng.randrange(7) for _ in range(3000)]

    assert process_mapping([[rank for rank, own in enumerate(nodes) if own == node] for node in range(7)]) == ""
