"""A configuration file, and all that lies beside it, to one ClusterConfig.

Everything wrong is collected before anything is refused: load() raises ConfigErrors with every error,
inspect() returns them.  Read: the file and what it includes, partitions.d/*.conf in name order, gres.conf,
cgroup.conf, and topology.yaml or topology.conf beside it.

Invariant: a ClusterConfig that load() returns has a controller, at least one node, no two nodes or partitions
of one name, and partitions that name only nodes it has.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from sluice.config.build_files import build_cgroup, build_gres
from sluice.config.build_nodes import NodeBuilder, build_node_set
from sluice.config.build_partitions import NodeResolver, PartitionBuilder
from sluice.config.build_settings import SettingsBuilder
from sluice.config.build_topology import check_partitions, read_topologies
from sluice.config.grammar import Document, Line, read_document
from sluice.config.lines import LineReader
from sluice.config.problems import ConfigWarning, Problems, nearest
from sluice.config.records import ClusterConfig, NodeConfig, NodeSet
from sluice.config.schema import CLUSTER, FRONTEND, NODE_SET, TABLE_BY_FIRST_KEY
from sluice.errors import ConfigError


class Inspection(msgspec.Struct, frozen=True):
    """What reading a configuration came to: a config when there is no error in it."""

    path: str
    config: ClusterConfig | None
    errors: tuple[ConfigError, ...]
    warnings: tuple[ConfigWarning, ...]


def load(path: str | os.PathLike[str]) -> ClusterConfig:
    """Return the configuration of the main file *path*.

    Raises ConfigErrors, which carries every error and warning, when there is an error.
    """
    problems = Problems()
    config = _read(Path(path), problems)
    problems.raise_if_any()
    return config


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Return what *path* is, right or wrong; raises nothing for wrong content."""
    problems = Problems()
    config = _read(Path(path), problems)
    return Inspection(str(path), None if problems.errors else config, tuple(problems.errors), tuple(problems.warnings))


def _read(path: Path, problems: Problems) -> ClusterConfig:
    document = read_document(path, problems, with_partitions_folder=True)
    lines = _sort_lines(document, problems)
    settings_builder = SettingsBuilder(path, problems)
    for line in lines[""]:
        settings_builder.add(line)
    settings = settings_builder.build(is_read=bool(document.files))
    node_builder = _build_nodes(lines, settings_builder.default_port(), problems)
    nodes = tuple(node_builder.nodes_by_name.values())
    node_sets, resolver = _build_node_sets(lines["nodeset"], nodes, node_builder.refused_names, problems)
    partitions = PartitionBuilder(resolver, problems)
    for line in lines["partitionname"]:
        partitions.add(line)
    partitions.check_alternates()
    frontend_reader = LineReader(FRONTEND, problems)
    for line in lines["frontendname"]:
        frontend_reader.warn_no_effect(line, FRONTEND.keys[0].name)
    if document.files and not nodes and not problems.errors:
        problems.error(str(path), 1, "NodeName", "missing; a cluster needs at least one node")
    _check_gres_types(lines["nodename"], nodes, settings.gres_types, problems)
    beside = [_read_beside(path, name, problems) for name in ("gres.conf", "cgroup.conf")]
    topologies, topology_document = read_topologies(path, settings, nodes, resolver, problems)
    beside.append(topology_document)
    check_partitions(lines["partitionname"], tuple(partitions.partitions_by_name.values()), topologies, problems)
    gres = build_gres(beside[0].lines, problems)
    cgroup, raw_cgroup = build_cgroup(beside[1].lines, problems)
    return ClusterConfig(
        path=str(path),
        files=tuple(file for each in (document, *beside) for file in each.files),
        digest=hashlib.sha256("".join(each.digest for each in (document, *beside)).encode()).hexdigest(),
        settings=settings,
        raw_settings=settings_builder.raw,
        nodes=nodes,
        partitions=tuple(partitions.partitions_by_name.values()),
        node_sets=node_sets,
        gres=gres,
        cgroup=cgroup,
        raw_cgroup=raw_cgroup,
        topologies=topologies,
        warnings=tuple(problems.warnings),
    )


def _sort_lines(document: Document, problems: Problems) -> dict[str, list[Line]]:
    """Return the lines by their first key, cluster-wide ones under "".

    A line whose first key is unknown is one error, and stands where that key was most likely meant to put it.
    """
    lines: dict[str, list[Line]] = {"": [], **{first: [] for first in TABLE_BY_FIRST_KEY}}
    for line in document.lines:
        first = line.pairs[0][0].lower()
        if first not in lines and CLUSTER.find(first) is None:
            first, line = _meant_line(line, problems)
        lines.get(first, lines[""]).append(line)
    return lines


def _meant_line(line: Line, problems: Problems) -> tuple[str, Line]:
    name, value = line.pairs[0]
    beginnings = [table.keys[0].name for table in TABLE_BY_FIRST_KEY.values()]
    near = nearest(name, [*beginnings, *(key.name for key in CLUSTER.settable())])
    if near not in beginnings:
        # Of a cluster-wide key; what follows it cannot be judged by a key that is none.
        return "", Line(line.file, line.number, line.pairs[:1])
    problems.error(line.file, line.number, name, f"{name!r} begins no line; did you mean {near!r}?")
    return near.lower(), Line(line.file, line.number, ((near, value), *line.pairs[1:]))


def _build_nodes(lines: dict[str, list[Line]], port: int, problems: Problems) -> NodeBuilder:
    builder = NodeBuilder(port, problems)
    for line in lines["nodename"]:
        builder.add(line)
    for line in lines["downnodes"]:
        builder.add_down(line)
    builder.apply_down_nodes()
    return builder


def _build_node_sets(
    lines: list[Line], nodes: tuple[NodeConfig, ...], refused_names: set[str], problems: Problems
) -> tuple[tuple[NodeSet, ...], NodeResolver]:
    reader = LineReader(NODE_SET, problems)
    names = {node.name for node in nodes}
    sets: dict[str, NodeSet] = {}
    resolver = NodeResolver(nodes, (), refused_names)
    for line in lines:
        node_set = build_node_set(line, reader)
        if node_set is None:
            continue
        if node_set.name in sets or node_set.name in names:
            what = "node set" if node_set.name in sets else "node"
            problems.error(line.file, line.number, "NodeSet", f"{node_set.name!r} is a {what} already")
        elif story := resolver.unknown_in(node_set):
            problems.error(line.file, line.number, "Nodes", story)
        else:
            sets[node_set.name] = node_set
    return tuple(sets.values()), NodeResolver(nodes, sets.values(), refused_names)


def _check_gres_types(
    lines: list[Line], nodes: tuple[NodeConfig, ...], gres_types: tuple[str, ...], problems: Problems
) -> None:
    missing = {name for gres in {node.gres for node in nodes} for name, _, _ in gres} - set(gres_types)
    for name in sorted(missing):
        line = next(line for line in lines if any(key.lower() == "gres" and name in text for key, text in line.pairs))
        problems.error(line.file, line.number, "Gres", f"{name!r} is not in GresTypes; add it there")


def _read_beside(path: Path, name: str, problems: Problems) -> Document:
    file = path.parent / name
    return read_document(file, problems) if file.is_file() else Document((), (), "")
