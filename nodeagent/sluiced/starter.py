"""Starting steps: the launch record and what else the step daemon finds in the spool, then its fork.

An srun waits under a ticket until its step is started or refused.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import msgspec

from sluice.clock import WallClock
from sluice.errors import InvalidRequest, PeerError
from sluice.model.base import BATCH_STEP, EXTERN_STEP, INTERACTIVE_STEP
from sluice.model.job import Job
from sluice.wire.connection import Connection
from sluice.wire.messages import AgentConfig, LaunchJob, NodeAddress, TaskLaunch
from sluice.wire.responder import Responder
from sluiced import process_id
from sluiced.cgroup import detect
from sluiced.description import Description
from sluiced.jobs.effects import RefuseTasks
from sluiced.options import Options
from sluiced.outbox import Item
from sluiced.processes import StepProcesses
from sluiced.spool import Spool, StepKey
from sluiced.steps.launch import StepLaunch
from sluiced.steps.setup import peer_address

logger = logging.getLogger(__name__)


class Starter:
    """report: to the controller."""

    def __init__(
        self,
        options: Options,
        spool: Spool,
        processes: StepProcesses,
        description: Description,
        clock: WallClock,
        report: Callable[[Item], None],
    ) -> None:
        self._options = options
        self._node = options.node.name
        self._boot_id = process_id.boot_id()
        self._own_place = NodeAddress(node=self._node, address=options.address, port=options.port)
        self._spool = spool
        self._processes = processes
        self._description = description
        self._clock = clock
        self._report = report
        self._tickets: dict[int, tuple[Connection, Responder, NodeAddress | None]] = {}
        self._last_ticket = 0

    def take(self, manager: NodeAddress | None, connection: Connection, responder: Responder) -> int:
        """Return the ticket under which the srun waits.  manager: of its step."""
        self._last_ticket += 1
        self._tickets[self._last_ticket] = (connection, responder, manager)
        return self._last_ticket

    def refuse(self, effect: RefuseTasks) -> None:
        connection, responder, _ = self._tickets.pop(effect.ticket)
        connection.resume()
        responder.error(effect.code, effect.message)

    def start_batch(self, key: StepKey, order: LaunchJob, config: AgentConfig) -> None:
        spec = order.job.spec
        script, environment = order.script, order.environment
        assert isinstance(script, bytes), "decoded as bytes"
        assert isinstance(environment, tuple), "decoded as strings"
        launch = self._launch_record(order.job, key, config)
        launch = msgspec.structs.replace(launch, script_path=self._spool.script_path(key.job), environment=environment)
        try:
            self._spool.make_job(key.job)
            self._spool.write_script(key.job, script, spec.uid, spec.gid)
            self._processes.start(key, launch, None)
        except OSError as error:
            self._fail_start(key, f"spool {self._spool.path!r}: {error.strerror}")

    def start_extern(self, key: StepKey, job: Job, config: AgentConfig) -> None:
        try:
            self._spool.make_job(key.job)
            self._processes.start(key, self.extern_launch(job, config), None)
        except OSError as error:
            self._fail_start(key, f"spool {self._spool.path!r}: {error.strerror}")

    def extern_launch(self, job: Job, config: AgentConfig) -> StepLaunch:
        """Return the launch record of a job's extern step."""
        return self._launch_record(job, StepKey(job.id, job.attempt, EXTERN_STEP), config)

    def start_tasks(self, key: StepKey, request: TaskLaunch, ticket: int, config: AgentConfig) -> None:
        connection, responder, manager = self._tickets.pop(ticket)
        early = connection.take_unread()
        try:
            handed_over = connection.detach()
        except PeerError as error:
            # Nobody waits for the step any more: an interrupted srun, not a fault.
            logger.info("step %s.%s: its srun went away before it started: %s", key.job_id, key.step_id, error)
            self._processes.fail(key, f"srun went away before the step started: {error}", self._clock.now())
            return
        except InvalidRequest as error:
            connection.resume()
            responder.error(error)
            self._fail_start(key, f"srun's connection: {error}")
            return
        launch = self._launch_record(request.job, key, config)
        address, port = peer_address(handed_over)
        launch = msgspec.structs.replace(launch, tasks=request, srun_address=address, srun_port=port, srun_early=early)
        if manager is not None or request.step.step_id != INTERACTIVE_STEP:
            launch = msgspec.structs.replace(launch, manager=manager)
        try:
            self._spool.make_job(key.job)
            self._spool.write_job(request.job)
            self._processes.start(key, launch, handed_over)
        except OSError as error:
            handed_over.close()
            self._fail_start(key, f"spool {self._spool.path!r}: {error.strerror}")

    def _launch_record(self, job: Job, key: StepKey, config: AgentConfig) -> StepLaunch:
        address, port = self._options.controllers[0] if self._options.controllers else ("", 0)
        return StepLaunch(
            node=self._node,
            job=job,
            step_id=key.step_id,
            boot_id=self._boot_id,
            config=config,
            group=detect.node_name(config.cluster, self._node, self._spool.path),
            conf_path=self._options.conf_path,
            controller=f"{_numeric(address)}:{port}" if address else "",
            notice_path=self._spool.notice_path(key),
            devices=self._description.devices,
            is_fenced=detect.fences_devices(config.cgroup),
            accepted_at=self._clock.now(),
            manager=self._own_place if job.nodes[:1] == (self._node,) and not job.is_component else None,
            x11=self._spool.read_x11(key.job) if "X11" in config.prolog_flags else {},
        )

    def _fail_start(self, key: StepKey, text: str) -> None:
        logger.error("step %s.%s: not started: %s", key.job_id, key.step_id, text)
        if key.step_id == BATCH_STEP:
            drain = f"step {key.job_id}.batch could not be started: {text}"
            self._report((self._node, drain))
        self._processes.fail(key, text, self._clock.now())


def _numeric(address: str) -> str:
    """Return the address in numbers, as SLURM_WORKING_CLUSTER has it."""
    try:
        return socket.gethostbyname(address)
    except OSError:
        return address
