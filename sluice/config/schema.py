"""Every key that a configuration may hold, as one table per kind of line; the rows are next door.

Which line a line is, is told by its first key: NodeName, DownNodes, NodeSet, FrontendName, PartitionName;
any other line holds one cluster-wide key.
"""

from __future__ import annotations

from sluice.config.key import Table
from sluice.config.schema_cluster import CLUSTER
from sluice.config.schema_objects import CGROUP, DOWN_NODES, FRONTEND, GRES_LINE, NODE, NODE_SET, PARTITION
from sluice.config.schema_topology import TOPOLOGY_TABLES

#: First key of a line, in lower case -> its table.
TABLE_BY_FIRST_KEY: dict[str, Table] = {
    table.keys[0].name.lower(): table for table in (NODE, DOWN_NODES, NODE_SET, FRONTEND, PARTITION)
}
#: Every table, by the file that holds such lines.
TABLES_BY_FILE: dict[str, tuple[Table, ...]] = {
    "sluice.conf": (CLUSTER, NODE, DOWN_NODES, NODE_SET, FRONTEND, PARTITION),
    "gres.conf": (GRES_LINE,),
    "cgroup.conf": (CGROUP,),
    "topology.conf": tuple(TOPOLOGY_TABLES.values()),
}

__all__ = [
    "CGROUP",
    "CLUSTER",
    "DOWN_NODES",
    "FRONTEND",
    "GRES_LINE",
    "NODE",
    "NODE_SET",
    "PARTITION",
    "TABLES_BY_FILE",
    "TABLE_BY_FIRST_KEY",
]
