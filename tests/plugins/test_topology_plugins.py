"""Topology plugins: the contract, and which list each tries first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import PluginError
from sluice.model.topology import Topology, TopologyUnit
from sluice_plugins.interfaces import TopologyPlugin, TopologyRequest
from sluice_plugins.registry import build_networks
from sluice_plugins.testing import check_topology_plugin
from sluice_plugins.topology.block import Block
from sluice_plugins.topology.dragonfly import Dragonfly
from sluice_plugins.topology.flat import Flat
from sluice_plugins.topology.leaves import LeafOffers
from sluice_plugins.topology.torus import Ring, Torus3d
from sluice_plugins.topology.tree import Tree

NODES = [f"n{number}" for number in range(1, 13)]


def names(first: int, last: int) -> tuple[str, ...]:
    return tuple(NODES[first - 1 : last])


def switch(name: str, first: int = 0, last: int = 0, children: tuple[str, ...] = ()) -> TopologyUnit:
    return TopologyUnit(name=name, nodes=names(first, last) if first else (), children=children)


#: Leaves of 4, 3 and 2 nodes; the first two below one switch, n10 to n12 at none.
UNEVEN = Topology(
    plugin="tree",
    units=(
        switch("s1", 1, 4),
        switch("s2", 5, 7),
        switch("s3", 8, 9),
        switch("t1", children=("s1", "s2")),
        switch("top", children=("t1", "s3")),
    ),
)
BLOCKS = Topology(
    plugin="block",
    units=tuple(
        TopologyUnit(name=f"b{each}", kind="block", nodes=names(3 * each - 2, 3 * each)) for each in range(1, 5)
    ),
    block_sizes=(3, 6),
)
TORUS = Topology(
    plugin="torus3d", units=(TopologyUnit(name="t", kind="torus", nodes=tuple(NODES), dimensions=(2, 2, 3)),)
)
RING = Topology(plugin="ring", units=(TopologyUnit(name="r", kind="ring", nodes=tuple(NODES)),))
ALL = [
    pytest.param(Flat(), Topology(), id="flat"),
    pytest.param(Tree(), UNEVEN, id="tree"),
    pytest.param(Block(), BLOCKS, id="block"),
    pytest.param(Dragonfly(), UNEVEN, id="dragonfly"),
    pytest.param(Torus3d(), TORUS, id="torus3d"),
    pytest.param(Ring(), RING, id="ring"),
]


def first_list(
    plugin: TopologyPlugin,
    topology: Topology,
    free: list[int] | None = None,
    offers: list[int] | None = None,
    **request,
) -> list[str] | None:
    """Return the first list for the free nodes (numbers as in their names), all of them unless said otherwise."""
    positions = [number - 1 for number in free] if free is not None else list(range(len(NODES)))
    values = {"tasks": max(request.get("nodes_min", 1), 1)} | request
    if "nodes_min" in values:
        values.setdefault("nodes_max", values["nodes_min"])
    lists = plugin.build(topology, NODES).arrange(positions, offers or [1] * len(positions), TopologyRequest(**values))
    found = next(iter(lists), None)
    return None if found is None else [NODES[position] for position in found]


@pytest.mark.parametrize(("plugin", "topology"), ALL)
def test_the_built_in_plugins_keep_the_contract(plugin: TopologyPlugin, topology: Topology) -> None:
    check_topology_plugin(plugin, topology, NODES)


def test_the_contract_catches_a_plugin_that_gives_what_was_not_offered() -> None:
    class Generous(Flat):
        def build(self, topology, nodes):
            everything = super().build(topology, nodes)
            everything.arrange = lambda positions, offers, request: iter([range(len(nodes))])
            return everything

    with pytest.raises(AssertionError, match="not offered"):
        check_topology_plugin(Generous(), Topology(), NODES)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(2, names(8, 9), id="two nodes fill the smallest leaf"),
        pytest.param(3, names(5, 7), id="three fill the leaf of three"),
        pytest.param(4, names(1, 4), id="four fill the leaf of four"),
        pytest.param(5, names(1, 7), id="five come from two leaves below one switch"),
        pytest.param(8, (*names(1, 7), *names(8, 9)), id="eight need the top"),
        pytest.param(10, None, id="nodes at no switch join no other"),
    ],
)
def test_a_tree_takes_the_lowest_switch_and_few_leaves(nodes: int, expected: tuple[str, ...] | None) -> None:
    """As Slurm 22.05 was seen to do on the same leaves."""
    found = first_list(Tree(), UNEVEN, nodes_min=nodes)

    assert found == (None if expected is None else list(expected))


def test_a_tree_counts_what_is_free_not_what_is_there() -> None:
    assert first_list(Tree(), UNEVEN, free=[1, 2, 5, 6, 7], nodes_min=2) == ["n1", "n2"]


def test_a_tree_counts_tasks_when_those_are_scarce() -> None:
    """Two nodes with four CPUs each hold what three with one do not."""
    offers = [1, 1, 1, 1, 1, 1, 1, 4, 4]

    assert first_list(Tree(), UNEVEN, free=list(range(1, 10)), offers=offers, tasks=6) == ["n8", "n9"]


def test_a_tree_takes_the_leaf_of_the_required_node() -> None:
    assert first_list(Tree(), UNEVEN, nodes_min=2, required=frozenset({4})) == list(names(5, 7))


@pytest.mark.parametrize(("most", "expected"), [(1, None), (2, 7)])
def test_a_tree_holds_a_job_to_its_switches(most: int, expected: int | None) -> None:
    found = first_list(Tree(), UNEVEN, nodes_min=5, switches_max=most)

    assert (found and len(found)) == expected


def test_the_order_of_the_switches_in_the_file_does_not_matter() -> None:
    turned = Topology(plugin="tree", units=tuple(reversed(UNEVEN.units)))
    for nodes in range(1, 10):
        assert first_list(Tree(), UNEVEN, nodes_min=nodes) == first_list(Tree(), turned, nodes_min=nodes)


def test_topo_optional_leaves_the_order_alone_without_switches() -> None:
    optional = Topology(plugin="tree", units=UNEVEN.units, parameters=("topooptional",))

    assert first_list(Tree(), optional, nodes_min=2) == NODES
    assert first_list(Tree(), optional, nodes_min=2, switches_max=1) == list(names(8, 9))


def test_topology_parameter_dragonfly_turns_a_tree_into_groups() -> None:
    groups = Topology(plugin="tree", units=UNEVEN.units, parameters=("dragonfly",))

    assert first_list(Tree(), groups, nodes_min=5) == first_list(Dragonfly(), UNEVEN, nodes_min=5)


@pytest.mark.parametrize(
    ("free", "nodes", "expected"),
    [
        pytest.param(None, 3, names(1, 3), id="a job of one block's size gets one block"),
        pytest.param([1, 2, 4, 5, 6], 2, names(1, 2), id="the block that is filled best"),
        pytest.param(None, 4, names(1, 6), id="a larger one gets two neighbours"),
        pytest.param([1, 4, 7, 8, 9, 10], 4, names(7, 10), id="two neighbours that hold it together"),
        pytest.param([3, 4, 5, 7, 8, 9], 5, (*names(7, 9), *names(4, 5)), id="no pair holds it: few blocks of all"),
    ],
)
def test_blocks(free: list[int] | None, nodes: int, expected: tuple[str, ...]) -> None:
    assert first_list(Block(), BLOCKS, free=free, nodes_min=nodes) == list(expected)


@pytest.mark.parametrize(
    ("free", "request_", "expected"),
    [
        pytest.param(None, {"nodes_min": 2, "segment": 2}, ["n1", "n2"], id="one segment"),
        pytest.param(None, {"nodes_min": 4, "segment": 2}, ["n1", "n2", "n4", "n5"], id="one segment a block"),
        pytest.param([1, 4, 5, 7, 8], {"nodes_min": 4, "segment": 2}, ["n4", "n5", "n7", "n8"], id="not across blocks"),
        pytest.param([1, 4, 5, 7], {"nodes_min": 4, "segment": 2}, None, id="too few whole segments"),
        pytest.param(None, {"nodes_min": 4, "segment": 4}, None, id="a segment larger than every block"),
        pytest.param(
            None,
            {"nodes_min": 4, "segment": 2, "required": frozenset({11})},
            ["n12", "n10", "n7", "n8"],
            id="with a required node",
        ),
        pytest.param(
            None,
            {"nodes_min": 4, "segment": 2, "required": frozenset({0, 11})},
            ["n1", "n2", "n12", "n10"],
            id="with required nodes in two blocks",
        ),
    ],
)
def test_segments_lie_in_one_block_each(free: list[int] | None, request_: dict, expected: list[str] | None) -> None:
    assert first_list(Block(), BLOCKS, free=free, **request_) == expected


def test_segments_go_on_until_all_tasks_fit() -> None:
    """Eight tasks on nodes of one need eight nodes: four blocks with a segment of two each."""
    found = first_list(Block(), BLOCKS, tasks=8, segment=2)

    assert found == ["n1", "n2", "n4", "n5", "n7", "n8", "n10", "n11"]


def test_a_dragonfly_takes_few_groups_and_a_node_of_each_in_turn() -> None:
    assert first_list(Dragonfly(), UNEVEN, nodes_min=3) == list(names(5, 7))
    assert first_list(Dragonfly(), UNEVEN, nodes_min=6) == ["n1", "n8", "n2", "n9", "n3", "n4"]


@pytest.mark.parametrize(
    ("free", "nodes", "expected"),
    [
        pytest.param(None, 3, {"n1", "n2", "n3"}, id="a line"),
        pytest.param(None, 4, {"n1", "n2", "n4", "n5"}, id="a square has less surface than nothing else of four"),
        pytest.param([1, 3], 2, {"n1", "n3"}, id="across the edge"),
        pytest.param([1, 7], 2, {"n1", "n7"}, id="through the first dimension"),
        pytest.param([1, 2, 5, 6], 3, {"n1", "n2", "n5"}, id="with a hole where others run"),
    ],
)
def test_a_torus_gives_the_smallest_box(free: list[int] | None, nodes: int, expected: set[str]) -> None:
    found = first_list(Torus3d(), TORUS, free=free, nodes_min=nodes)

    assert found is not None
    assert set(found) == expected


def test_a_torus_box_has_the_required_nodes() -> None:
    found = first_list(Torus3d(), TORUS, nodes_min=2, required=frozenset({11}))

    assert found is not None
    assert "n12" in found
    assert len(found) == 2


def test_a_ring_gives_neighbours_across_its_seam() -> None:
    assert first_list(Ring(), RING, free=[1, 2, 6, 8, 11, 12], nodes_min=4) == ["n1", "n2", "n11", "n12"]


@pytest.mark.parametrize(
    ("plugin", "topology", "expected"),
    [
        pytest.param(Tree(), UNEVEN, ("top.t1.s1.n1", "switch.switch.switch.node"), id="tree"),
        pytest.param(Block(), BLOCKS, ("b1.n1", "block.node"), id="block"),
        pytest.param(Dragonfly(), UNEVEN, ("s1.n1", "switch.node"), id="dragonfly"),
        pytest.param(Torus3d(), TORUS, ("t.n1", "torus.node"), id="torus3d"),
        pytest.param(Flat(), Topology(), ("n1", "node"), id="flat"),
    ],
)
def test_an_address_is_the_way_from_the_top(
    plugin: TopologyPlugin, topology: Topology, expected: tuple[str, str]
) -> None:
    assert plugin.build(topology, NODES).address(0) == expected


def test_an_address_leaves_a_level_empty_that_its_branch_has_not() -> None:
    """As Slurm 22.05 was seen to print it."""
    assert Tree().build(UNEVEN, NODES).address(7) == ("top..s3.n8", "switch.switch.switch.node")


def test_switches_are_shown_with_their_level_and_all_nodes_below() -> None:
    views = Tree().build(UNEVEN, NODES).views()

    assert views[3].fields == (
        ("SwitchName", "t1"),
        ("Level", "1"),
        ("LinkSpeed", "1"),
        ("Nodes", "n[1-7]"),
        ("Switches", "s[1-2]"),
    )


def test_blocks_are_shown_with_those_that_they_form_together() -> None:
    views = Block().build(BLOCKS, NODES).views()

    assert [dict(view.fields) for view in views[3:5]] == [
        {"BlockName": "b4", "BlockIndex": "3", "Nodes": "n[10-12]", "BlockSize": "3"},
        {"AggregatedBlock": "b[1-2]", "BlockIndex": "4", "Nodes": "n[1-6]", "BlockSize": "6"},
    ]


def test_networks_are_found_by_the_names_of_the_configuration() -> None:
    networks = build_networks((UNEVEN, Topology(name="racks", plugin="block", is_default=False)), NODES)

    assert networks[""] is networks["default"]
    assert networks["racks"].map is not networks[""].map


def test_an_unknown_topology_plugin_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(PluginError, match=r"'hypercube'.*block.*torus3d.*tree"):
        build_networks((Topology(plugin="hypercube"),), NODES)


@settings(max_examples=100)
@given(
    leaf_of=st.lists(st.integers(0, 4), min_size=1, max_size=10),
    offers=st.lists(st.integers(1, 5), min_size=10, max_size=10),
    tasks=st.integers(1, 20),
    nodes=st.tuples(st.integers(1, 6), st.integers(0, 3)),
)
def test_the_leaves_chosen_hold_the_request_whenever_all_do(leaf_of, offers, tasks, nodes) -> None:
    """holds(choose(leaves)) == holds(leaves), and no leaf stands twice."""
    request = TopologyRequest(max(tasks, nodes[0]), nodes[0], nodes[0] + nodes[1] if nodes[1] else 0)
    found = LeafOffers(leaf_of, range(len(leaf_of)), offers[: len(leaf_of)], request)

    chosen = found.choose(found.nodes)

    assert (chosen is not None) == found.holds(list(found.nodes))
    if chosen is not None:
        assert found.holds(chosen)
        assert len(set(chosen)) == len(chosen)


def test_enough_nodes_are_not_enough_when_they_hold_too_few_tasks() -> None:
    """The leaf of three nodes is not taken for the one node with eight CPUs alone, nor the other way round."""
    found = LeafOffers([0, 1, 1, 1, 2], range(5), [8, 1, 1, 1, 1], TopologyRequest(10, 3, 0))

    assert sorted(found.choose([0, 1, 2]) or ()) == [0, 1]
