"""Requests of administrators, and the ping that everybody may send."""

import socket

from sluice import __version__
from sluice.wire.messages import Done, Ping, Pong, Reconfigure, Shutdown
from sluicectld.permissions import Verb

from .call import Call


def answer_ping(call: Call, request: Ping) -> None:
    """Answer at once; what is uncommitted does not matter here."""
    core = call.core
    call.responder.reply(
        Pong(
            host=socket.gethostname(),
            version=__version__,
            cluster=core.config.settings.cluster_name,
            epoch=core.engine.cluster.epoch,
        )
    )


def answer_reconfigure(call: Call, request: Reconfigure) -> None:
    """Read the configuration again; the last good one stays in force when it is refused."""
    call.caller.require(Verb.RECONFIGURE)
    lines = call.core.reconfigure()
    call.core.ask(call.responder, lambda: Done(lines=lines))


def answer_shutdown(call: Call, request: Shutdown) -> None:
    call.caller.require(Verb.SHUTDOWN)
    call.responder.reply(Done())
    call.core.shutdown()
