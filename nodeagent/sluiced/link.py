"""The agent's connection to the controller: kept for ever, registered each time, reports until they are committed."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable

import msgspec

from sluice.clock import WallClock
from sluice.errors import PeerError, RequestError, SluiceError, Unreachable
from sluice.wire.client import ReconnectingClient
from sluice.wire.connection import Connection
from sluice.wire.credentials import LIFETIME_S, Claims, mint, new_nonce, user_name
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.handler import Handler
from sluice.wire.messages import Heartbeat, NodeReport, Orders, Register, Registered
from sluiced.options import Options
from sluiced.outbox import Item, ReportOutbox

logger = logging.getLogger(__name__)

#: Pause before a report is repeated that the controller could not commit.
_REPORT_PAUSE_S = 1.0
_REGISTER_DEADLINE_S = 30.0
#: A node that is back late stands idle; with full jitter even thousands do not crowd within it.
_RECONNECT_PAUSE_MAX_S = 10.0
_HEARTBEAT_DEFAULT_S = 30.0


class ControllerLink(Handler):
    """What the shell of an agent, real or emulated, talks to.

    describe() gives the nodes to register, on_registered, on_orders and on_acknowledged are told what comes back, and
    measure() gives what a heartbeat tells.  on_registered() returns False when what was registered was another
    cluster's and is forgotten now: the nodes are then registered anew.
    """

    def __init__(
        self,
        options: Options,
        key: bytes,
        rng: random.Random,
        *,
        describe: Callable[[], tuple[NodeReport, ...]],
        on_registered: Callable[[Registered], bool],
        on_orders: Callable[[Orders], None],
        on_acknowledged: Callable[[list[Item]], None],
        measure: Callable[[], Heartbeat],
    ) -> None:
        self.outbox = ReportOutbox()
        self._key = key
        self._node = "*" if options.is_emulated else options.node.name
        self._describe = describe
        self._on_registered = on_registered
        self._on_orders = on_orders
        self._on_acknowledged = on_acknowledged
        self._measure = measure
        self._registered: Connection | None = None
        self._is_flush_due = False
        self._heartbeat_s = _HEARTBEAT_DEFAULT_S
        self._client = ReconnectingClient(
            options.endpoints(),
            self.mint,
            self,
            rng=rng,
            on_connected=self._on_connected,
            on_lost=self._on_lost,
            pause_max_s=_RECONNECT_PAUSE_MAX_S,
        )

    async def run(self) -> None:
        """Keep the connection and the heartbeat, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._client.run())
            group.create_task(self._beat())

    def report(self, item: Item) -> None:
        """Report *item* until it is acknowledged; what comes in one iteration of the loop goes in one frame."""
        self.outbox.add(item)
        self._schedule_flush()

    def ask(self, name: str, body: object, on_done: Callable[[msgspec.Raw | SluiceError], None]) -> None:
        """Ask the controller; on_done gets the reply's body, or at once that there is no connection."""
        if self._registered is None:
            on_done(Unreachable("no controller answers this node's agent"))
        else:
            self._registered.send_request(name, body, on_done)

    def renew(self) -> None:
        """Register anew: what was told of the node holds no longer.  Without a connection that comes by itself."""
        if self._registered is not None:
            self._on_connected(self._registered)

    async def mint(self, audience: str) -> str:
        """Return a credential of this agent's."""
        uid = os.geteuid()
        claims = Claims(
            uid=uid,
            gid=os.getegid(),
            user=user_name(uid),
            host=os.uname().nodename,
            audience=audience,
            node=self._node,
        )
        return mint(self._key, claims, WallClock().now(), LIFETIME_S, new_nonce())

    # Connection and registration.

    def _on_connected(self, connection: Connection) -> None:
        logger.info("controller %s: registering", connection.peer)
        register = Register(nodes=self._describe())
        connection.send_request(
            "Register",
            register,
            lambda reply: self._on_register_reply(connection, reply),
            deadline_s=_REGISTER_DEADLINE_S,
        )

    def _on_register_reply(self, connection: Connection, reply: msgspec.Raw | SluiceError) -> None:
        try:
            if isinstance(reply, SluiceError):
                raise reply
            registered = decode_body(reply, Registered)
        except SluiceError as error:
            logger.error("registration: refused: %s", error)
            connection.close(f"registration was refused: {error}")
            return
        logger.info("registered epoch=%s config=%s", registered.epoch, registered.config.version)
        if not self._on_registered(registered):
            self.outbox = ReportOutbox()
            connection.close("what was registered belonged to another cluster")
            return
        self._heartbeat_s = registered.config.heartbeat_interval_s or _HEARTBEAT_DEFAULT_S
        self._registered = connection
        self._flush()

    def _on_lost(self, reason: PeerError) -> None:
        logger.warning("controller: connection lost: %s", reason)
        self._registered = None
        self.outbox.on_lost()

    def on_notice(self, connection: Connection, envelope: Envelope) -> None:
        if envelope.name == "Orders":
            self._on_orders(decode_body(envelope.body, Orders))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            if self._registered is not None:
                self._registered.notify("Heartbeat", self._measure())

    # Reports.

    def _schedule_flush(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        connection = self._registered
        if connection is None:
            return
        report = self.outbox.next_report()
        if report is not None:
            connection.send_request("Report", report, lambda reply: self._on_report_reply(connection, reply))

    def _on_report_reply(self, connection: Connection, reply: msgspec.Raw | SluiceError) -> None:
        if connection is not self._registered:
            # on_lost() has put the items back already.
            return
        if not isinstance(reply, SluiceError):
            self._on_acknowledged(self.outbox.on_done())
            self._flush()
            return
        if isinstance(reply, RequestError) and reply.code == "invalid_request":
            dropped = self.outbox.on_refused()
            logger.error("report: refused item=%s: %s", dropped, reply)
            self._schedule_flush()
            return
        logger.warning("report: not committed, it will be repeated: %s", reply)
        self.outbox.on_lost()
        asyncio.get_running_loop().call_later(_REPORT_PAUSE_S, self._flush)
