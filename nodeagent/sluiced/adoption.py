"""Processes that came to the node by other ways than a step, brought into their users' jobs (as pam_slurm_adopt does).

Who asks is root, on the UNIX socket: PAM's helper while a user logs in.  The job's extern step takes the process in; of
several jobs of the user it is the one that came last.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from sluice.errors import NotPermitted, RequestError
from sluice.model.base import EXTERN_STEP
from sluice.wire.connection import Connection
from sluice.wire.messages import Adopted, AdoptProcess
from sluice.wire.responder import Responder
from sluiced import process_id
from sluiced.jobs.engine import StepEngine
from sluiced.jobs.table import Phase
from sluiced.processes import StepProcesses
from sluiced.spool import Spool, StepKey
from sluiced.steps import descendants
from sluiced.steps.launch import AdoptOrder

logger = logging.getLogger(__name__)

_ANSWER_DEADLINE_S = 10.0
_ANSWER_SIZE_MAX = 1024
#: Programs and modules, as their command lines name them.
_DAEMONS = frozenset((b"sluicectld", b"sluiced"))

#: Runs what waits for an answer.
Spawn = Callable[[Coroutine[Any, Any, None]], None]


def why_not(pid: int, agent: int) -> str:
    """Return why a process must stay where it is, "" for none: what runs below an adopted one ends with the job."""
    if pid == 1 or agent in descendants.descendants(pid) or pid == agent:
        return "the node's agent runs below it"
    if pid in descendants.descendants(agent):
        return "it is the node agent's own, or a step's already"
    try:
        os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return "it is the kernel's"
    return "it is a daemon of Sluice" if _is_daemon(pid) else ""


def _is_daemon(pid: int) -> bool:
    """Is it a controller's, or another agent's or its fork server's?"""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = [os.path.basename(word) for word in file.read().split(b"\0")]
    except OSError:
        return False
    return any(word in _DAEMONS or word.startswith(b"sluiced.") for word in words)


class Adoption:
    """engine: the one of now."""

    def __init__(
        self, node: str, engine: Callable[[], StepEngine], processes: StepProcesses, spool: Spool, spawn: Spawn
    ) -> None:
        self._node = node
        self._engine = engine
        self._processes = processes
        self._spool = spool
        self._spawn = spawn

    def on_adopt(self, connection: Connection, request: AdoptProcess, responder: Responder) -> None:
        """Raises NotPermitted, or RequestError with the code "no_job" or "invalid_request"."""
        caller = connection.identity
        if caller is None or caller.pid is None:
            raise NotPermitted("processes are adopted on the UNIX socket, where the kernel tells who asks")
        if caller.uid not in (0, os.geteuid()):
            raise NotPermitted(f"processes are adopted for root, and uid {caller.uid} asks")
        ticks = process_id.start_ticks(request.pid)
        if ticks is None:
            raise RequestError(f"there is no process {request.pid} on node {self._node}", "invalid_request")
        if why := why_not(request.pid, os.getpid()):
            raise RequestError(f"process {request.pid} cannot be adopted: {why}", "invalid_request")
        key = self._find(request)
        order = AdoptOrder(pid=request.pid, start_ticks=ticks)
        self._spawn(self._adopt(key, order, request.uid, responder))

    def _find(self, request: AdoptProcess) -> StepKey:
        """Return the extern step of the job that is meant, else of the user's latest."""
        found = [(at, key) for at, key in self._extern_steps(request.uid) if request.job_id in (None, key.job_id)]
        if not found:
            which = "no job" if request.job_id is None else f"no job {request.job_id}"
            raise RequestError(f"user {request.uid} has {which} with an extern step on node {self._node}", "no_job")
        return max(found)[1]

    def _extern_steps(self, uid: int) -> list[tuple[float, StepKey]]:
        """Return when each of the user's that run here began."""
        found = []
        for key, here in self._engine().table.jobs.items():
            step = StepKey(*key, EXTERN_STEP)
            if here.phase is not Phase.RUNNING or EXTERN_STEP not in here.running_steps:
                continue
            launch = self._spool.read_launch(step)
            if launch is not None and launch.job.spec.uid == uid:
                found.append((launch.accepted_at, step))
        return found

    async def _adopt(self, key: StepKey, order: AdoptOrder, uid: int, responder: Responder) -> None:
        problem = await self._ask(key, order)
        if problem:
            logger.warning("job %s: not adopted pid=%s uid=%s: %s", key.job_id, order.pid, uid, problem)
            responder.error("not_adopted", f"process {order.pid} is not adopted by job {key.job_id}: {problem}")
            return
        logger.info("job %s: adopted pid=%s uid=%s", key.job_id, order.pid, uid)
        responder.reply(Adopted(job_id=key.job_id, node=self._node))

    async def _ask(self, key: StepKey, order: AdoptOrder) -> str:
        """Return why the step daemon has not taken the process in, "" when it has."""
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own.setblocking(False)
        with own:
            with theirs:
                self._processes.send(key, order, theirs.fileno())
            try:
                async with asyncio.timeout(_ANSWER_DEADLINE_S):
                    answer = await asyncio.get_running_loop().sock_recv(own, _ANSWER_SIZE_MAX)
            except TimeoutError:
                return f"its step daemon has not answered within {_ANSWER_DEADLINE_S:g} s"
            except OSError as error:
                return f"its step daemon is gone: {error.strerror}"
        # The end without a word is that of the step.
        return answer[1:].decode() if answer else "its extern step has ended"
