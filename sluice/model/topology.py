"""How the nodes are wired: switches, blocks or tori as configured.  What that means for placement is a plugin's."""

from .base import Record


class TopologyUnit(Record, frozen=True, kw_only=True):
    """One switch, block, ring or torus.

    kind: the notation's word, "switch", "block", "ring" or "torus".  nodes: directly in it; a switch has either nodes
    or children (names of switches).  dimensions: of a torus; its nodes fill it, the last dimension running fastest.
    """

    name: str
    kind: str = "switch"
    nodes: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    #: In units of the site's choice; shown, not used.
    link_speed: int = 1
    dimensions: tuple[int, ...] = ()


class Topology(Record, frozen=True, kw_only=True):
    """One way to see the cluster's network.  units: in the order of the file, of the one kind that the plugin reads.

    plugin: its name without "topology/".  block_sizes: nodes of a base block and of the larger ones, ascending.
    parameters: the words of TopologyParam in lower case.
    """

    name: str = "default"
    plugin: str = "flat"
    is_default: bool = True
    units: tuple[TopologyUnit, ...] = ()
    block_sizes: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
