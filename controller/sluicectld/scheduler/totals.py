"""What the cluster and each partition have in all, for factors that are parts of it.

Counted once for a configuration: what a node has does not change while it is in force.  A partition whose nodes were
changed since then is counted anew.
"""

from collections.abc import Iterable, Mapping

import msgspec

from sluice import gres_spec, tres
from sluice.model.node import Node
from sluice.model.partition import Partition


class Totals(msgspec.Struct, frozen=True):
    """tres_by_node: nodes that are alike share one dict.  tres_by_partition: with the nodes that were counted.

    All names of TRES are in lower case.  licenses: of the whole cluster, and so of each partition.
    """

    nodes: int = 0
    cpus: int = 0
    tres_by_node: dict[str, tres.Tres] = {}
    tres_by_partition: dict[str, tuple[tuple[str, ...], tres.Tres]] = {}
    licenses: tres.Tres = {}

    def of_partition(self, partition: Partition) -> tres.Tres:
        """Return what the partition has."""
        nodes, counted = self.tres_by_partition.get(partition.name, ((), {}))
        if nodes is partition.nodes or nodes == partition.nodes:
            return counted
        return _count_partition(partition, self.tres_by_node, self.licenses)


def compute_totals(nodes: Iterable[Node], partitions: Iterable[Partition], licenses: Mapping[str, int]) -> Totals:
    """Return the totals of a configuration."""
    alike: dict[tuple[object, ...], tres.Tres] = {}
    by_node = {}
    for node in nodes:
        key = (node.cpus, node.memory_mib, node.gres)
        counts = alike.get(key)
        if counts is None:
            counts = alike[key] = _tres_of(node)
        by_node[node.name] = counts
    of_licenses = {f"license/{name.lower()}": count for name, count in licenses.items()}
    return Totals(
        len(by_node),
        sum(counts["cpu"] for counts in by_node.values()),
        by_node,
        {each.name: (each.nodes, _count_partition(each, by_node, of_licenses)) for each in partitions},
        of_licenses,
    )


def _tres_of(node: Node) -> tres.Tres:
    gres = gres_spec.to_tres((item.name.lower(), item.type.lower(), item.count) for item in node.gres)
    return {"cpu": node.cpus, "mem": node.memory_mib, "node": 1, "billing": node.cpus} | gres


def _count_partition(partition: Partition, by_node: dict[str, tres.Tres], licenses: tres.Tres) -> tres.Tres:
    """Return the sum over the partition's nodes; equal nodes are multiplied, not added."""
    times: dict[int, int] = {}
    kinds: dict[int, tres.Tres] = {}
    for name in partition.nodes:
        counts = by_node.get(name)
        if counts is not None:
            times[id(counts)] = times.get(id(counts), 0) + 1
            kinds[id(counts)] = counts
    return tres.add(*(tres.scale(kinds[key], count) for key, count in times.items()), licenses)
