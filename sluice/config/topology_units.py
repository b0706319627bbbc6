"""Units of a topology (switches, blocks, rings, tori) from texts to records, and what must hold among them.

topology.conf and topology.yaml both end here: a Draft has what was written and where.

Invariant: in what TopologyBuilder returns without an error every node is configured and in one unit at most, every
child exists and has one parent, and no switch is above itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from sluice import hostlist
from sluice.config.build_partitions import NodeResolver
from sluice.config.problems import Problems, nearest
from sluice.errors import InvalidRequest
from sluice.model.topology import Topology, TopologyUnit

#: Nodes that a message names before it says how many more there are.
_NAMED_MAX = 5


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One unit as written: texts of nodes and children, its place, and how the file calls its keys."""

    kind: str
    name: str
    file: str
    line: int
    nodes: str = ""
    children: str = ""
    link_speed: int = 1
    dimensions: tuple[int, ...] = ()
    keys: tuple[str, str, str] = ("Nodes", "Switches", "Size")


class TopologyBuilder:
    """Checks the drafts of one topology and makes its units."""

    def __init__(self, resolver: NodeResolver, problems: Problems) -> None:
        self._resolver = resolver
        self._problems = problems
        self._drafts: dict[str, Draft] = {}
        self._unit_by_node: dict[str, str] = {}
        self._parent_by_child: dict[str, str] = {}

    def build(
        self, name: str, plugin: str, drafts: Sequence[Draft], sizes: tuple[int, ...], sizes_at: tuple[str, int, str]
    ) -> Topology:
        """Return the topology; what is wrong is reported.  sizes_at: file, line and key of the block sizes."""
        units = [unit for draft in drafts if (unit := self._build_unit(draft)) is not None]
        self._check_children(units)
        self._check_loops(units)
        sizes = self._check_sizes(units, sizes, sizes_at)
        return Topology(name=name, plugin=plugin, units=tuple(units), block_sizes=sizes)

    def missing_nodes(self, names: Sequence[str]) -> list[str]:
        """Return those of the cluster's nodes that no unit has."""
        return [name for name in names if name not in self._unit_by_node]

    def _build_unit(self, draft: Draft) -> TopologyUnit | None:
        if not self._is_sound(draft):
            return None
        nodes = self._read_nodes(draft)
        if draft.kind == "torus":
            self._check_torus(draft, nodes)
        return TopologyUnit(
            name=draft.name,
            kind=draft.kind,
            nodes=nodes,
            children=self._read_children(draft),
            link_speed=draft.link_speed,
            dimensions=draft.dimensions,
        )

    def _is_sound(self, draft: Draft) -> bool:
        nodes_key, children_key, _ = draft.keys
        earlier = self._drafts.setdefault(draft.name, draft)
        if not draft.name or "[" in draft.name:
            self._error(draft, draft.kind, f"{draft.name!r} is no name of a {draft.kind}")
        elif earlier is not draft:
            where = f"{earlier.file}:{earlier.line}"
            self._error(draft, draft.kind, f"{draft.kind} {draft.name!r} stands already at {where}")
        elif draft.nodes and draft.children:
            self._error(draft, children_key, f"excludes {nodes_key}; a switch has nodes or switches below it")
        elif not draft.nodes and not draft.children:
            wanted = f"{nodes_key} or {children_key}" if draft.kind == "switch" else nodes_key
            self._error(draft, nodes_key, f"missing; {draft.kind} {draft.name!r} needs {wanted}")
        else:
            return True
        return False

    def _read_nodes(self, draft: Draft) -> tuple[str, ...]:
        if not draft.nodes:
            return ()
        key = draft.keys[0]
        try:
            names = self._resolver.resolve(draft.nodes)
            written = tuple(dict.fromkeys(hostlist.expand(draft.nodes)))
        except (InvalidRequest, ValueError) as error:
            self._error(draft, key, str(error))
            return ()
        # The order of a ring or torus is the written one; node sets have none of their own.
        if len(written) == len(names) and set(written) == set(names):
            names = written
        for name in names:
            other = self._unit_by_node.setdefault(name, draft.name)
            if other != draft.name:
                at = self._drafts[other]
                self._error(draft, key, f"node {name!r} is in {at.kind} {other!r} already, {at.file}:{at.line}")
                break
        return names

    def _read_children(self, draft: Draft) -> tuple[str, ...]:
        try:
            return tuple(hostlist.expand(draft.children)) if draft.children else ()
        except InvalidRequest as error:
            self._error(draft, draft.keys[1], str(error))
            return ()

    def _check_torus(self, draft: Draft, nodes: tuple[str, ...]) -> None:
        key = draft.keys[2]
        places = math.prod(draft.dimensions)
        if not draft.dimensions:
            self._error(draft, key, f"missing; torus {draft.name!r} needs sizes such as 4x4x8")
        elif nodes and places != len(nodes):
            shown = "x".join(map(str, draft.dimensions))
            self._error(draft, key, f"{shown} has {places} places, {draft.keys[0]} names {len(nodes)} nodes")

    def _check_children(self, units: Sequence[TopologyUnit]) -> None:
        for unit in units:
            draft = self._drafts[unit.name]
            for child in unit.children:
                parent = self._parent_by_child.setdefault(child, unit.name)
                if child not in self._drafts:
                    near = nearest(child, self._drafts)
                    hint = f"; did you mean {near!r}?" if near else ""
                    self._error(draft, draft.keys[1], f"{child!r}: no such switch{hint}")
                elif parent != unit.name:
                    self._error(draft, draft.keys[1], f"switch {child!r} is below {parent!r} already")

    def _check_loops(self, units: Sequence[TopologyUnit]) -> None:
        """Report each loop once, at the first of its switches."""
        seen: set[str] = set()
        for unit in units:
            path: list[str] = []
            name: str | None = unit.name
            while name is not None and name not in seen:
                seen.add(name)
                path.append(name)
                name = self._parent_by_child.get(name)
            if name in path:
                loop = path[path.index(name) :]
                draft = self._drafts[loop[0]]
                story = " -> ".join([loop[0], *reversed(loop)])
                self._error(draft, draft.keys[1], f"switch {loop[0]!r} is below itself: {story}")

    def _check_sizes(
        self, units: Sequence[TopologyUnit], sizes: tuple[int, ...], at: tuple[str, int, str]
    ) -> tuple[int, ...]:
        blocks = [unit for unit in units if unit.kind == "block" and unit.nodes]
        if not blocks:
            return sizes
        smallest = min(blocks, key=lambda unit: len(unit.nodes))
        if not sizes:
            return (len(smallest.nodes),)
        base = sizes[0]
        file, line, key = at
        for size in sizes[1:]:
            factor, rest = divmod(size, base)
            if rest or factor & (factor - 1) or size <= base:
                story = f"{size} is not {base} times 2, 4, 8, ...; sizes are the base block's and its doublings"
                self._problems.error(file, line, key, story)
        if len(smallest.nodes) < base:
            draft = self._drafts[smallest.name]
            story = f"block {smallest.name!r} has {len(smallest.nodes)} nodes, a base block has {base} ({key})"
            self._error(draft, draft.keys[0], story)
        return tuple(sorted(set(sizes)))

    def _error(self, draft: Draft, key: str, message: str) -> None:
        self._problems.error(draft.file, draft.line, key, message)


def name_some(names: Sequence[str]) -> str:
    """Return the first names folded, and how many more there are."""
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return f"{hostlist.fold(names[:_NAMED_MAX])}{more}"
