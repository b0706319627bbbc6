"""Node sets: masks behave as the sets of names they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import nodeset
from sluice.errors import InvalidRequest
from sluice.nodeset import NodeUniverse

NAMES = [f"n{index}" for index in range(1, 201)]
universe = NodeUniverse(NAMES)
name_sets = st.sets(st.sampled_from(NAMES))
masks = st.integers(0, universe.all_mask)


def test_names_come_in_the_order_of_the_universe() -> None:
    cluster = NodeUniverse(["login", "n2", "n1"])
    assert cluster.names(cluster.mask(["n1", "login", "n1"])) == ["login", "n1"]
    assert cluster.names(cluster.all_mask) == ["login", "n2", "n1"]
    assert cluster.index("n2") == 1
    assert len(cluster) == 3
    assert "n2" in cluster
    assert "n3" not in cluster


def test_hostlists_become_masks_and_back() -> None:
    assert universe.fold(universe.expand("n[1-4,7]")) == "n[1-4,7]"
    assert universe.fold(universe.complement(universe.expand("n[2-200]"))) == "n1"


def test_an_unknown_node_is_named() -> None:
    with pytest.raises(InvalidRequest, match="node 'n999' is not in this cluster") as refusal:
        universe.mask(["n1", "n999"])
    assert refusal.value.code == "invalid_node"


def test_a_node_name_occurs_once() -> None:
    with pytest.raises(AssertionError):
        NodeUniverse(["n1", "n1"])


def test_a_hundred_thousand_nodes_are_one_integer() -> None:
    cluster = NodeUniverse(f"n{index}" for index in range(100_000))
    odd = cluster.mask(cluster.node_names[1::2])
    assert nodeset.count(odd) == 50_000
    assert cluster.names(odd)[:2] == ["n1", "n3"]
    assert odd | cluster.complement(odd) == cluster.all_mask


def test_the_empty_set_has_no_least_node() -> None:
    assert nodeset.least(0) == -1
    assert nodeset.first(0, 3) == 0
    assert list(nodeset.indices(0)) == []


@given(name_sets, name_sets)
def test_masks_are_sets(left: set[str], right: set[str]) -> None:
    """names(mask(a) op mask(b)) is a op b for union, intersection and difference."""
    one, other = universe.mask(left), universe.mask(right)
    assert set(universe.names(one | other)) == left | right
    assert set(universe.names(one & other)) == left & right
    assert set(universe.names(one & ~other)) == left - right
    assert nodeset.count(one) == len(left)


@given(masks)
def test_mask_of_reverses_indices(mask: int) -> None:
    """mask_of(indices(m)) == m, and the least index comes first."""
    some = list(nodeset.indices(mask))
    assert nodeset.mask_of(some) == mask
    assert some == sorted(some)
    assert nodeset.least(mask) == (some[0] if some else -1)


@given(masks, st.integers(0, 210))
def test_first_takes_the_lowest_nodes(mask: int, wanted: int) -> None:
    """indices(first(m, n)) == indices(m)[:n]."""
    assert list(nodeset.indices(nodeset.first(mask, wanted))) == list(nodeset.indices(mask))[:wanted]
