"""A controller made of the real wire layer and lists: registers agents, sends orders, remembers reports."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.request import JobSpec
from sluice.model.states import JobState
from sluice.model.step import Step
from sluice.wire.connection import Connection
from sluice.wire.credentials import SharedKeyAuthenticator
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.handler import Handler
from sluice.wire.messages import (
    AgentConfig,
    Done,
    LeasedPorts,
    LocateJob,
    ManagedJob,
    ManageSteps,
    NodeClean,
    NodePrepared,
    NodeReport,
    NodeTrouble,
    Orders,
    Register,
    Registered,
    Report,
    StartedJob,
    StepResult,
)
from sluice.wire.responder import Responder
from sluice.wire.server import Server

T = TypeVar("T")


class FakeController(Handler):
    """Serves on a UNIX socket, in a thread of its own."""

    def __init__(self, socket_path: str, config: AgentConfig) -> None:
        self.config = config
        self.epoch = 1
        self.cluster_id = ""
        self.socket_path = socket_path
        self.registrations: list[NodeReport] = []
        self.results: list[StepResult] = []
        self.cleans: list[NodeClean] = []
        self.drains: list[tuple[str, str]] = []
        self.prepared: list[NodePrepared] = []
        self.troubles: list[NodeTrouble] = []
        self.reports = 0
        #: Steps as their manager reported them, in order.
        self.steps: list[Step] = []
        #: Jobs whose steps are handed over, and how often each was asked for.
        self.managed: dict[int, ManagedJob] = {}
        self.handed_over: list[int] = []
        #: Jobs that have ended, for an agent that asks; all others run.
        self.ended: set[int] = set()
        #: Jobs that were asked for.
        self.located: list[int] = []
        self.stale: tuple[tuple[str, int, int], ...] = ()
        #: While true, reports get no answer.
        self.is_mute = False
        self._connection: Connection | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: Server | None = None
        self.listen()

    def listen(self) -> None:
        async def listen() -> None:
            self._server = Server(self)
            await self._server.listen_unix(self.socket_path, 0o666)

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result(10)

    def listen_tcp(self, port: int, key: bytes) -> None:
        """Listen on TCP alone."""

        async def listen() -> None:
            self._server = Server(self)
            await self._server.listen_tcp("127.0.0.1", port, SharedKeyAuthenticator(key))

        self.hang_up()
        asyncio.run_coroutine_threadsafe(listen(), self._loop).result(10)

    def hang_up(self) -> None:
        """Stop listening and drop every connection."""
        assert self._server is not None
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(10)

    def stop(self) -> None:
        self.hang_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def order(self, **kinds: object) -> None:
        """Send Orders(**kinds) to the agent."""
        self._call(lambda: self._notify(Orders(**kinds)))  # type: ignore[arg-type]

    def _notify(self, orders: Orders) -> None:
        assert self._connection is not None, "no agent is registered"
        self._connection.notify("Orders", orders)

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def result_of(self, job_id: int, step_id: int = -5) -> StepResult | None:
        found = [result for result in self.results if (result.job_id, result.step_id) == (job_id, step_id)]
        return found[-1] if found else None

    def is_clean(self, job_id: int) -> bool:
        told = [clean.job_id for clean in self.cleans] + [one.job_id for one in self.results if one.is_node_clean]
        return job_id in told

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        if envelope.name == "Register":
            self.registrations += decode_body(envelope.body, Register).nodes
            self._connection = connection
            responder.reply(
                Registered(epoch=self.epoch, config=self.config, cluster_id=self.cluster_id, stale_jobs=self.stale)
            )
        elif envelope.name == "ManageSteps":
            self._hand_over(decode_body(envelope.body, ManageSteps), responder)
        elif envelope.name == "LocateJob":
            self._locate(decode_body(envelope.body, LocateJob).job_id, responder)
        elif envelope.name == "LeasePorts":
            responder.reply(LeasedPorts(ports=(13000, 13007)))
        elif envelope.name == "Report" and not self.is_mute:
            report = decode_body(envelope.body, Report)
            self.reports += 1
            self.steps += report.steps
            self.results += report.results
            self.cleans += report.clean
            self.drains += report.drains
            self.prepared += report.prepared
            self.troubles += report.troubles
            responder.reply(Done())

    def _locate(self, job_id: int, responder: Responder) -> None:
        self.located.append(job_id)
        (node,) = {report.node for report in self.registrations}
        job = Job(
            id=job_id,
            spec=JobSpec(name="test", uid=0, gid=0, user="root"),
            state=JobState.COMPLETED if job_id in self.ended else JobState.RUNNING,
            allocation=Allocation(grants=(NodeGrant(node=node, cpus="0", cpu_count=1),)),
        )
        responder.reply(StartedJob(job=job, is_ended=job.is_ended))

    def _hand_over(self, request: ManageSteps, responder: Responder) -> None:
        self.handed_over.append(request.job_id)
        if request.job_id in self.managed:
            responder.reply(self.managed[request.job_id])
        else:
            responder.error("step_busy", f"steps of job {request.job_id} run that the controller manages")
