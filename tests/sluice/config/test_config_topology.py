"""topology.conf and topology.yaml: what they come to, and what is said of mistakes, with file, line and key."""

import pytest

from sluice.config.load import inspect, load
from sluice.model.topology import Topology, TopologyUnit
from tests.sluice.config.conftest import ConfigFolder as Folder

NODES = "NodeName=n[1-8] CPUs=4"


def topologies(folder: Folder, file: str, text: str, plugin: str = "") -> tuple[Topology, ...]:
    folder.file(file, text)
    return load(folder.write(settings=f"TopologyPlugin={plugin}" if plugin else "", nodes=NODES)).topologies


def errors(folder: Folder, file: str, text: str, plugin: str = "", partitions: str = "") -> list[str]:
    folder.file(file, text)
    path = folder.write(
        settings=f"TopologyPlugin={plugin}" if plugin else "",
        nodes=NODES,
        partitions=partitions or "PartitionName=batch Nodes=ALL Default=YES",
    )
    return [str(error).removeprefix(f"{folder.folder}/") for error in inspect(path).errors]


TREE = "SwitchName=leaf1 Nodes=n[1-4]\nSwitchName=leaf2 Nodes=n[5-8] LinkSpeed=100\nSwitchName=top Switches=leaf[1-2]\n"


def test_without_a_plugin_the_network_is_flat(folder: Folder) -> None:
    assert topologies(folder, "topology.conf", TREE) == ()


def test_switches_of_topology_conf(folder: Folder) -> None:
    (tree,) = topologies(folder, "topology.conf", TREE, "topology/tree")

    assert (tree.name, tree.plugin, tree.is_default) == ("default", "tree", True)
    assert tree.units == (
        TopologyUnit(name="leaf1", nodes=("n1", "n2", "n3", "n4")),
        TopologyUnit(name="leaf2", nodes=("n5", "n6", "n7", "n8"), link_speed=100),
        TopologyUnit(name="top", children=("leaf1", "leaf2")),
    )


def test_lines_of_other_kinds_are_left_aside(folder: Folder) -> None:
    (block,) = topologies(
        folder, "topology.conf", TREE + "BlockName=b1 Nodes=n[1-8]\nBlockSizes=4,8\n", "topology/block"
    )

    assert [unit.name for unit in block.units] == ["b1"]
    assert block.block_sizes == (4, 8)


def test_a_base_block_is_as_large_as_the_smallest_block_unless_said(folder: Folder) -> None:
    (block,) = topologies(
        folder, "topology.conf", "BlockName=b1 Nodes=n[1-5]\nBlockName=b2 Nodes=n[6-8]\n", "topology/block"
    )

    assert block.block_sizes == (3,)


def test_a_torus_keeps_the_order_that_is_written(folder: Folder) -> None:
    (torus,) = topologies(folder, "topology.conf", "TorusName=t Nodes=n8,n[1-7] Size=2x2x2\n", "topology/torus3d")

    assert torus.units[0].nodes[:2] == ("n8", "n1")
    assert torus.units[0].dimensions == (2, 2, 2)


def test_topology_parameters_come_with_each_topology(folder: Folder) -> None:
    folder.file("topology.conf", TREE)
    config = load(
        folder.write(settings="TopologyPlugin=topology/tree\nTopologyParam=TopoOptional,RouteTree", nodes=NODES)
    )

    assert config.topologies[0].parameters == ("routetree", "topooptional")


YAML = """---
# two networks
- topology: fabric
  cluster_default: true
  tree:
    switches:
      - switch: top
        children: leaf[1-2]
      - switch: leaf1
        nodes: n[1-4]
      - switch: leaf2
        nodes: n[5-8]
- topology: racks
  cluster_default: false
  block:
    block_sizes: [4, 8]
    blocks:
      - block: b1
        nodes: n[1-4]
      - block: b2
        nodes: n[5-8]
- topology: none
  flat: true
"""


def test_topology_yaml_has_several_and_wins_over_topology_conf(folder: Folder) -> None:
    folder.file("topology.conf", "SwitchName=nonsense\n")

    found = topologies(folder, "topology.yaml", YAML, "topology/tree")

    assert [(each.name, each.plugin, each.is_default) for each in found] == [
        ("fabric", "tree", True),
        ("racks", "block", False),
        ("none", "flat", False),
    ]
    assert found[0].units[0] == TopologyUnit(name="top", children=("leaf1", "leaf2"))
    assert found[1].block_sizes == (4, 8)


def test_a_yaml_torus_and_a_yaml_ring(folder: Folder) -> None:
    text = (
        "- topology: t\n  torus3d:\n    tori: [{torus: t1, nodes: 'n[1-8]', size: 2x2x2}]\n"
        "- topology: r\n  ring:\n    rings: [{ring: r1, nodes: 'n[1-8]'}]\n"
    )

    found = topologies(folder, "topology.yaml", text)

    assert [(each.plugin, each.units[0].dimensions, each.is_default) for each in found] == [
        ("torus3d", (2, 2, 2), True),
        ("ring", (), False),
    ]


def test_a_partition_names_its_topology(folder: Folder) -> None:
    folder.file("topology.yaml", YAML)
    config = load(folder.write(nodes=NODES, partitions="PartitionName=gpu Nodes=ALL Topology=racks"))

    assert config.partitions[0].topology == "racks"


def test_a_change_of_the_topology_is_a_change_of_the_configuration(folder: Folder) -> None:
    folder.file("topology.conf", TREE)
    before = load(folder.write(settings="TopologyPlugin=topology/tree", nodes=NODES))
    folder.file("topology.conf", TREE.replace("LinkSpeed=100", ""))

    assert load(folder.write(settings="TopologyPlugin=topology/tree", nodes=NODES)).digest != before.digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("SwitchName=a Nodes=n[1-9]", "topology.conf:1: Nodes: 'n9': no such node", id="an unknown node"),
        pytest.param("SwitchName=a Nodes=n[1-", "topology.conf:1: Nodes: 'n[1-' is not a hostlist", id="no hostlist"),
        pytest.param(
            "SwitchName=a Nodes=n[1-4]\nSwitchName=b Nodes=n[4-8]",
            "topology.conf:2: Nodes: node 'n4' is in switch 'a' already",
            id="a node at two leaf switches",
        ),
        pytest.param(
            "SwitchName=a Nodes=n[1-8]\nSwitchName=b Switches=c\nSwitchName=c Switches=b",
            "topology.conf:2: Switches: switch 'b' is below itself: b -> c -> b",
            id="a loop",
        ),
        pytest.param(
            "SwitchName=a Nodes=n[1-8]\nSwitchName=b Switches=aa",
            "topology.conf:2: Switches: 'aa': no such switch; did you mean 'a'?",
            id="an unknown switch",
        ),
        pytest.param(
            "SwitchName=a Nodes=n[1-8]\nSwitchName=b Switches=a\nSwitchName=c Switches=a",
            "topology.conf:3: Switches: switch 'a' is below 'b' already",
            id="two parents",
        ),
        pytest.param(
            "SwitchName=a Nodes=n[1-4]\nSwitchName=a Nodes=n[5-8]",
            "topology.conf:2: switch: switch 'a' stands already at",
            id="a name twice",
        ),
        pytest.param(
            "SwitchName=a Nodes=n1 Switches=b", "topology.conf:1: Switches: excludes Nodes", id="nodes and switches"
        ),
        pytest.param(
            "SwitchName=a", "topology.conf:1: Nodes: missing; switch 'a' needs Nodes or Switches", id="nothing"
        ),
        pytest.param(
            "SwitchNmae=a Nodes=n1", "topology.conf:1: SwitchNmae: a line of topology.conf begins with one of", id="key"
        ),
        pytest.param(
            "SwitchName=a Node=n1",
            "topology.conf:1: Node: 'Node' is not a switch key; did you mean 'Nodes'?",
            id="a misspelled key",
        ),
        pytest.param("", "topology.conf:1: SwitchName: missing; TopologyPlugin=topology/tree needs", id="no line"),
    ],
)
def test_mistakes_in_a_tree_are_told_with_their_place(folder: Folder, text: str, expected: str) -> None:
    found = errors(folder, "topology.conf", text + "\n", "topology/tree")

    assert found
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("plugin", "text", "expected"),
    [
        pytest.param(
            "block",
            "BlockName=a Nodes=n[1-4]\nBlockName=b Nodes=n[5-7]\nBlockSizes=4",
            "topology.conf:2: Nodes: block 'b' has 3 nodes, a base block has 4 (BlockSizes)",
            id="a block that is too small",
        ),
        pytest.param(
            "block",
            "BlockName=a Nodes=n[1-4]\nBlockSizes=2,6",
            "topology.conf:2: BlockSizes: 6 is not 2 times 2, 4, 8",
            id="a size that is no doubling",
        ),
        pytest.param(
            "block", "BlockName=a Nodes=n1\nBlockSizes=x", "topology.conf:2: BlockSizes: block sizes", id="no number"
        ),
        pytest.param(
            "torus3d",
            "TorusName=t Nodes=n[1-8] Size=2x2x3",
            "topology.conf:1: Size: 2x2x3 has 12 places, Nodes names 8 nodes",
            id="a torus with holes",
        ),
        pytest.param(
            "torus3d", "TorusName=t Nodes=n[1-8]", "topology.conf:1: Size: missing", id="a torus without size"
        ),
    ],
)
def test_mistakes_in_other_kinds_are_told_with_their_place(
    folder: Folder, plugin: str, text: str, expected: str
) -> None:
    found = errors(folder, "topology.conf", text + "\n", f"topology/{plugin}")

    assert found
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("- topology: a\n  tree: [", "topology.yaml:2: no YAML: ", id="no YAML"),
        pytest.param("", "topology.yaml:1: a list of topologies expected", id="an empty file"),
        pytest.param("topology: a\nflat: true\n", "topology.yaml:1: a list of topologies expected", id="no list"),
        pytest.param(
            "- topology: a\n  tre:\n    switches: []\n",
            "topology.yaml:2: tre: not a key here; did you mean 'tree'?",
            id="a misspelled kind",
        ),
        pytest.param("- topology: a\n", "topology.yaml:1: topology: exactly one of flat, tree", id="no kind"),
        pytest.param("- flat: true\n", "topology.yaml:1: topology: missing", id="no name"),
        pytest.param(
            "- topology: a\n  cluster_default: perhaps\n  flat: true\n",
            "topology.yaml:2: cluster_default: true or false expected; 'perhaps'",
            id="no truth",
        ),
        pytest.param(
            "- topology: a\n  tree:\n    switches:\n      - switch: s\n        nodes: n[1-9]\n",
            "topology.yaml:4: nodes: 'n9': no such node",
            id="an unknown node",
        ),
        pytest.param(
            "- topology: a\n  flat: true\n- topology: a\n  flat: true\n",
            "topology.yaml:3: topology: 'a' stands twice",
            id="a name twice",
        ),
        pytest.param(
            "- topology: a\n  block:\n    block_sizes: [two]\n    blocks: [{block: b, nodes: n1}]\n",
            "topology.yaml:3: block_sizes: a whole number, 1 to",
            id="a size that is no number",
        ),
    ],
)
def test_mistakes_in_topology_yaml_are_told_with_their_place(folder: Folder, text: str, expected: str) -> None:
    found = errors(folder, "topology.yaml", text)

    assert found
    assert found[0].startswith(expected)


def test_a_partition_with_an_unknown_topology_is_told_the_nearest(folder: Folder) -> None:
    found = errors(
        folder, "topology.yaml", YAML, partitions="PartitionName=a Nodes=ALL\nPartitionName=b Nodes=n1 Topology=rack"
    )

    assert found == ["sluice.conf:7: Topology: no topology is called 'rack'; did you mean 'racks'?"]


def test_nodes_in_no_switch_are_a_warning(folder: Folder) -> None:
    folder.file("topology.conf", "SwitchName=a Nodes=n[1-6]\n")

    config = load(folder.write(settings="TopologyPlugin=topology/tree", nodes=NODES))

    (warning,) = config.warnings
    assert (warning.line, warning.key) == (1, "Nodes")
    assert warning.message == "2 nodes are in no switch: n[7-8]; a job on several nodes may not get them"
