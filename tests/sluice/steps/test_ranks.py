"""How ranks go to nodes: layouts recorded from Slurm 22.05 on three nodes of four CPUs, and what holds for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import cpuset, distribution
from sluice.steps.ranks import arbitrary_ranks, deal_ranks


def _nodes(masks: list[int]) -> str:
    """Return the node of each rank, as "1 1 2 3"."""
    node_by_rank = {rank: index for index, mask in enumerate(masks, 1) for rank in cpuset.numbers(mask)}
    return " ".join(str(node_by_rank[rank]) for rank in sorted(node_by_rank))


@pytest.mark.parametrize(
    ("ntasks", "words", "expected"),
    [
        (3, "", "1 2 3"),
        (4, "", "1 1 2 3"),
        (5, "", "1 1 2 2 3"),
        (10, "", "1 1 1 1 2 2 2 3 3 3"),
        (10, "block", "1 1 1 1 2 2 2 3 3 3"),
        (4, "block,Pack", "1 1 2 3"),
        (10, "block,Pack", "1 1 1 1 2 2 2 2 3 3"),
        (10, "block,NoPack", "1 1 1 1 2 2 2 3 3 3"),
        (4, "cyclic", "1 2 3 1"),
        (10, "cyclic", "1 2 3 1 2 3 1 2 3 1"),
        (5, "cyclic,Pack", "1 2 3 1 2"),
        (10, "plane=2", "1 1 2 2 3 3 1 1 2 2"),
        (10, "plane=3", "1 1 1 2 2 2 3 3 3 1"),
        (5, "plane=4", "1 1 1 2 3"),
    ],
)
def test_ranks_go_to_nodes_as_recorded(ntasks: int, words: str, expected: str) -> None:
    assert _nodes(deal_ranks([4, 4, 4], ntasks, distribution.parse(words))) == expected


def test_ranks_go_where_they_are_named() -> None:
    masks = arbitrary_ranks(["n1", "n3", "n3", "n2"], ["n1", "n2", "n3"])

    assert _nodes(masks) == "1 3 3 2"


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=6),
    st.data(),
    st.sampled_from(["", "block", "block,Pack", "cyclic", "plane=1", "plane=3", "plane=50"]),
)
def test_every_rank_has_a_node_with_room_and_every_node_a_rank(
    capacities: list[int], data: st.DataObject, words: str
) -> None:
    """Σ |ranks| = ntasks, disjoint, 1 ≤ |ranks of a node| ≤ its room."""
    ntasks = data.draw(st.integers(len(capacities), sum(capacities)))

    masks = deal_ranks(capacities, ntasks, distribution.parse(words))

    assert sum(masks) == (1 << ntasks) - 1
    assert sum(mask.bit_count() for mask in masks) == ntasks
    assert all(1 <= mask.bit_count() <= room for mask, room in zip(masks, capacities, strict=True))


@pytest.mark.parametrize(
    "text", ["blok", "plane", "plane=0", "plane=x", "block:plane", "block:block:block:block", "block,tight", "cyclic=2"]
)
def test_what_is_no_distribution_is_refused(text: str) -> None:
    from sluice.errors import InvalidRequest

    with pytest.raises(InvalidRequest):
        distribution.parse(text)
