"""Where ranks are: PMI_process_mapping, as MPI libraries read it."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidRequest
from sluice.model.request import StepSpec
from sluice.model.step import Step, StepNode
from sluice.wire.messages import StepPart
from sluiced.pmi.layout import VALUE_MAX, Layout, layout_of, process_mapping


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


def component(job_id: int, **ranks_by_node: str) -> tuple[Step, StepPart]:
    nodes = tuple(StepNode(node=node, ntasks=1, ranks=ranks) for node, ranks in ranks_by_node.items())
    step = Step(job_id=job_id, step_id=0, spec=StepSpec(name="x"), nodes=nodes)
    return step, StepPart(job_id=job_id, attempt=0, nodes=nodes, credential="")


def test_a_step_over_components_has_one_layout() -> None:
    """Each of its step daemons sees the same whole, and its own place in it."""
    first, second = component(7, n1="0-1"), component(8, n2="2", n3="3")
    parts = (first[1], second[1])

    whole = Layout(("n1", "n2", "n3"), ((0, 1), (2,), (3,)), 0, (0, 1, 1))
    assert layout_of(first[0], "n1", parts) == whole
    assert layout_of(second[0], "n3", parts) == whole._replace(position=2)
    assert [layout_of(step, node, parts).appnum for step, node in ((first[0], "n1"), (second[0], "n3"))] == [0, 1]


def test_a_node_with_a_share_in_two_components_is_two() -> None:
    first, second = component(7, n1="0"), component(8, n1="1", n2="2")
    parts = (first[1], second[1])

    layout = layout_of(second[0], "n1", parts)

    assert (layout.nodes, layout.position, layout.own_ranks) == (("n1", "n1+1", "n2"), 1, (1,))


@pytest.mark.parametrize(
    ("ranks", "why"),
    [
        pytest.param("1-99999999999999", "at most 262144", id="more ranks than there is memory for"),
        pytest.param("262144", "at most 262144", id="a rank too many"),
        pytest.param("0", "belongs to one task", id="the rank of another task"),
    ],
)
def test_parts_are_sruns_word_and_looked_at(ranks: str, why: str) -> None:
    first, second = component(7, n1="0"), component(8, n2=ranks)

    with pytest.raises(InvalidRequest, match=why):
        layout_of(first[0], "n1", (first[1], second[1]))


def test_the_own_part_is_the_granted_one() -> None:
    granted, other = component(7, n1="0"), component(7, n1="0-5")

    with pytest.raises(InvalidRequest, match="none of the parts"):
        layout_of(granted[0], "n1", (other[1],))
