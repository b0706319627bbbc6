"""The tree of a step's nodes."""

from hypothesis import given
from hypothesis import strategies as st

from sluiced.pmi import tree

_SIZES = st.integers(1, 200)
_WIDTHS = st.integers(1, 40)


@given(_SIZES, _WIDTHS)
def test_every_node_but_the_root_is_the_child_of_its_parent(nodes: int, width: int) -> None:
    for index in range(1, nodes):
        above = tree.parent(index, width)
        assert above is not None
        assert index in tree.children(above, nodes, width)
    assert tree.parent(0, width) is None
    assert sum(len(tree.children(index, nodes, width)) for index in range(nodes)) == nodes - 1


@given(_SIZES, _WIDTHS, st.data())
def test_hop_by_hop_every_node_is_reached(nodes: int, width: int, data: st.DataObject) -> None:
    index, target = data.draw(st.integers(0, nodes - 1)), data.draw(st.integers(0, nodes - 1))
    hops = 0
    while index != target:
        nearer = tree.next_hop(index, target, width)
        assert nearer == tree.parent(index, width) or nearer in tree.children(index, nodes, width)
        index, hops = nearer, hops + 1
        assert hops < 2 * nodes


@given(st.integers(0, 500), st.integers(0, 500), _WIDTHS)
def test_below_means_that_going_up_passes_it(index: int, top: int, width: int) -> None:
    passed = {index}
    while (above := tree.parent(min(passed), width)) is not None:
        passed.add(above)

    assert tree.is_below(index, top, width) == (top in passed)
