"""sinfo: partitions and their nodes, a line for each set of nodes that are equal in what is shown.

Source: CONTRACT section 7.
"""

from __future__ import annotations

import os
import sys

from sluice.errors import SluiceError
from sluice.wire import light
from sluice_cli import client, fields_node, listing, node_state, sinfo_groups, talk
from sluice_cli.getopt import OPTIONAL, REQUIRED, Option, OptionTable
from sluice_cli.job_row import Context
from sluice_cli.render import parse_long, parse_short
from sluice_cli.talk import Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice_cli.fields_node import NodeGroup
    from sluice_cli.render import Layout

    Map = dict[str, Any]
    Values = dict[str, str]

SYNOPSIS = "[OPTIONS]"
TABLE = OptionTable(
    Option("all", "a", help="show all partitions (including hidden and those not accessible)"),
    Option("cluster clusters", "M", REQUIRED, "names", "clusters to issue commands to"),
    Option("dead", "d", help="show only non-responding nodes"),
    Option("exact", "e", help="group nodes only on exact match of configuration"),
    Option("federation", help="report federated information if a member of one"),
    Option("Format", "O", REQUIRED, "format", "format by names of fields"),
    Option("format", "o", REQUIRED, "format", "format by letters"),
    Option("future", "F", help="report information about nodes in state FUTURE"),
    Option("helpformat", help="show the names of the fields"),
    Option("helpstate", help="show the names of the states"),
    Option("hide", help="do not show hidden or non-accessible partitions"),
    Option("iterate", "i", REQUIRED, "seconds", "specify an iteration period"),
    Option("json", argument=OPTIONAL, metavar="version", help="produce JSON output"),
    Option("list-reasons", "R", help="list reason nodes are down or drained"),
    Option("local", help="show only local cluster in a federation"),
    Option("long", "l", help="long output - displays more information"),
    Option("noconvert", help="don't convert units from their original type"),
    Option("Node", "N", help="node-centric format"),
    Option("nodes", "n", REQUIRED, "nodelist", "report on specific node(s)"),
    Option("noheader", "h", help="no headers on output"),
    Option("partition", "p", REQUIRED, "partition", "report on specific partition"),
    Option("reservation", "T", help="show only reservation information"),
    Option("responding", "r", help="report only responding nodes"),
    Option("sort", "S", REQUIRED, "fields", "comma separated list of fields to sort on"),
    Option("states", "t", REQUIRED, "node_state", "specify the what states of nodes to view"),
    Option("summarize", "s", help="report state summary only"),
    Option("verbose", "v", help="verbosity level"),
    Option("yaml", argument=OPTIONAL, metavar="version", help="produce YAML output"),
    Option("autocomplete", argument=REQUIRED, metavar="prefix"),
    Option("help", help="show this help message"),
    Option("usage", help="display brief usage message"),
    Option("version", "V", help="output version information and exit"),
)
_VARIABLES = {"partition": "SINFO_PARTITION", "sort": "SINFO_SORT", "cluster": "SLURM_CLUSTERS"}


def main(words: Sequence[str] | None = None) -> int:
    """Run sinfo; return its exit status."""
    voice = Voice("sinfo")
    answer = listing.read_command_line(voice, TABLE, sys.argv[1:] if words is None else words, SYNOPSIS)
    if isinstance(answer, int):
        return answer
    values = _settle({key: value or "" for key, value in answer[0]})
    try:
        return _run(voice, values)
    except KeyboardInterrupt:
        return talk.INTERRUPTED_EXIT
    except SluiceError as error:
        return listing.tell_load_failure(voice, "slurm_load_partitions", error)


def _settle(values: Values) -> Values:
    """Add what variables say and the command line does not."""
    environment = os.environ
    has_form = any(name in values for name in ("format", "Format", "long", "summarize", "Node", "list-reasons"))
    if "SINFO_FORMAT" in environment and not has_form:
        values["format"] = environment["SINFO_FORMAT"]
    for key, name in _VARIABLES.items():
        if key not in values and environment.get(name):
            values[key] = environment[name]
    if "SINFO_ALL" in environment and "hide" not in values:
        values["all"] = ""
    return values


def _run(voice: Voice, values: Values) -> int:
    if "helpformat" in values or "helpstate" in values:
        names = [field.names[0] for field in fields_node.TABLE.fields]
        shown = node_state.VALID_WORDS.split(",") if "helpstate" in values else names
        talk.put("".join(f"{name}\n" for name in shown))
        return 0
    if "format" in values and "long" in values:
        voice.fatal("Options -o(--format) and -l(--long) are mutually exclusive. Please remove one and retry.")
        return listing.REFUSED_EXIT
    if not listing.check_clusters(voice, values.get("cluster")):
        return listing.REFUSED_EXIT
    try:
        sinfo_groups.node_tests(values)
    except sinfo_groups.BadState as error:
        voice.error(f'Bad state string: "{error}"')
        voice.error(f"valid states: {node_state.VALID_WORDS}")
        return listing.REFUSED_EXIT
    interval_s = listing.read_interval(voice, values["iterate"]) if "iterate" in values else 0
    if "iterate" in values and not interval_s:
        return listing.REFUSED_EXIT
    if interval_s:
        return listing.iterate(lambda: _list(voice, values), interval_s)
    if "long" in values and "noheader" not in values and not listing.is_structured(values):
        listing.put_date()
    return _list(voice, values)


def _read_layout(voice: Voice, values: Values, partitions: list[Map], views: list[Map]) -> Layout:
    if "Format" in values:
        return parse_long(
            _all_fields() if values["Format"].lower() == "all" else values["Format"],
            fields_node.TABLE,
            lambda name: voice.error(f"Invalid job format specification: {name}"),
        )
    return parse_short(
        fields_node.widened(values.get("format", _default_format(values)), partitions, views),
        fields_node.TABLE,
        lambda letter: talk.plain(f"Invalid node format specification: {letter}"),
    )


def _all_fields() -> str:
    return ",".join(f"{field.names[0]}:|" for field in fields_node.TABLE.fields)


def _default_format(values: Values) -> str:
    is_long = "long" in values
    if "list-reasons" in values:
        return fields_node.LONG_REASON_FORMAT if is_long else fields_node.REASON_FORMAT
    if "Node" in values:
        return fields_node.LONG_NODE_FORMAT if is_long else fields_node.NODE_FORMAT
    if "summarize" in values:
        return fields_node.SUMMARY_FORMAT
    return fields_node.LONG_FORMAT if is_long else fields_node.DEFAULT_FORMAT


def _list(voice: Voice, values: Values) -> int:
    """Print the partitions and nodes once; return the exit status.  Raises SluiceError."""
    if "reservation" in values:
        return _list_reservations(values)
    with light.connect(client.find_endpoints()) as connection:
        partitions = connection.call("QueryPartitions", {}).get("partitions", [])
        nodes = connection.call("QueryNodes", {})
    views = nodes.get("nodes", [])
    if "future" not in values:
        views = [view for view in views if view["state"] != "future"]
    context = Context(nodes.get("now_at", 0.0))
    may_see_hidden = os.getuid() == 0 or "all" in values
    shown = sinfo_groups.shown_partitions(partitions, values, may_see_hidden and "hide" not in values)
    if listing.is_structured(values):
        return _put_structured(values, shown, views, context)
    layout = _read_layout(voice, values, shown, views)
    rows = sinfo_groups.group_nodes(shown, views, layout.fields, values, context)
    sinfo_groups.sort_groups(rows, values)
    _put_rows(values, layout, rows)
    return 0


def _list_reservations(values: Values) -> int:
    from sluice_cli import json_out, show_reservation

    reply = client.call("QueryReservations", {})
    found, context = reply.get("reservations", []), Context(reply.get("now_at", 0.0))
    if listing.is_structured(values):
        objects = [show_reservation.reservation_object(each, context.now_at) for each in found]
        return json_out.put(values, "reservations", objects)
    if found:
        talk.put(show_reservation.table(found, context, "noheader" not in values))
    else:
        talk.put(show_reservation.NONE_TEXT)
    return 0


def _put_rows(values: Values, layout: Layout, rows: list[NodeGroup]) -> None:
    if "noheader" not in values:
        talk.put(layout.header() + "\n")
    if rows:
        talk.put("\n".join(layout.lines(rows)) + "\n")


def _put_structured(values: Values, partitions: list[Map], views: list[Map], context: Context) -> int:
    from sluice_cli import json_node, json_out

    table = fields_node.TABLE
    fields = [table.by_letter[letter] for letter in "PTfGE"]
    rows = sinfo_groups.group_nodes(partitions, views, fields, values, context)
    sinfo_groups.sort_groups(rows, values)
    tests = sinfo_groups.node_tests(values)
    nodes = [json_node.node_object(view) for view in views if all(test(view) for test in tests)]
    return json_out.put(values, "sinfo", [json_node.group_object(row) for row in rows], {"nodes": nodes})
