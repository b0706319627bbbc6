"""scontrol show topology: which units a name picks."""

from __future__ import annotations

import pytest

from sluice.model.topology import Topology, TopologyUnit
from sluice.wire.messages import QueryTopology
from sluice_plugins.registry import build_networks
from sluicectld.rpc.topology import select_units

FABRIC = Topology(
    name="fabric",
    plugin="tree",
    units=(
        TopologyUnit(name="s1", nodes=("n1", "n2")),
        TopologyUnit(name="s2", nodes=("n3", "n4")),
        TopologyUnit(name="top", children=("s1", "s2")),
    ),
)
RACKS = Topology(
    name="racks",
    plugin="block",
    is_default=False,
    units=(TopologyUnit(name="b1", kind="block", nodes=("n1", "n2", "n3", "n4")),),
    block_sizes=(4,),
)
NETWORKS = build_networks((FABRIC, RACKS), ["n1", "n2", "n3", "n4"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(QueryTopology(), ["s1", "s2", "top"], id="the default topology"),
        pytest.param(QueryTopology(name="racks"), ["b1"], id="a topology"),
        pytest.param(QueryTopology(name="s1"), ["s1"], id="a switch"),
        pytest.param(QueryTopology(name="n3"), ["s2", "top"], id="a node"),
        pytest.param(QueryTopology(node="n3"), ["s2", "top"], id="node="),
        pytest.param(QueryTopology(name="fabric", unit="top"), ["top"], id="a topology and unit="),
        pytest.param(QueryTopology(name="nope"), [], id="nothing of that name"),
        pytest.param(QueryTopology(unit="s1", node="n3"), [], id="a node that the unit does not have"),
    ],
)
def test_a_name_picks_units(query: QueryTopology, expected: list[str]) -> None:
    views = select_units(NETWORKS, query, 0.0)

    assert [unit.name for unit in views.units] == expected
    assert not views.is_flat


def test_a_flat_network_has_nothing_to_show() -> None:
    assert select_units({}, QueryTopology(), 0.0).is_flat
