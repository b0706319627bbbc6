"""Laws of placement by a topology, for random networks, offers and requests."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sluice.model.topology import Topology, TopologyUnit
from sluice_plugins.registry import Network
from sluicectld.scheduler.arrange import Arranger, candidate_lists
from sluicectld.scheduler.needs import Needs
from sluicectld.scheduler.place import Placement, place

NODES = [f"n{number}" for number in range(12)]


def _split(cuts: Sequence[int]) -> list[tuple[str, ...]]:
    edges = [0, *sorted(cuts), len(NODES)]
    return [tuple(NODES[first:last]) for first, last in itertools.pairwise(edges)]


@st.composite
def topologies(draw: st.DrawFn, plugin: str) -> Topology:
    """A network in which every node can reach every other."""
    if plugin in ("torus3d", "ring"):
        size = draw(st.sampled_from([(2, 2, 3), (1, 3, 4), (3, 4, 1), (1, 1, 12)]))
        nodes = tuple(draw(st.permutations(NODES)))
        unit = TopologyUnit(name="t", kind="torus", nodes=nodes, dimensions=size if plugin == "torus3d" else ())
        return Topology(plugin=plugin, units=(unit,))
    groups = _split(draw(st.lists(st.integers(1, 11), unique=True, max_size=5)))
    if plugin == "block":
        units = tuple(TopologyUnit(name=f"b{place}", kind="block", nodes=each) for place, each in enumerate(groups))
        base = min(map(len, groups))
        return Topology(plugin=plugin, units=units, block_sizes=(base, 2 * base, 4 * base)[: draw(st.integers(1, 3))])
    leaves = [TopologyUnit(name=f"s{place}", nodes=each) for place, each in enumerate(groups)]
    middle = draw(st.integers(0, len(leaves)))
    names = [leaf.name for leaf in leaves]
    upper = [TopologyUnit(name="low", children=tuple(names[:middle]))] if middle else []
    top = TopologyUnit(name="top", children=(*(["low"] if middle else []), *names[middle:]))
    return Topology(plugin=plugin, units=tuple(draw(st.permutations([*leaves, *upper, top]))))


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[int, int], Needs, frozenset[int]]:
    """Offers by position, what is asked, and required nodes that offer something."""
    offers = dict(enumerate(draw(st.lists(st.integers(0, 3), min_size=12, max_size=12))))
    nodes_min = draw(st.integers(1, 8))
    nodes_max = draw(st.sampled_from([0, nodes_min, nodes_min + 2]))
    tasks = draw(st.integers(nodes_min, 16))
    useful = [position for position, offer in offers.items() if offer]
    required = frozenset(draw(st.lists(st.sampled_from(useful), max_size=2)) if useful else ())
    needs = Needs(
        tasks=max(tasks, len(required)),
        cpus_per_task=1,
        nodes_min=max(nodes_min, len(required)),
        nodes_max=nodes_max and max(nodes_max, len(required)),
        is_ranged=nodes_max > nodes_min,
        has_task_count=True,
    )
    return offers, needs, required


def place_near(
    topology: Topology, offers: dict[int, int], needs: Needs, required: frozenset[int], names: Sequence[str] = NODES
) -> Placement | None:
    arranger = Arranger(Network(topology, NODES), names)
    candidates = list(offers)
    for near in candidate_lists(arranger, candidates, offers.__getitem__, needs, required):
        placement = place(near, offers.__getitem__, needs, required)
        if placement is not None:
            return placement
    return None


PLUGINS = ("flat", "tree", "block", "dragonfly", "torus3d", "ring")
each_plugin = pytest.mark.parametrize("plugin", PLUGINS)
several = settings(max_examples=25)


@each_plugin
@several
@given(data=st.data(), request_=requests())
def test_a_placement_has_offered_nodes_and_keeps_every_bound(plugin, data, request_) -> None:
    """Only offered nodes, no more tasks than they hold, all tasks, as many nodes as are allowed."""
    offers, needs, required = request_
    placement = place_near(data.draw(topologies(plugin)), offers, needs, required)
    assume(placement is not None)

    chosen = dict(placement)
    assert len(chosen) == len(placement)
    assert all(0 < tasks <= offers[position] for position, tasks in placement)
    assert sum(chosen.values()) == needs.tasks
    assert needs.nodes_min <= len(chosen) <= (needs.nodes_max or len(NODES))
    assert required <= chosen.keys()


@each_plugin
@several
@given(data=st.data(), request_=requests())
def test_a_placement_exists_whenever_it_exists_without_a_topology(plugin, data, request_) -> None:
    """In a network that is connected; --switches and --segment aside."""
    offers, needs, required = request_
    without = place(list(offers), offers.__getitem__, needs, required)
    near = place_near(data.draw(topologies(plugin)), offers, needs, required)

    assert (near is None) == (without is None)


@several
@given(data=st.data(), request_=requests())
def test_a_flat_topology_places_as_no_topology_does(data, request_) -> None:
    """place_near(flat, ...) == place(...)."""
    offers, needs, required = request_

    assert place_near(Topology(), offers, needs, required) == place(list(offers), offers.__getitem__, needs, required)


@pytest.mark.parametrize("plugin", ["tree", "block", "dragonfly"])
@several
@given(data=st.data(), request_=requests())
def test_a_job_that_one_leaf_holds_gets_one_leaf(plugin, data, request_) -> None:
    """One leaf switch, one block, one group."""
    offers, needs, required = request_
    topology = data.draw(topologies(plugin))
    leaves = [{NODES.index(name) for name in unit.nodes} for unit in topology.units if unit.nodes]
    fitting = [
        leaf
        for leaf in leaves
        if place([each for each in offers if each in leaf], offers.__getitem__, needs, required) is not None
    ]
    assume(fitting)

    placement = place_near(topology, offers, needs, required)

    assert placement is not None
    assert any({position for position, _ in placement} <= leaf for leaf in fitting)


@pytest.mark.parametrize("plugin", ["tree", "block", "dragonfly"])
@several
@given(data=st.data(), request_=requests(), most=st.integers(1, 3))
def test_no_placement_has_more_leaves_than_asked(plugin, data, request_, most: int) -> None:
    """--switches=most."""
    offers, needs, required = request_
    topology = data.draw(topologies(plugin))
    needs = Needs(
        needs.tasks, 1, needs.nodes_min, needs.nodes_max, is_ranged=needs.is_ranged, has_task_count=True,
        switches_max=most,
    )  # fmt: skip
    placement = place_near(topology, offers, needs, required)
    assume(placement is not None)

    names = {NODES[position] for position, _ in placement}
    assert sum(1 for unit in topology.units if names & set(unit.nodes)) <= most


@several
@given(data=st.data(), request_=requests(), segment=st.integers(1, 4), count=st.integers(1, 4))
def test_every_block_has_whole_segments(data, request_, segment: int, count: int) -> None:
    """--segment=n with a number of nodes that it divides."""
    offers, _, _ = request_
    topology = data.draw(topologies("block"))
    nodes = segment * count
    needs = Needs(nodes, 1, nodes, nodes, has_task_count=True, segment=segment)
    placement = place_near(topology, offers, needs, frozenset())
    room = sum(sum(1 for name in unit.nodes if offers[NODES.index(name)]) // segment for unit in topology.units)

    assert (placement is not None) == (room >= count)
    if placement is not None:
        names = {NODES[position] for position, _ in placement}
        assert all(len(names & set(unit.nodes)) % segment == 0 for unit in topology.units)


@pytest.mark.parametrize("plugin", ["tree", "dragonfly"])
@several
@given(data=st.data(), request_=requests())
def test_the_order_of_the_units_does_not_matter(plugin, data, request_) -> None:
    """Blocks have an order, because neighbouring ones form larger ones; switches have none."""
    offers, needs, required = request_
    topology = data.draw(topologies(plugin))
    turned = Topology(plugin=plugin, units=tuple(data.draw(st.permutations(topology.units))))

    assert place_near(topology, offers, needs, required) == place_near(turned, offers, needs, required)


@each_plugin
@several
@given(data=st.data(), request_=requests())
def test_a_pass_may_see_the_nodes_in_another_order(plugin, data, request_) -> None:
    """A snapshot of other positions gives the same nodes as long as the first choice is the same."""
    offers, needs, required = request_
    topology = data.draw(topologies(plugin))
    names = [*NODES[6:], *NODES[:6]]
    there = {(position + 6) % 12: offer for position, offer in offers.items()}
    arranger = Arranger(Network(topology, NODES), NODES)
    moved = Arranger(Network(topology, NODES), names)
    moved_required = frozenset((position + 6) % 12 for position in required)

    here = [
        [NODES[each] for each in near] for near in arranger.lists(list(offers), offers.__getitem__, needs, required)
    ]

    assert here == [
        [names[each] for each in near] for near in moved.lists(list(there), there.__getitem__, needs, moved_required)
    ]


@pytest.mark.parametrize("plugin", ["torus3d", "ring"])
@several
@given(data=st.data(), nodes=st.integers(1, 12), taken=st.sets(st.integers(0, 11)))
def test_no_smaller_box_holds_a_job_on_a_torus(plugin, data, nodes: int, taken: set[int]) -> None:
    """Compared with all boxes, counted one by one."""
    topology = data.draw(topologies(plugin))
    offers = {position: int(position not in taken) for position in range(12)}
    needs = Needs(nodes, 1, nodes, nodes, has_task_count=True)
    placement = place_near(topology, offers, needs, frozenset())
    assume(placement is not None)
    unit = topology.units[0]
    size = unit.dimensions or (1, 1, 12)
    volumes = {
        box[0] * box[1] * box[2]
        for box in itertools.product(*(range(1, each + 1) for each in size))
        for corner in itertools.product(*map(range, size))
        if sum(offers[NODES.index(unit.nodes[each])] for each in _box(size, box, corner)) >= nodes
    }
    chosen = {position for position, _ in placement}
    held = [
        box[0] * box[1] * box[2]
        for box in itertools.product(*(range(1, each + 1) for each in size))
        for corner in itertools.product(*map(range, size))
        if chosen <= {NODES.index(unit.nodes[each]) for each in _box(size, box, corner)}
    ]

    assert min(held) == min(volumes)


def _box(size, box, corner) -> list[int]:
    return [
        ((corner[0] + x) % size[0] * size[1] + (corner[1] + y) % size[1]) * size[2] + (corner[2] + z) % size[2]
        for x in range(box[0])
        for y in range(box[1])
        for z in range(box[2])
    ]
