"""Which connection speaks for which node, and the orders on their way.

Orders of one turn of the event loop share a message.  An order for a node without a connection is dropped: the agent's
next registration is compared with the state, and what is missing is ordered again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from sluice.clock import WallClock
from sluice.model.job import Job
from sluice.wire.connection import Connection
from sluice.wire.messages import (
    AgentConfig,
    EndJob,
    EndStep,
    LaunchJob,
    Message,
    Orders,
    PrepareJob,
    SignalJob,
    TellManager,
    TellStep,
)
from sluicectld.state.effects import Launch, Order, RebootNode

logger = logging.getLogger(__name__)

#: Reads (script, environment) of a job, now or later.
FetchTexts = Callable[[Job, Callable[[bytes, bytes], None]], None]


#: Where in Orders each kind of order goes.
_FIELDS: dict[type, str] = {
    LaunchJob: "launches",
    EndJob: "ends",
    SignalJob: "signals",
    EndStep: "step_ends",
    TellStep: "talks",
    PrepareJob: "prepares",
    TellManager: "managers",
}


class Agents:
    """The connected agents.  Belongs to the loop's thread."""

    def __init__(self, clock: WallClock, fetch_texts: FetchTexts) -> None:
        self._clock = clock
        self._fetch_texts = fetch_texts
        self._loop = asyncio.get_running_loop()
        self._connections: dict[str, Connection] = {}
        self._nodes: dict[Connection, set[str]] = {}
        #: Orders that wait for the end of this turn of the loop, by their field in Orders.
        self._queues: dict[Connection, defaultdict[str, list[Any]]] = {}
        self.seen_at: dict[str, float] = {}
        #: node -> (load of the last minute, free memory in MiB), as last told.
        self.loads: dict[str, tuple[float, int]] = {}

    def attach(self, connection: Connection, nodes: Iterable[str]) -> None:
        """From now on *connection* speaks for the nodes; an older one no longer does."""
        now_at = self._clock.now()
        for node in nodes:
            old = self._connections.get(node)
            if old is not None and old is not connection:
                self._nodes[old].discard(node)
            self._connections[node] = connection
            self._nodes.setdefault(connection, set()).add(node)
            self.seen_at[node] = now_at

    def detach(self, connection: Connection) -> tuple[str, ...]:
        """The connection is gone; return the nodes that nobody speaks for any more."""
        nodes = self._nodes.pop(connection, set())
        self._queues.pop(connection, None)
        for node in nodes:
            del self._connections[node]
        return tuple(sorted(nodes))

    def note_heartbeat(self, nodes: Iterable[tuple[str, float, int]]) -> None:
        now_at = self._clock.now()
        for node, load, free_mib in nodes:
            self.seen_at[node] = now_at
            self.loads[node] = (load, free_mib)

    def silent_since(self, at: float) -> tuple[str, ...]:
        """Return the nodes that were last heard of before *at*, and forget that they were heard of."""
        silent = tuple(sorted(node for node, seen_at in self.seen_at.items() if seen_at < at))
        for node in silent:
            del self.seen_at[node]
        return silent

    def hang_up(self, nodes: Iterable[str]) -> None:
        """End the connections of silent agents: one that wakes up comes back and registers anew."""
        for connection in {self._connections[node] for node in nodes if node in self._connections}:
            connection.close("not heard of for too long")

    def watch(self, nodes: Iterable[str]) -> None:
        """Count the silence of nodes that have not registered since this controller started."""
        now_at = self._clock.now()
        for node in nodes:
            self.seen_at.setdefault(node, now_at)

    def close_all(self) -> None:
        """End every agent's connection: they come back and register anew."""
        for connection in list(self._nodes):
            connection.close("the controller starts over from its tables")

    def broadcast_config(self, config_for: Callable[[Iterable[str]], AgentConfig]) -> None:
        """Send every agent the configuration; config_for: as the agent of these nodes gets it."""
        for connection, nodes in self._nodes.items():
            connection.notify("Orders", Orders(config=config_for(nodes)))

    def check_health(self, names: Iterable[str]) -> None:
        """Have the health checks of these nodes run; one without a connection checks itself when it is back."""
        wanted: dict[Connection, list[str]] = {}
        for name in names:
            connection = self._connections.get(name)
            if connection is not None:
                wanted.setdefault(connection, []).append(name)
        for connection, nodes in wanted.items():
            connection.notify("Orders", Orders(checks=tuple(nodes)))

    def send(self, effect: Order, epoch: int) -> None:
        """Put one order on its way."""
        connection = self._connections.get(effect.node)
        if connection is None:
            logger.info("node %s: no agent is connected, %s waits for it", effect.node, type(effect).__name__)
            return
        if isinstance(effect, RebootNode):
            connection.notify("Orders", Orders(reboots=((effect.node, effect.reason),)))
            return
        if isinstance(effect, Launch):
            self._launch(connection, effect, epoch)
            return
        self._enqueue(connection, effect)

    def _launch(self, connection: Connection, effect: Launch, epoch: int) -> None:
        def enqueue(script: bytes, environment: bytes) -> None:
            order = LaunchJob(
                node=effect.node,
                epoch=epoch,
                job=effect.job,
                script=script,
                environment=msgspec.Raw(environment),
            )
            if connection in self._nodes:
                self._enqueue(connection, order)

        self._fetch_texts(effect.job, enqueue)

    def _enqueue(self, connection: Connection, order: Message) -> None:
        if not self._queues:
            self._loop.call_soon(self._flush)
        self._queues.setdefault(connection, defaultdict(list))[_FIELDS[type(order)]].append(order)

    def _flush(self) -> None:
        queues, self._queues = self._queues, {}
        for connection, queue in queues.items():
            fields: dict[str, Any] = {field: tuple(orders) for field, orders in queue.items()}
            connection.notify("Orders", Orders(**fields))
