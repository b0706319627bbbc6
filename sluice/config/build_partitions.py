"""PartitionName lines to PartitionConfig records, with Nodes resolved against nodes and node sets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from sluice import hostlist
from sluice.config.grammar import Line
from sluice.config.lines import LineReader, Values
from sluice.config.problems import Problems, nearest
from sluice.config.records import NO_LIMIT_S, NodeConfig, NodeSet, PartitionConfig
from sluice.config.schema import PARTITION
from sluice.errors import InvalidRequest

#: Unknown node names that a message names before it says how many more there are.
_NAMED_MAX = 5


class NodeResolver:
    """What a Nodes= value stands for: nodes, ALL, and node sets, in the order of the configuration."""

    def __init__(
        self, nodes: Collection[NodeConfig], node_sets: Iterable[NodeSet], refused_names: Collection[str] = ()
    ) -> None:
        self._position = {node.name: position for position, node in enumerate(nodes)}
        self._refused_names = refused_names
        self._sets = {each.name: each for each in node_sets}
        self._names_by_feature: dict[str, list[str]] = {}
        for node in nodes:
            for feature in node.features:
                self._names_by_feature.setdefault(feature, []).append(node.name)

    def resolve(self, text: str) -> tuple[str, ...]:
        """Return the node names of *text*; InvalidRequest or ValueError if it has unknown ones."""
        names: dict[str, None] = {}
        unknown: list[str] = []
        for word in hostlist.expand(text):
            if word.upper() == "ALL":
                names.update(dict.fromkeys(self._position))
            elif word in self._position:
                names[word] = None
            elif word in self._sets:
                names.update(dict.fromkeys(self.members(self._sets[word])))
            elif word not in self._refused_names:
                unknown.append(word)
        if unknown:
            raise ValueError(self._story_of(unknown))
        return tuple(sorted(names, key=self._position.__getitem__))

    def members(self, node_set: NodeSet) -> list[str]:
        """Return the configured nodes of *node_set*: the listed ones and those with its feature."""
        listed = [name for name in node_set.nodes if name in self._position]
        return listed + self._names_by_feature.get(node_set.feature, [])

    def unknown_in(self, node_set: NodeSet) -> str | None:
        """Return what is wrong with the names that *node_set* lists, or None."""
        unknown = [name for name in node_set.nodes if name not in self._position and name not in self._refused_names]
        return self._story_of(unknown) if unknown else None

    def _story_of(self, unknown: list[str]) -> str:
        named = hostlist.fold(unknown[:_NAMED_MAX])
        more = f" and {len(unknown) - _NAMED_MAX} more" if len(unknown) > _NAMED_MAX else ""
        near = nearest(unknown[0], [*self._sets, *self._position][:10_000])
        hint = f"; did you mean {near!r}?" if near else ""
        return f"{named!r}{more}: no such node or node set{hint}"


class PartitionBuilder:
    """Collects partitions line by line."""

    def __init__(self, resolver: NodeResolver, problems: Problems) -> None:
        self.partitions_by_name: dict[str, PartitionConfig] = {}
        self._resolver = resolver
        self._problems = problems
        self._reader = LineReader(PARTITION, problems)
        self._defaults: Values = {}
        self._line_by_name: dict[str, Line] = {}
        self._default_name = ""

    def add(self, line: Line) -> None:
        """Take one PartitionName line."""
        values = self._reader.read(line)
        name = str(values.pop("name", ""))
        if "billing_weights" in values:
            values["billing_weights_text"] = _text_of(line, "TRESBillingWeights")
        if name.upper() == "DEFAULT":
            self._defaults = self._defaults | values
            return
        if not self._is_new(line, name):
            return
        fields = _settle(self._defaults | values)
        fields["nodes"] = self._resolve(line, str(fields.get("nodes", "")))
        # Values come from kinds that yield the fields' types; a test holds the two together.
        partition = PartitionConfig(name=name, **cast(Any, fields))
        self._check(line, partition)
        self._line_by_name[name] = line
        self.partitions_by_name[name] = partition

    def check_alternates(self) -> None:
        """Report Alternate= of partitions that do not exist, once all lines were seen."""
        for name, partition in self.partitions_by_name.items():
            if partition.alternate and partition.alternate not in self.partitions_by_name:
                line = self._line_by_name[name]
                self._error(line, "Alternate", f"partition {partition.alternate!r} is not configured")

    def _is_new(self, line: Line, name: str) -> bool:
        earlier = self._line_by_name.get(name)
        if not name or "," in name:
            self._error(line, "PartitionName", f"{name!r} is no partition name")
        elif earlier is not None:
            where = f"{earlier.file}:{earlier.number}"
            self._error(line, "PartitionName", f"partition {name!r} stands already at {where}")
        else:
            return True
        return False

    def _resolve(self, line: Line, text: str) -> tuple[str, ...]:
        if text.lower() in ("", "none", "(null)"):
            return ()
        try:
            return self._resolver.resolve(text)
        except (InvalidRequest, ValueError) as error:
            self._error(line, "Nodes", str(error))
            return ()

    def _check(self, line: Line, partition: PartitionConfig) -> None:
        longest, usual = partition.max_limit_s, partition.default_limit_s
        if longest is not None and usual is not None and usual > longest:
            story = f"{usual // 60} minutes are more than MaxTime, {longest // 60} minutes"
            self._error(line, "DefaultTime", story)
        if partition.max_nodes is not None and partition.min_nodes > partition.max_nodes:
            self._error(line, "MinNodes", f"{partition.min_nodes} is more than MaxNodes, {partition.max_nodes}")
        for allow, deny in (("Accounts", "deny_accounts"), ("Qos", "deny_qos")):
            if getattr(partition, f"allow_{allow.lower()}") and getattr(partition, deny):
                self._problems.warning(line.file, line.number, f"Deny{allow}", f"not used beside Allow{allow}")
        if partition.is_default:
            if self._default_name:
                story = f"partition {self._default_name!r} is the default already"
                self._error(line, "Default", story)
            self._default_name = partition.name

    def _error(self, line: Line, key: str, message: str) -> None:
        self._problems.error(line.file, line.number, key, message)


def _settle(values: Values) -> Values:
    """Return the fields of a partition, older spellings of one thing brought together."""
    fields = dict(values)
    if "priority" in fields:
        priority = fields.pop("priority")
        fields = {"priority_tier": priority, "priority_job_factor": priority} | fields
    if fields.get("oversubscribe") == "EXCLUSIVE":
        fields.setdefault("exclusive", "NODE")
    elif fields.get("exclusive") == "NODE":
        fields["oversubscribe"] = "EXCLUSIVE"
    if fields.get("exclusive") == "USER":
        fields["exclusive_user"] = True
    elif fields.get("exclusive_user"):
        fields.setdefault("exclusive", "USER")
    if "over_limit_s" in fields and fields["over_limit_s"] is None:
        fields["over_limit_s"] = NO_LIMIT_S
    return fields


def _text_of(line: Line, key: str) -> str:
    texts: Mapping[str, str] = {name.lower(): text for name, text in line.pairs}
    return texts.get(key.lower(), "")
