"""topology.yaml: a list of named topologies, in the shape that Slurm documents.

    - topology: fabric
      cluster_default: true
      tree:
        switches:
          - {switch: top, children: "leaf[1-2]"}
          - {switch: leaf1, nodes: "n[1-4]"}
          - {switch: leaf2, nodes: "n[5-8]"}

Kinds: flat: true · tree and dragonfly: switches · block: block_sizes, blocks · ring: rings · torus3d: tori.
The document is walked as YAML's own nodes, which know their lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml
from msgspec.structs import replace

from sluice.config.build_partitions import NodeResolver
from sluice.config.build_topology import warn_missing
from sluice.config.grammar import Document, read_bounded
from sluice.config.light import FILE_BYTES_MAX
from sluice.config.problems import Problems, nearest
from sluice.config.schema_topology import COUNT, DIMENSIONS, SIZE, UNIT_BY_PLUGIN
from sluice.config.topology_units import Draft, TopologyBuilder
from sluice.model.topology import Topology

#: The list's key under each plugin's, and the keys of one entry.
_LISTS = {
    "switch": ("switches", ("switch", "nodes", "children", "link_speed")),
    "block": ("blocks", ("block", "nodes")),
    "ring": ("rings", ("ring", "nodes")),
    "torus": ("tori", ("torus", "nodes", "size")),
}
_KEYS = ("nodes", "children", "size")
_OWN_KEYS = ("topology", "cluster_default")


def read_yaml_topologies(
    path: Path, names: Sequence[str], resolver: NodeResolver, problems: Problems
) -> tuple[tuple[Topology, ...], Document]:
    """Return the topologies of the file and what was read; what is wrong is reported."""
    text = _load(path, problems)
    if text is None:
        return (), Document((), (), "")
    digest = hashlib.sha256(f"{path.name}\0{len(text)}\0{text}".encode()).hexdigest()
    reader = _Reader(str(path), names, resolver, problems)
    return reader.read(text), Document((), (str(path),), digest)


def _load(path: Path, problems: Problems) -> str | None:
    try:
        content = read_bounded(path)
        if len(content) > FILE_BYTES_MAX:
            problems.error(str(path), 0, "", f"more than {FILE_BYTES_MAX} bytes")
            return None
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        problems.error(str(path), 0, "", f"cannot be read: {error}")
        return None


class _Reader:
    """Walks one file."""

    def __init__(self, file: str, names: Sequence[str], resolver: NodeResolver, problems: Problems) -> None:
        self._file = file
        self._names = names
        self._resolver = resolver
        self._problems = problems

    def read(self, text: str) -> tuple[Topology, ...]:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            story = getattr(error, "problem", None) or str(error)
            self._problems.error(self._file, mark.line + 1 if mark else 1, "", f"no YAML: {story}")
            return ()
        found: dict[str, Topology] = {}
        for node in self._items(root, "a list of topologies"):
            topology = self._read_topology(node)
            if topology is None:
                continue
            if topology.name in found:
                self._error(node, "topology", f"{topology.name!r} stands twice")
            found[topology.name] = topology
        return _with_one_default(tuple(found.values()))

    def _read_topology(self, node: yaml.Node) -> Topology | None:
        fields = self._fields(node, (*_OWN_KEYS, "flat", *UNIT_BY_PLUGIN))
        kinds = [key for key in fields if key not in _OWN_KEYS]
        if len(kinds) != 1:
            story = f"exactly one of flat, {', '.join(UNIT_BY_PLUGIN)} expected; {', '.join(kinds) or 'none'} given"
            self._error(node, "topology", story)
            return None
        name = self._text(fields.get("topology"), "topology") if "topology" in fields else ""
        if not name:
            self._error(node, "topology", "missing; each topology has a name")
            return None
        is_default = "cluster_default" in fields and self._flag(fields["cluster_default"], "cluster_default")
        plugin = kinds[0]
        if plugin == "flat":
            if not self._flag(fields["flat"], "flat"):
                self._error(fields["flat"], "flat", "true expected")
            return Topology(name=name, plugin="flat", is_default=is_default)
        return replace(self._read_units(name, plugin, fields[plugin]), is_default=is_default)

    def _read_units(self, name: str, plugin: str, node: yaml.Node) -> Topology:
        kind = UNIT_BY_PLUGIN[plugin]
        list_key, entry_keys = _LISTS[kind]
        fields = self._fields(node, (list_key, *(("block_sizes",) if kind == "block" else ())))
        sizes_node = fields.get("block_sizes", node)
        sizes = tuple(
            [
                self._number(each, "block_sizes", SIZE.parse, SIZE.expected)
                for each in self._items(fields["block_sizes"], "a list of sizes")
            ]
            if "block_sizes" in fields
            else []
        )
        if list_key not in fields:
            self._error(node, list_key, f"missing; {plugin} needs a list of {list_key}")
            return Topology(name=name, plugin=plugin)
        entries = self._items(fields[list_key], f"a list of {list_key}")
        drafts = [self._read_draft(each, kind, entry_keys) for each in entries]
        builder = TopologyBuilder(self._resolver, self._problems)
        sizes_at = (self._file, sizes_node.start_mark.line + 1, "block_sizes")
        topology = builder.build(name, plugin, drafts, sizes, sizes_at)
        missing = builder.missing_nodes(self._names)
        if missing and drafts:
            warn_missing(self._problems, drafts[-1], missing)
        return topology

    def _read_draft(self, node: yaml.Node, kind: str, keys: tuple[str, ...]) -> Draft:
        fields = self._fields(node, keys)
        texts = {key: self._text(value, key) for key, value in fields.items()}
        link_speed = (
            self._number(fields["link_speed"], "link_speed", COUNT.parse, COUNT.expected)
            if ("link_speed" in fields)
            else 1
        )
        return Draft(
            kind=kind,
            name=texts.get(kind, ""),
            file=self._file,
            line=node.start_mark.line + 1,
            nodes=texts.get("nodes", ""),
            children=texts.get("children", ""),
            link_speed=link_speed,
            dimensions=self._dimensions(fields["size"]) if "size" in fields else (),
            keys=_KEYS,
        )

    def _fields(self, node: yaml.Node, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        """Return a mapping's values by key; unknown and repeated keys are reported."""
        if not isinstance(node, yaml.MappingNode):
            self._error(node, "", f"a mapping with {', '.join(known)} expected")
            return {}
        fields: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self._text(key_node, "")
            if key not in known:
                near = nearest(key, known)
                hint = f"; did you mean {near!r}?" if near else f"; known are {', '.join(known)}"
                self._error(key_node, key, f"not a key here{hint}")
            elif key in fields:
                self._error(key_node, key, "stands twice")
            else:
                fields[key] = value
        return fields

    def _items(self, node: yaml.Node | None, expected: str) -> Iterator[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        elif node is None:
            self._problems.error(self._file, 1, "", f"{expected} expected; the file is empty")
        else:
            self._error(node, "", f"{expected} expected")

    def _text(self, node: yaml.Node | None, key: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value).strip()
        if isinstance(node, yaml.SequenceNode) and all(isinstance(each, yaml.ScalarNode) for each in node.value):
            # n[1-4] without quotes in a flow list, or names one a line.
            return ",".join(str(each.value).strip() for each in node.value)
        if node is not None:
            self._error(node, key, "a text expected")
        return ""

    def _flag(self, node: yaml.Node, key: str) -> bool:
        word = self._text(node, key).lower()
        if word not in ("true", "false", "yes", "no"):
            self._error(node, key, f"true or false expected; {word!r}")
        return word in ("true", "yes")

    def _number(self, node: yaml.Node, key: str, parse: Callable[[str], object], expected: str) -> int:
        text = self._text(node, key)
        try:
            value = parse(text)
        except ValueError as error:
            self._error(node, key, f"{expected} expected; {error}")
            return 1
        assert isinstance(value, int)
        return value

    def _dimensions(self, node: yaml.Node) -> tuple[int, ...]:
        try:
            value = DIMENSIONS.parse(self._text(node, "size").replace(",", "x"))
        except ValueError as error:
            self._error(node, "size", f"{DIMENSIONS.expected} expected; {error}")
            return ()
        assert isinstance(value, tuple)
        return value

    def _error(self, node: yaml.Node, key: str, message: str) -> None:
        self._problems.error(self._file, node.start_mark.line + 1, key, message)


def _with_one_default(topologies: tuple[Topology, ...]) -> tuple[Topology, ...]:
    """Return them with exactly one default: the first that says so, else the first of all."""
    default = next((each for each in topologies if each.is_default), topologies[0] if topologies else None)
    return tuple([replace(each, is_default=each is default) for each in topologies])
