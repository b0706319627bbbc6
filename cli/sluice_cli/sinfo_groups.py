"""sinfo's rows: which nodes are shown, which of them share a line, and the order of the lines."""

from __future__ import annotations

from sluice import hostlist
from sluice.errors import InvalidRequest
from sluice_cli import fields_node, listing, node_state
from sluice_cli.fields_node import NodeGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from sluice_cli.fields import Field
    from sluice_cli.job_row import Context

    Map = dict[str, Any]
    Test = Callable[[Map], bool]
    Values = dict[str, str]


class BadState(Exception):
    """A word of --states that is none."""


def node_tests(values: Values) -> list[Test]:
    """Return the tests that a node must pass to be shown.  Raises BadState."""
    tests: list[Test] = []
    if values.get("states"):
        tests.append(_state_test(values["states"]))
    if "nodes" in values:
        try:
            names = frozenset(hostlist.expand(values["nodes"]))
        except InvalidRequest:
            names = frozenset()
        tests.append(lambda view: view["node"]["name"] in names)
    if "responding" in values:
        tests.append(lambda view: "NOT_RESPONDING" not in view.get("flags", ()))
    if "dead" in values:
        tests.append(lambda view: "NOT_RESPONDING" in view.get("flags", ()))
    if "list-reasons" in values:
        tests.append(lambda view: bool(view["node"].get("reason")))
    return tests


def _state_test(text: str) -> Test:
    """Return the test for any of the words between commas, each all of the words between ampersands."""
    choices = [[word.strip().lower() for word in part.split("&")] for part in text.split(",") if part.strip()]
    for word in (word for choice in choices for word in choice):
        if not node_state.is_word(word):
            raise BadState(word)
    return lambda view: any(all(node_state.matches(view, word) for word in choice) for choice in choices)


def shown_partitions(partitions: Iterable[Map], values: Values, may_see_hidden: bool) -> list[Map]:
    """Return the partitions to list, in the configuration's order."""
    names = [name for name in values.get("partition", "").split(",") if name]
    return [
        partition
        for partition in sorted(partitions, key=lambda each: each.get("index", 0))
        if (not names or partition["name"] in names) and (may_see_hidden or not partition.get("is_hidden"))
    ]


def group_nodes(
    partitions: list[Map], views: list[Map], fields: list[Field], values: Values, context: Context
) -> list[NodeGroup]:
    """Return a row for each set of nodes that are equal in what the *fields* show.

    A partition none of whose nodes is shown has a row of its own when partitions are shown, but not node by node.
    """
    is_by_node = "Node" in values
    kinds = {fields_node.NODE, fields_node.PARTITION} | ({fields_node.MERGED} if "exact" in values else set())
    keys = [field.get for field in fields if field.kind in kinds]
    has_partition = any(field.kind == fields_node.PARTITION for field in fields)
    tests = node_tests(values)
    shown = {view["node"]["name"]: view for view in views if all(test(view) for test in tests)}
    groups: dict[tuple[Any, ...], NodeGroup] = {}
    empty: list[NodeGroup] = []
    for partition in partitions:
        members = [shown[name] for name in partition.get("nodes", ()) if name in shown]
        members.sort(key=_index)
        if not members and has_partition and not is_by_node:
            empty.append(NodeGroup(partition, [], context))
        for view in members:
            single = NodeGroup(partition, [view], context)
            own = (view["node"]["name"], partition["name"]) if is_by_node else ()
            _join(groups, (*own, *(get(single) for get in keys)), single)
    rows = [*groups.values(), *empty]
    order = {partition["name"]: place for place, partition in enumerate(partitions)}
    rows.sort(key=lambda row: order[row.partition["name"]])
    return rows


def _join(groups: dict[tuple[Any, ...], NodeGroup], key: tuple[Any, ...], single: NodeGroup) -> None:
    group = groups.setdefault(key, single)
    if group is single:
        return
    # A node of several partitions counts once where partitions are not shown.
    view = single.views[0]
    if single.partition is group.partition or all(view is not each for each in group.views):
        group.views.append(view)


def _index(view: Map) -> int:
    return int(view["node"].get("index", 0))


def sort_groups(rows: list[NodeGroup], values: Values) -> None:
    """Sort in place; rows come in the order of partitions."""
    text = values.get("sort") or _default_sort(values)
    comparisons: list[listing.Comparison] = []
    sign = "+"
    is_configured = False
    for character in text:
        if character in "+-":
            sign = character
        elif character == "#":
            is_configured = True
        elif character == ",":
            sign, is_configured = "+", False
        else:
            field = fields_node.TABLE.by_letter.get(character)
            if field is not None:
                key = _configured_key if is_configured and character in "PR" else field.key
                comparisons.append((key, sign == "-"))
            sign, is_configured = "+", False
    listing.sort_rows(rows, comparisons)


def _configured_key(row: NodeGroup) -> int:
    return int(row.partition.get("index", 0))


def _default_sort(values: Values) -> str:
    if "list-reasons" in values:
        return "H"
    if "Node" in values:
        return "N"
    return "#P" if "summarize" in values else "#P,-t"
