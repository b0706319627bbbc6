"""NodeName, DownNodes and NodeSet lines to NodeConfig and NodeSet records.

A DEFAULT line adds to the defaults of the lines after it.  NodeHostname, NodeAddr and Port run in parallel
with the names, or are one for all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from sluice import hostlist
from sluice.config.grammar import Line
from sluice.config.lines import LineReader, Values
from sluice.config.problems import Problems
from sluice.config.records import NodeConfig, NodeSet
from sluice.config.schema import DOWN_NODES, NODE, NODE_SET
from sluice.config.topology import TOPOLOGY_FIELDS, derive_topology
from sluice.errors import InvalidRequest

_RESERVED_NAMES = frozenset({"ALL", "DEFAULT"})


class NodeBuilder:
    """Collects nodes line by line; apply_down_nodes() once all lines were seen."""

    def __init__(self, default_port: int, problems: Problems) -> None:
        self.nodes_by_name: dict[str, NodeConfig] = {}
        #: Names of lines that were refused: their absence is no second error.
        self.refused_names: set[str] = set()
        self._default_port = default_port
        self._problems = problems
        self._reader = LineReader(NODE, problems)
        self._down_reader = LineReader(DOWN_NODES, problems)
        self._defaults: Values = {}
        self._line_by_name: dict[str, Line] = {}
        self._down_lines: list[Line] = []
        self._topology: dict[tuple[object, ...], dict[str, int]] = {}
        self._owner_of_port: dict[tuple[str, int], str] = {}

    def add(self, line: Line) -> None:
        """Take one NodeName line."""
        written = line.pairs[0][1]
        values = self._reader.read(line, line.pairs[1:])
        if values.pop("name", None) is not None:
            self._problems.error(line.file, line.number, "NodeName", "stands twice on one line")
        if written.upper() == "DEFAULT":
            self._defaults = self._defaults | values
            return
        merged = self._defaults | values
        try:
            names = hostlist.expand(written) if "[" in written or "," in written else [written]
            shared = self._shared_fields(merged)
            hosts, addresses, ports = self._places(names, merged)
        except (InvalidRequest, _KeyProblem) as error:
            key = error.key if isinstance(error, _KeyProblem) else "NodeName"
            self._problems.error(line.file, line.number, key, str(error))
            self._refuse(written)
            return
        if not names or not names[0]:
            self._problems.error(line.file, line.number, "NodeName", "no name")
            return
        for name, host, address, port in zip(names, hosts, addresses, ports, strict=True):
            if self._is_new(line, name) and self._claim_port(line, name, address, port, str(shared["state"])):
                # Values come from kinds that yield the fields' types; a test holds the two together.
                node = NodeConfig(name=name, hostname=host, address=address, port=port, **cast(Any, shared))
                self.nodes_by_name[name] = node

    def _refuse(self, written: str) -> None:
        with contextlib.suppress(InvalidRequest):
            self.refused_names.update(hostlist.expand(written))

    def add_down(self, line: Line) -> None:
        """Take one DownNodes line."""
        self._down_lines.append(line)

    def apply_down_nodes(self) -> None:
        """Give the nodes of all DownNodes lines their state and reason."""
        for line in self._down_lines:
            values = {"state": "DOWN"} | self._down_reader.read(line)
            for name in cast("tuple[str, ...]", values.pop("nodes", ())):
                node = self.nodes_by_name.get(name)
                if node is None and name not in self.refused_names:
                    self._problems.error(line.file, line.number, "DownNodes", f"node {name!r} is not configured")
                elif node is not None:
                    self.nodes_by_name[name] = msgspec.structs.replace(node, **values)

    def _shared_fields(self, merged: Values) -> Values:
        """Return what all nodes of a line have in common: everything but their place."""
        if merged.get("core_spec_count") and merged.get("cpu_spec_list"):
            raise _KeyProblem("CpuSpecList", "excludes CoreSpecCount; use one of the two")
        given = tuple([merged.get(field) for field in TOPOLOGY_FIELDS])
        topology = self._topology.get(given)
        if topology is None:
            written = {field: value for field, value in zip(TOPOLOGY_FIELDS, given, strict=True) if value is not None}
            try:
                topology = derive_topology(cast("Mapping[str, int]", written))
            except ValueError as error:
                raise _KeyProblem("CPUs", str(error)) from error
            self._topology[given] = topology
        shared: Values = {"state": "UNKNOWN", **merged, **topology}
        for field in ("hostname", "address", "port", "sockets_per_board"):
            shared.pop(field, None)
        return shared

    def _places(self, names: list[str], merged: Values) -> tuple[Sequence[str], Sequence[str], Sequence[int]]:
        hosts = _parallel("NodeHostname", merged.get("hostname"), names) or names
        addresses = _parallel("NodeAddr", merged.get("address"), names) or hosts
        if "port" not in merged:
            return hosts, addresses, [self._default_port] * len(names)
        ports = _parallel("Port", expand_ports(str(merged["port"])), names)
        return hosts, addresses, cast("Sequence[int]", ports)

    def _is_new(self, line: Line, name: str) -> bool:
        earlier = self._line_by_name.get(name)
        if earlier is not None:
            where = f"{earlier.file}:{earlier.number}"
            self._problems.error(line.file, line.number, "NodeName", f"node {name!r} stands already at {where}")
            return False
        if name.upper() in _RESERVED_NAMES:
            self._problems.error(line.file, line.number, "NodeName", f"{name!r} is a reserved word")
            return False
        self._line_by_name[name] = line
        return True

    def _claim_port(self, line: Line, name: str, address: str, port: int, state: str) -> bool:
        """Two agents cannot listen on one port; nodes of the future have no agent yet."""
        if state == "FUTURE":
            return True
        owner = self._owner_of_port.setdefault((address, port), name)
        if owner != name:
            message = f"node {name!r} has {address} port {port}, as node {owner!r} has; give each its own Port"
            self._problems.error(line.file, line.number, "Port", message)
        return owner == name


def expand_ports(text: str) -> list[int]:
    """Return the ports of 17001, 17001-17003, [17001-17003] or 17[001-003].

    Raises _KeyProblem if that is no list of ports.
    """
    try:
        ports = [int(each) for each in hostlist.expand(text if "[" in text else f"[{text}]")]
    except (InvalidRequest, ValueError) as error:
        raise _KeyProblem("Port", f"{text!r} is neither a port nor a range of ports") from error
    if not all(0 < port < 65536 for port in ports):
        raise _KeyProblem("Port", f"{text!r} is out of range, ports are 1 to 65535")
    return ports


def build_node_set(line: Line, reader: LineReader) -> NodeSet | None:
    """Return the set that a NodeSet line names, not resolved yet."""
    values = reader.read(line)
    name = str(values.get("name", ""))
    if not name or not (values.get("nodes") or values.get("feature")):
        reader.problems.error(line.file, line.number, NODE_SET.keys[0].name, "needs a name and Nodes or Feature")
        return None
    return NodeSet(name, cast("tuple[str, ...]", values.get("nodes", ())), str(values.get("feature", "")))


class _KeyProblem(Exception):
    """A value of a line that contradicts another one: which key, and what is wrong."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _parallel(key: str, values: object, names: list[str]) -> Sequence[Any]:
    """Return *values* as many as *names*: they run in parallel, or one is for all."""
    given = cast("Sequence[object]", values or ())
    if not given or len(given) == len(names):
        return given
    if len(given) == 1:
        return [given[0]] * len(names)
    raise _KeyProblem(key, f"{len(given)} values for {len(names)} nodes of the line; as many, or one for all")
