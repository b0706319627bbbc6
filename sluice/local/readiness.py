"""Waiting until a local cluster is at work: the controller answers and every node has registered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sluice import hostlist
from sluice.config.records import ClusterConfig
from sluice.errors import SluiceError, Unreachable
from sluice.local.daemons import Daemon, log_tail
from sluice.wire import light

_PAUSE_S = 0.05
_CALL_DEADLINE_S = 10.0


def wait_nodes_ready(
    config: ClusterConfig, ended: Callable[[], list[Daemon]], daemons: list[Daemon], limit_s: float
) -> list[dict[str, Any]]:
    """Return the nodes once all of them answer and can be used, or are down on purpose.

    ended(): the daemons that are not there any more; the first one's end is the story.
    Raises Unreachable when a daemon ends or limit_s passes, with the end of the log of who is late.
    """
    ends_at = time.monotonic() + limit_s
    while True:
        # Looked at first: the controller may answer on the socket that another one has left to it.
        gone = ended()
        if gone:
            raise Unreachable(f"{gone[0].name} ended before the cluster was up; {log_tail(gone[0])}")
        nodes, problem = _ask(config)
        if nodes and all(map(is_ready, nodes)):
            return nodes
        if time.monotonic() > ends_at:
            late = [node["node"]["name"] for node in nodes if not is_ready(node)]
            raise Unreachable(_story(daemons, late, problem, limit_s))
        time.sleep(_PAUSE_S)


def read_nodes(config: ClusterConfig, deadline_s: float = _CALL_DEADLINE_S) -> list[dict[str, Any]]:
    """Return the controller's view of its nodes, as maps.  Raises SluiceError."""
    with light.connect_unix(config.settings.controller_socket, deadline_s) as connection:
        nodes: list[dict[str, Any]] = connection.call("QueryNodes", {}, deadline_s).get("nodes", [])
        return nodes


def is_ready(node: dict[str, Any]) -> bool:
    """Is a node's agent there, and has the controller taken it in?"""
    return "NOT_RESPONDING" not in node.get("flags", ()) and node["state"] != "unknown"


def _ask(config: ClusterConfig) -> tuple[list[dict[str, Any]], str]:
    try:
        return read_nodes(config), ""
    except SluiceError as error:
        return [], str(error)


def _story(daemons: list[Daemon], late: list[str], problem: str, limit_s: float) -> str:
    if not late:
        return f"the controller did not answer in {limit_s:g} s ({problem}); {log_tail(daemons[0])}"
    slow = next((daemon for daemon in daemons if daemon.node == late[0]), daemons[-1])
    return f"node {hostlist.fold(late)}: not idle in {limit_s:g} s; {log_tail(slow)}"
