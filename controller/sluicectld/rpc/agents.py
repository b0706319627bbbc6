"""Requests of node agents."""

import logging

from sluice import hostlist
from sluice.wire.connection import Connection
from sluice.wire.messages import Done, Heartbeat, Register, Registered, Report
from sluicectld.core import Core
from sluicectld.permissions import SYSTEM, Caller, Verb
from sluicectld.state.commands import AgentLost

from .call import Call

logger = logging.getLogger(__name__)


def answer_register(call: Call, request: Register) -> None:
    """Take the nodes into service; the reply has the configuration and what must not run."""
    core = call.core
    names = [report.node for report in request.nodes]

    def reply(stale: tuple[tuple[str, int, int], ...]) -> Registered:
        cluster = core.engine.cluster
        return Registered(
            epoch=cluster.epoch, config=core.agent_config_for(names), stale_jobs=stale, cluster_id=cluster.cluster_id
        )

    core.run(request, call.caller, call.responder, reply)
    # Once it is allowed, and before the orders that follow from it: those leave after the commit.
    core.agents.attach(call.connection, names)
    logger.info("nodes %s registered peer=%s", hostlist.fold(names), call.connection.peer)


def answer_report(call: Call, request: Report) -> None:
    """Take what happened; the reply means that it is committed."""
    call.caller.require(Verb.REPORT)
    call.core.run(request, call.caller, call.responder, lambda done: Done())


def take_heartbeat(core: Core, caller: Caller, heartbeat: Heartbeat) -> None:
    if caller.may(Verb.REPORT):
        core.agents.note_heartbeat(heartbeat.nodes)


def on_closed(core: Core, connection: Connection) -> None:
    """An agent's connection is gone: nothing new starts on its nodes until it is back."""
    nodes = core.agents.detach(connection)
    if nodes:
        logger.info("nodes %s lost their agent's connection", hostlist.fold(nodes))
        core.run(AgentLost(nodes), SYSTEM)


def check_silence(core: Core) -> None:
    """Nodes that were not heard of for SlurmdTimeout are down."""
    timeout_s = core.config.settings.slurmd_timeout_s
    if not timeout_s:
        return
    silent = core.agents.silent_since(core.clock.now() - timeout_s)
    if silent:
        logger.warning("nodes %s not heard of for %d s, set down", hostlist.fold(silent), timeout_s)
        core.run(AgentLost(silent, is_final=True), SYSTEM)
        # Its jobs are given up, and only a registration tells it so.
        core.agents.hang_up(silent)
