"""What the configuration says of one node's hardware, for its agent: a record small enough to be sent."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from sluice.config.records import ClusterConfig, GresLine


class NodeSetup(msgspec.Struct, frozen=True, kw_only=True):
    """gres: (name, type, count).  gres_lines: of gres.conf, those that speak of the node, no names in them.

    is_believed: what is configured counts, whatever there is.
    """

    cpus: int
    sockets: int = 1
    cores_per_socket: int = 1
    threads_per_core: int = 1
    cpu_bind: str = "none"
    gres: tuple[tuple[str, str, int], ...] = ()
    gres_lines: tuple[GresLine, ...] = ()
    is_believed: bool = False


class GresLines:
    """The lines of gres.conf by node; those of every node come first."""

    def __init__(self, config: ClusterConfig) -> None:
        self._everywhere = [line for line in config.gres if not line.node_names]
        self._by_name: dict[str, list[GresLine]] = {}
        for line in config.gres:
            for name in line.node_names:
                self._by_name.setdefault(name, []).append(line)

    def of(self, name: str) -> list[GresLine]:
        return [*self._everywhere, *self._by_name.get(name, ())]


class NodeSetups:
    """The setups of a configuration's nodes, made when they are asked for."""

    def __init__(self, config: ClusterConfig) -> None:
        self._lines = GresLines(config)
        self._nodes = {node.name: node for node in config.nodes}
        self._is_believed = "config_overrides" in config.settings.slurmd_parameters

    def of(self, name: str) -> NodeSetup | None:
        node = self._nodes.get(name)
        if node is None:
            return None
        return NodeSetup(
            cpus=node.cpus,
            sockets=node.sockets,
            cores_per_socket=node.cores_per_socket,
            threads_per_core=node.threads_per_core,
            cpu_bind=node.cpu_bind,
            gres=node.gres,
            # Of all the nodes that a line may name, an agent needs to know none.
            gres_lines=tuple(replace(line, node_names=()) for line in self._lines.of(name)),
            is_believed=self._is_believed,
        )
