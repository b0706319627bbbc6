"""What changes from one configuration to the next: plain records for reconfigure and `sluice config diff`.

Nodes and partitions are matched by name; a changed one lists its fields.  Cluster-wide keys are compared by
what they mean, so that SlurmdTimeout=300 written where 300 is the default is no change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from sluice import hostlist
from sluice.config.key import Table
from sluice.config.records import ClusterConfig, NodeConfig, PartitionConfig
from sluice.config.schema import CGROUP, CLUSTER

#: Keys whose values are not repeated to people: they hold passwords.
SECRET_KEYS = frozenset({"SluiceDatabase", "AccountingStoragePass", "JobCompPass"})
_UNSET = "(unset)"


class Change(msgspec.Struct, frozen=True):
    """One key or field: its name, the old and the new value as text, whether it has an effect."""

    key: str
    old: str
    new: str
    has_effect: bool = True


class ObjectChange(msgspec.Struct, frozen=True):
    """One node or partition that is in both configurations and not the same."""

    name: str
    changes: tuple[Change, ...]


class ConfigDiff(msgspec.Struct, frozen=True):
    """All that differs.  Names of nodes and partitions are in the order of their configuration."""

    settings: tuple[Change, ...] = ()
    cgroup: tuple[Change, ...] = ()
    nodes_added: tuple[str, ...] = ()
    nodes_removed: tuple[str, ...] = ()
    nodes_changed: tuple[ObjectChange, ...] = ()
    partitions_added: tuple[str, ...] = ()
    partitions_removed: tuple[str, ...] = ()
    partitions_changed: tuple[ObjectChange, ...] = ()
    are_gres_changed: bool = False
    are_topologies_changed: bool = False

    @property
    def is_empty(self) -> bool:
        return self == ConfigDiff()


def diff(old: ClusterConfig, new: ClusterConfig) -> ConfigDiff:
    """Return what changes when *new* takes the place of *old*."""
    old_nodes, new_nodes = {node.name: node for node in old.nodes}, {node.name: node for node in new.nodes}
    old_partitions = {partition.name: partition for partition in old.partitions}
    new_partitions = {partition.name: partition for partition in new.partitions}
    return ConfigDiff(
        settings=_diff_texts(CLUSTER, old.raw_settings, new.raw_settings),
        cgroup=_diff_texts(CGROUP, old.raw_cgroup, new.raw_cgroup),
        nodes_added=_missing_in(old_nodes, new_nodes),
        nodes_removed=_missing_in(new_nodes, old_nodes),
        nodes_changed=_diff_objects(old_nodes, new_nodes),
        partitions_added=_missing_in(old_partitions, new_partitions),
        partitions_removed=_missing_in(new_partitions, old_partitions),
        partitions_changed=_diff_objects(old_partitions, new_partitions),
        are_gres_changed=old.gres != new.gres,
        are_topologies_changed=old.topologies != new.topologies,
    )


def _missing_in(these: Mapping[str, object], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in these)


def _diff_texts(table: Table, old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Change, ...]:
    changes: list[Change] = []
    for key in table.settable():
        before, after = old.get(key.name, key.default), new.get(key.name, key.default)
        if before == after or (before and after and key.parse(before) == key.parse(after)):
            continue
        if key.name in SECRET_KEYS:
            before, after = ("(not shown)" if text else text for text in (before, after))
        changes.append(Change(key.name, before or _UNSET, after or _UNSET, key.has_effect))
    return tuple(changes)


def _diff_objects(
    old: Mapping[str, NodeConfig] | Mapping[str, PartitionConfig],
    new: Mapping[str, NodeConfig] | Mapping[str, PartitionConfig],
) -> tuple[ObjectChange, ...]:
    pairs = ((name, old[name], each) for name, each in new.items() if name in old)
    return tuple(ObjectChange(name, _diff_fields(one, other)) for name, one, other in pairs if one != other)


def _diff_fields(old: msgspec.Struct, new: msgspec.Struct) -> tuple[Change, ...]:
    fields = ((name, getattr(old, name), getattr(new, name)) for name in old.__struct_fields__)
    return tuple(Change(name, _text(name, one), _text(name, other)) for name, one, other in fields if one != other)


def _text(field: str, value: object) -> str:
    if field == "nodes" and isinstance(value, tuple):
        return hostlist.fold(value) or _UNSET
    if field == "gres" and isinstance(value, tuple):
        return (
            ",".join(f"{name}:{kind}:{count}" if kind else f"{name}:{count}" for name, kind, count in value) or _UNSET
        )
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or _UNSET
    return _UNSET if value is None or value == "" else str(value)
