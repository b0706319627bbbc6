"""Connections that come for a job that is here, and are handed to the processes that serve them.

sattach's goes to the step daemon of its step, and so does that of the step's daemon on another node; that of --x11 to
the extern step's, sbcast's to a receiver that is forked for it.  Their credentials were checked by server.py; whether
the job still goes on is the engine's to say.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from sluice.errors import PeerError, RequestError
from sluice.model.base import EXTERN_STEP
from sluice.wire.connection import Connection
from sluice.wire.messages import JoinStep
from sluice.wire.responder import Responder
from sluiced.files.order import FileOrder, write_order
from sluiced.jobs.engine import StepEngine
from sluiced.pmi.parent import ENDED, NOT_LAUNCHED
from sluiced.processes import StepProcesses
from sluiced.spool import JobKey, StepKey
from sluiced.steps.launch import AttachOrder, PeerOrder, X11Order
from sluiced.steps.launcher import Launcher


class Visitors:
    """engine: the one of now, which another cluster's controller replaces.  Connections come held."""

    def __init__(
        self, node: str, engine: Callable[[], StepEngine], processes: StepProcesses, launcher: Launcher
    ) -> None:
        self._node = node
        self._engine = engine
        self._processes = processes
        self._launcher = launcher

    def on_attach(self, key: StepKey, connection: Connection, responder: Responder) -> None:
        """Give the connection to the step daemon, which answers from then on."""
        if not self._engine().table.is_running(key):
            text = f"step {key.job_id}.{key.step_id} does not run on node {self._node}"
            _refuse(RequestError(text, "already_done"), connection, responder)
            return
        handed_over = _detach(connection, responder)
        if handed_over is not None:
            with handed_over:
                # Closed without a word: the step has ended since.
                self._processes.send(key, AttachOrder(), handed_over.fileno())

    def on_forward(self, key: JobKey, order: X11Order, connection: Connection, responder: Responder) -> None:
        """Give the connection to the extern step, which answers from then on."""
        engine, extern = self._engine(), StepKey(*key, EXTERN_STEP)
        if "X11" not in engine.config.prolog_flags:
            text = f"X11 is not forwarded on node {self._node}: PrologFlags has no X11"
            _refuse(RequestError(text, "not_supported"), connection, responder)
            return
        if not engine.table.is_running(extern):
            text = f"job {key.job_id} has no extern step on node {self._node}, which would forward its X11"
            _refuse(RequestError(text, "not_running"), connection, responder)
            return
        handed_over = _detach(connection, responder)
        if handed_over is not None:
            with handed_over:
                self._processes.send(extern, order, handed_over.fileno())

    def on_peer(self, request: JoinStep, connection: Connection, responder: Responder) -> None:
        """Give the step daemon the connection of another node's, which is a part of the same step."""
        key = StepKey(request.job_id, request.attempt, request.step_id)
        if not self._processes.is_running(key):
            code = ENDED if self._engine().table.has_ended(key) else NOT_LAUNCHED
            text = f"step {key.job_id}.{key.step_id} does not run on node {self._node}"
            _refuse(RequestError(text, code), connection, responder)
            return
        handed_over = _detach(connection, responder)
        if handed_over is not None:
            with handed_over:
                self._processes.send(key, PeerOrder(node=request.node), handed_over.fileno())

    def on_file(self, order: FileOrder, key: JobKey, connection: Connection, responder: Responder) -> None:
        """Have a process forked that takes the file from the connection."""
        try:
            self._engine().admission.check_file(key, order.uid)
        except RequestError as error:
            _refuse(error, connection, responder)
            return
        handed_over = _detach(connection, responder)
        if handed_over is not None:
            self._launcher.fork_receiver(write_order(order), handed_over)


def _detach(connection: Connection, responder: Responder) -> socket.socket | None:
    """Return the socket for another process; None: the peer sent too much, which it is told, or is gone."""
    try:
        return connection.detach()
    except RequestError as error:
        _refuse(error, connection, responder)
    except PeerError:
        # It went away before anything came of it.
        pass
    return None


def _refuse(error: RequestError, connection: Connection, responder: Responder) -> None:
    connection.resume()
    responder.error(error)
