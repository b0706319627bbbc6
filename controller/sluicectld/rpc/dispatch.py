"""The wire's handler: one row a request, typed on decode, refused as a value."""

import logging
from collections.abc import Callable
from typing import Any

from sluice.errors import InvalidRequest, PeerError
from sluice.wire import messages
from sluice.wire.connection import Connection
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.faults import UNKNOWN_REQUEST
from sluice.wire.handler import Handler
from sluice.wire.responder import Responder
from sluicectld.core import Core
from sluicectld.rpc import accounting, admin, agents, explain, jobs, managers, queries, reservations, steps, topology
from sluicectld.rpc.call import Call
from sluicectld.rpc.callers import Callers

logger = logging.getLogger(__name__)


Answer = Callable[[Call, Any], None]

ANSWERS: dict[str, Answer] = {
    "SubmitJob": jobs.answer_submit,
    "SubmitHetJob": jobs.answer_submit_het,
    "SubmitJobs": jobs.answer_submit_many,
    "TestJob": jobs.answer_test,
    "WaitJobStart": jobs.answer_wait_start,
    "WaitJobEnd": jobs.answer_wait_end,
    "FinishAllocation": jobs.answer_command,
    "KillJobs": jobs.answer_command,
    "ChangeJobs": jobs.answer_command,
    "NotifyJob": jobs.answer_notify,
    "UpdateJobs": jobs.answer_update,
    "UpdateNodes": jobs.answer_command,
    "UpdatePartition": jobs.answer_command,
    "UpdateReservation": reservations.answer_update,
    "CreateStep": steps.answer_create,
    "CreateHetStep": steps.answer_create_het,
    "FinishStep": jobs.answer_command,
    "LocateJob": steps.answer_locate,
    "AttachStep": steps.answer_attach,
    "SendFiles": steps.answer_send_files,
    "QueryJobs": queries.answer_jobs,
    "QuerySteps": queries.answer_steps,
    "QueryNodes": queries.answer_nodes,
    "QueryPartitions": queries.answer_partitions,
    "QueryReservations": reservations.answer_query,
    "QueryConfig": queries.answer_config,
    "QueryTopology": topology.answer_topology,
    "QueryStatistics": queries.answer_statistics,
    "ExplainJobs": explain.answer_explain,
    "QueryAccounting": accounting.answer_accounting,
    "QueryScript": accounting.answer_script,
    "QueryOutput": accounting.answer_output,
    "Register": agents.answer_register,
    "Report": agents.answer_report,
    "ManageSteps": managers.answer_manage,
    "LeasePorts": jobs.answer_command,
    "Ping": admin.answer_ping,
    "Reconfigure": admin.answer_reconfigure,
    "Shutdown": admin.answer_shutdown,
}


class Dispatch(Handler):
    """core is None while the storage is down; then every request says so."""

    def __init__(self, callers: Callers) -> None:
        self.core: Core | None = None
        #: Why there is no core.
        self.condition = "the controller is starting"
        self.code = "unavailable"
        self._callers = callers

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        kinds = messages.CONTROLLER_REQUESTS.get(envelope.name)
        if kinds is None:
            responder.error(UNKNOWN_REQUEST, f"request {envelope.name!r} is not known here")
            return
        core = self.core
        if core is None:
            responder.error(self.code, f"not accepted: {self.condition}; nothing was lost, try again later")
            return
        request = decode_body(envelope.body, kinds[0])
        caller = self._callers.caller(connection.identity)
        ANSWERS[envelope.name](Call(core, self._callers, caller, connection, responder, envelope.id), request)

    def on_notice(self, connection: Connection, envelope: Envelope) -> None:
        if self.core is None:
            return
        if envelope.name == "Heartbeat":
            caller = self._callers.caller(connection.identity)
            try:
                agents.take_heartbeat(self.core, caller, decode_body(envelope.body, messages.Heartbeat))
            except InvalidRequest as error:
                # Nobody waits for an answer, and whoever sends such things must not fill the log.
                logger.debug("notice %s: %s peer=%s", envelope.name, error, connection.peer)

    def on_closed(self, connection: Connection, reason: PeerError) -> None:
        if self.core is not None:
            agents.on_closed(self.core, connection)
            self.core.clients.on_closed(connection, self.core.clock.now())
            self.core.waiting.drop_closed()
