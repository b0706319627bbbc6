"""One manager on another node: a connection while there is one to be had, and results until they are acknowledged."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

import msgspec

from sluice.errors import PeerError, SluiceError
from sluice.wire.client import CredentialSource, ReconnectingClient, TcpEndpoint
from sluice.wire.connection import Connection
from sluice.wire.framing import node_audience
from sluice.wire.handler import Handler
from sluice.wire.messages import NodeAddress, StepResult
from sluiced.outbox import ReportOutbox
from sluiced.spool import JobKey

logger = logging.getLogger(__name__)

#: How long results wait for a manager that does not answer; then the controller gets them.
_PATIENCE_S = 10.0
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 2.0


class ManagerLink(Handler):
    """on_taken(results): the manager has them; on_refused(results): it does not know the job, or is not to be had."""

    def __init__(
        self,
        place: NodeAddress,
        credential_source: CredentialSource,
        rng: random.Random,
        on_taken: Callable[[Iterable[StepResult]], None],
        on_refused: Callable[[Iterable[StepResult]], None],
    ) -> None:
        self._place = place
        self._on_taken = on_taken
        self._on_refused = on_refused
        self._outbox = ReportOutbox()
        self._connection: Connection | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._client = ReconnectingClient(
            [TcpEndpoint(place.address, place.port, node_audience(place.node))],
            credential_source,
            self,
            rng=rng,
            on_connected=self._on_connected,
            on_lost=self._on_lost,
            pause_first_s=_PAUSE_FIRST_S,
            pause_max_s=_PAUSE_MAX_S,
        )
        self._task = asyncio.get_running_loop().create_task(self._client.run())

    def tell(self, result: StepResult) -> None:
        self._outbox.add(result)
        if self._connection is None:
            self._be_patient()
        self._flush()

    def take_back(self, key: JobKey) -> list[StepResult]:
        """Return the results of that job that the manager may not have."""
        return self._take_back(lambda result: JobKey(result.job_id, result.attempt) == key)

    def _take_back(self, is_wanted: Callable[[StepResult], bool]) -> list[StepResult]:
        items = self._outbox.take_back(lambda item: isinstance(item, StepResult) and is_wanted(item))
        return [item for item in items if isinstance(item, StepResult)]

    def close(self) -> None:
        self._task.cancel()
        if self._giving_up is not None:
            self._giving_up.cancel()

    def _on_connected(self, connection: Connection) -> None:
        self._connection = connection
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        self._flush()

    def _on_lost(self, reason: PeerError) -> None:
        logger.info("manager on node %s: connection lost: %s", self._place.node, reason)
        self._connection = None
        self._outbox.on_lost()
        if len(self._outbox):
            self._be_patient()

    def _be_patient(self) -> None:
        if self._giving_up is None:
            self._giving_up = asyncio.get_running_loop().call_later(_PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        self._giving_up = None
        results = self._take_back(lambda result: True)
        logger.warning("manager on node %s: does not answer, the controller gets its results", self._place.node)
        self._on_refused(results)

    def _flush(self) -> None:
        connection = self._connection
        report = self._outbox.next_report() if connection is not None else None
        if connection is not None and report is not None:
            connection.send_request("Report", report, lambda reply: self._on_reply(connection, report.results, reply))

    def _on_reply(
        self, connection: Connection, results: tuple[StepResult, ...], reply: msgspec.Raw | SluiceError
    ) -> None:
        if connection is not self._connection or isinstance(reply, PeerError):
            # on_lost() has put them back already, or will.
            return
        self._outbox.on_done()
        if isinstance(reply, SluiceError):
            logger.info("manager on node %s: %s", self._place.node, reply)
            self._on_refused(results)
        else:
            self._on_taken(results)
        self._flush()
