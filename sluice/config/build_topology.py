"""topology.yaml or topology.conf, which lie beside the main file, to the cluster's topologies.

topology.yaml has any number of them and wins where both files are; topology.conf has the one that TopologyPlugin
names, and its lines of other kinds (blocks for topology/tree) are left aside.  Without either the network is flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from sluice.config.build_partitions import NodeResolver
from sluice.config.grammar import Document, Line, read_document
from sluice.config.lines import LineReader
from sluice.config.problems import Problems, nearest
from sluice.config.records import NodeConfig, PartitionConfig
from sluice.config.schema_topology import TOPOLOGY_TABLES, UNIT_BY_PLUGIN
from sluice.config.settings import Settings
from sluice.config.topology_units import Draft, TopologyBuilder, name_some
from sluice.model.topology import Topology

CONF_NAME = "topology.conf"
YAML_NAME = "topology.yaml"


def read_topologies(
    main_path: Path, settings: Settings, nodes: Sequence[NodeConfig], resolver: NodeResolver, problems: Problems
) -> tuple[tuple[Topology, ...], Document]:
    """Return the topologies (none for a flat network) and what was read; what is wrong is reported."""
    names = [node.name for node in nodes]
    yaml_path, conf_path = main_path.parent / YAML_NAME, main_path.parent / CONF_NAME
    if yaml_path.is_file():
        # A site without the file has no use for the parser.
        from sluice.config.topology_yaml import read_yaml_topologies

        topologies, document = read_yaml_topologies(yaml_path, names, resolver, problems)
    else:
        plugin = settings.topology_plugin.removeprefix("topology/")
        document = read_document(conf_path, problems) if conf_path.is_file() else Document((), (), "")
        topologies = ()
        if plugin != "flat":
            topologies = (_build(conf_path, plugin, document, names, resolver, problems),)
    parameters = tuple(sorted({word.lower() for word in settings.topology_parameters}))
    return tuple([replace(each, parameters=parameters) for each in topologies]), document


def check_partitions(
    lines: Sequence[Line], partitions: Sequence[PartitionConfig], topologies: Sequence[Topology], problems: Problems
) -> None:
    """Report Topology= of partitions that names none."""
    known = [each.name for each in topologies] or ["default"]
    for partition in partitions:
        if partition.topology and partition.topology not in known:
            line = next((line for line in lines if line.pairs[0][1] == partition.name), lines[0])
            near = nearest(partition.topology, known)
            hint = f"; did you mean {near!r}?" if near else f"; known are {', '.join(known)}"
            problems.error(line.file, line.number, "Topology", f"no topology is called {partition.topology!r}{hint}")


def _build(
    path: Path, plugin: str, document: Document, names: Sequence[str], resolver: NodeResolver, problems: Problems
) -> Topology:
    drafts, sizes, sizes_at = _read_lines(document, problems)
    kind = UNIT_BY_PLUGIN.get(plugin)
    wanted = [draft for draft in drafts if kind in (None, draft.kind)]
    if kind is not None and not wanted and not problems.errors:
        story = f"missing; TopologyPlugin=topology/{plugin} needs at least one line of this key"
        problems.error(str(path), 1, f"{kind.capitalize()}Name", story)
    builder = TopologyBuilder(resolver, problems)
    topology = builder.build("default", plugin, wanted, sizes, sizes_at)
    missing = builder.missing_nodes(names)
    if missing and wanted:
        warn_missing(problems, wanted[-1], missing)
    return topology


def warn_missing(problems: Problems, last: Draft, missing: Sequence[str]) -> None:
    """Say which nodes stand alone because no unit has them."""
    count = "1 node is" if len(missing) == 1 else f"{len(missing)} nodes are"
    story = f"{count} in no {last.kind}: {name_some(missing)}; a job on several nodes may not get them"
    problems.warning(last.file, last.line, last.keys[0], story)


def _read_lines(document: Document, problems: Problems) -> tuple[list[Draft], tuple[int, ...], tuple[str, int, str]]:
    readers = {first: LineReader(table, problems) for first, table in TOPOLOGY_TABLES.items()}
    drafts: list[Draft] = []
    sizes: tuple[int, ...] = ()
    sizes_at = ("", 0, "BlockSizes")
    for line in document.lines:
        first = line.pairs[0][0]
        reader = readers.get(first.lower())
        if reader is None:
            known = ", ".join(table.keys[0].name for table in TOPOLOGY_TABLES.values())
            problems.error(line.file, line.number, first, f"a line of topology.conf begins with one of {known}")
            continue
        values = reader.read(line)
        if first.lower() == "blocksizes":
            sizes = cast("tuple[int, ...]", values.get("sizes", ()))
            sizes_at = (line.file, line.number, "BlockSizes")
            continue
        drafts.append(
            Draft(
                kind=reader.table.what,
                name=str(values.get("name", "")),
                file=line.file,
                line=line.number,
                nodes=str(values.get("nodes", "")),
                children=str(values.get("children", "")),
                link_speed=cast(int, values.get("link_speed", 1)),
                dimensions=cast("tuple[int, ...]", values.get("dimensions", ())),
            )
        )
    return drafts, sizes, sizes_at
