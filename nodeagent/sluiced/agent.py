"""The shell of one node's agent: feeds the engine with events and performs its effects."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from typing import assert_never

import msgspec

from sluice import hook_env
from sluice.clock import WallClock
from sluice.errors import InvalidRequest, PeerError
from sluice.model.base import BATCH_STEP
from sluice.model.confinement import CgroupSettings
from sluice.model.job import Job
from sluice.programs import run_programs
from sluice.wire.connection import Connection
from sluice.wire.keyfile import read_key_file
from sluice.wire.messages import (
    AgentConfig,
    Heartbeat,
    JoinStep,
    LaunchJob,
    NodeClean,
    NodeReport,
    NodeTrouble,
    Orders,
    Registered,
    StepResult,
    TaskLaunch,
)
from sluice.wire.responder import Responder
from sluice.wire.server import Server
from sluiced import inventory, process_id
from sluiced.cgroup import detect
from sluiced.gpu.measure import Devices
from sluiced.health import HealthCheck
from sluiced.hooks import Hooks, OnEnded
from sluiced.jobs.effects import (
    Effect,
    ForgetJob,
    ForgetStep,
    KillStrays,
    MarkEnded,
    MarkPrepared,
    RefuseTasks,
    RunHook,
    SendOrder,
    StartBatch,
    StartTasks,
    TellClean,
    TellDrain,
    TellPrepared,
    TellResult,
)
from sluiced.jobs.engine import StepEngine
from sluiced.link import ControllerLink
from sluiced.old_cluster import end_old_cluster
from sluiced.options import Options
from sluiced.outbox import Item
from sluiced.pmi.parent import ENDED, NOT_LAUNCHED
from sluiced.processes import StepProcesses
from sluiced.recovery import Condition, condition_of
from sluiced.server import AgentAuthenticator, AgentServer
from sluiced.spool import JobKey, Spool, StepKey, write_durably
from sluiced.steps.launch import PeerOrder, StepLaunch
from sluiced.steps.launcher import Launcher
from sluiced.steps.setup import peer_address
from sluiced.unkillable import Unkillables
from sluiced.visitors import Visitors

logger = logging.getLogger(__name__)

_LOCK_PAUSE_S = 0.05
_LOCK_TRIES_MAX = 400
_SWEEP_PAUSE_S = 0.5
_REBOOT_DEADLINE_S = 300.0


class Agent:
    """One node.  run() serves until cancelled; the steps live on."""

    def __init__(self, options: Options, rng: random.Random) -> None:
        self._options = options
        self._node = options.node.name
        self._clock = WallClock()
        self._started_at = self._clock.now()
        self._boot_id = process_id.boot_id()
        self._spool = Spool(options.spool)
        self._launcher = Launcher(self._spool.lock)
        self._processes = StepProcesses(self._spool, self._launcher, self._on_step_ended)
        self._engine = self._new_engine(self._load_config())
        self._tickets: dict[int, tuple[Connection, Responder]] = {}
        self._last_ticket = 0
        self._hooks = Hooks(os.path.join(options.spool, "hooks"), self._node, options.conf_path)
        self._unkillables = Unkillables(
            os.path.join(options.spool, "unkillable"), self._node, options.conf_path, self._tell_trouble
        )
        self._health = HealthCheck(self._node, options.conf_path, self._tell_trouble)
        self._has_checked = False
        self._tasks: asyncio.TaskGroup | None = None
        self._sweep_wanted = asyncio.Event()
        self._unenforced = ""
        self._devices = Devices(self._node, options.setup)
        key = read_key_file(options.key_file)
        visitors = Visitors(self._node, lambda: self._engine, self._processes, self._launcher)
        self._handler = AgentServer(key, self._node, self._on_tasks, visitors, self._on_srun, self._on_peer)
        self._server = Server(self._handler, audience=self._handler.audience)
        self._authenticator = AgentAuthenticator(key, self._node)
        self._link = ControllerLink(
            options,
            key,
            rng,
            describe=self._describe,
            on_registered=self._on_registered,
            on_orders=self._on_orders,
            on_acknowledged=self._on_acknowledged,
            measure=self._measure,
        )

    async def run(self) -> None:
        await self._lock_spool()
        self._unenforced = detect.prepare(self._node, self._engine.config.cgroup)
        self._launcher.start()
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = group
                self._hooks.end_leftovers()
                self._unkillables.recover()
                self._recover()
                group.create_task(self._sweep())
                await self._listen()
                group.create_task(self._link.run())
        finally:
            await self._server.stop()
            self._processes.stop()
            self._unkillables.stop()
            self._launcher.stop()
            self._spool.close()

    async def _lock_spool(self) -> None:
        """Wait for the fork server of the last agent, which goes when it has seen that agent's end."""
        for _ in range(_LOCK_TRIES_MAX):
            if self._spool.lock_nowait():
                return
            await asyncio.sleep(_LOCK_PAUSE_S)
        raise InvalidRequest(f"spool {self._spool.path!r} is used by another agent")

    async def _listen(self) -> None:
        folder = os.path.dirname(self._options.agent_socket)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        await self._server.listen_unix(self._options.agent_socket, 0o666)
        port = await self._server.listen_tcp(
            _listening_address(self._options.address), self._options.port, self._authenticator
        )
        logger.info("node %s: listening port=%s socket=%s", self._node, port, self._options.agent_socket)

    async def _sweep(self) -> None:
        """Take away what is forgotten, in a thread: the file system may make that wait for the disk."""
        while True:
            self._sweep_wanted.clear()
            await asyncio.to_thread(self._spool.sweep)
            await self._sweep_wanted.wait()
            # A thread is woken for many jobs rather than for each.
            await asyncio.sleep(_SWEEP_PAUSE_S)

    # Starting again.

    def _recover(self) -> None:
        """Bring the engine to where the spool is; ends and losses are told once every step is known."""
        found: list[tuple[StepKey, Condition, str]] = []
        for key in self._spool.jobs():
            steps = self._spool.steps(key)
            job = self._spool.read_job(key)
            variables = self._spool.read_prepared(key)
            if job is None and variables is None:
                self._spool.remove_job(key)
                continue
            if variables is None and job is not None:
                variables = hook_env.job_variables(job, self._engine.config.cluster, self._node)
            self._engine.on_recovered(key, variables or {}, self._spool.is_ended(key))
            for step in steps:
                self._engine.on_step_recovered(step)
                found.append((step, *condition_of(self._spool, step, self._boot_id)))
        for step, condition, why in found:
            logger.info("step %s.%s: found condition=%s", step.job_id, step.step_id, condition.name)
            self._resume(step, condition, why)
        self._perform(self._engine.on_recovery_done())
        known = {detect.job_name(*key) for key in self._spool.jobs()}
        detect.kill_unknown_jobs(self._engine.config.cgroup, self._group(), known)

    def _resume(self, key: StepKey, condition: Condition, why: str) -> None:
        match condition:
            case Condition.ENDED:
                result = self._spool.read_result(key)
                assert result is not None, f"{key}: the result was there"
                self._on_step_ended(key, result, True)
            case Condition.RUNNING:
                if not self._processes.adopt(key):
                    self._resume(key, *condition_of(self._spool, key, self._boot_id))
            case Condition.WAITING:
                self._processes.fork(key)
            case Condition.LOST:
                self._processes.fail(key, why, self._clock.now())
            case _:
                assert_never(condition)

    def _new_engine(self, config: AgentConfig) -> StepEngine:
        return StepEngine(self._node, config, None if os.geteuid() == 0 else os.geteuid())

    def _load_config(self) -> AgentConfig:
        """Return the configuration last heard of, so that an agent works before the controller answers."""
        try:
            with open(os.path.join(self._spool.path, "config"), "rb") as file:
                return msgspec.msgpack.decode(file.read(), type=AgentConfig)
        except (OSError, msgspec.DecodeError):
            return AgentConfig(version=0, digest="", cluster=self._options.cluster)

    # What the link asks and tells.

    def _describe(self) -> tuple[NodeReport, ...]:
        tmp_fs, units = self._engine.config.tmp_fs, self._devices.measured
        measured = inventory.measure(self._spool.id, self._started_at, self._unenforced, tmp_fs, units)
        return (NodeReport(node=self._node, inventory=measured, steps=self._engine.table.running_steps()),)

    def _measure(self) -> Heartbeat:
        return Heartbeat(nodes=((self._node, *inventory.load_and_free_memory()),))

    def _on_registered(self, registered: Registered) -> bool:
        if registered.cluster_id and registered.cluster_id != (known := self._spool.read_cluster_id()):
            if known:
                self._forget_cluster()
            self._spool.write_cluster_id(registered.cluster_id)
            if known:
                return False
        config = registered.config
        if config != self._engine.config:
            write_durably(self._spool.path, "config", msgspec.msgpack.encode(config))
        settings = self._engine.config.cgroup
        stale = [JobKey(job_id, attempt) for node, job_id, attempt in registered.stale_jobs if node == self._node]
        self._perform(self._engine.on_registered(registered.epoch, config, stale))
        self._follow_config(settings)
        if not self._has_checked:
            self._has_checked = True
            self._health.start(config, self._task_group)
        return True

    def _follow_config(self, old: CgroupSettings) -> None:
        """Measure the node anew where the configuration is another one, and register anew if that changes anything."""
        config = self._engine.config
        setup = config.nodes.get(self._node)
        has_changed = setup is not None and self._devices.set_up(setup)
        if config.cgroup != old:
            told, self._unenforced = self._unenforced, detect.prepare(self._node, config.cgroup)
            has_changed = has_changed or self._unenforced != told
        if has_changed:
            # Not while a registration is being answered.
            asyncio.get_running_loop().call_soon(self._link.renew)

    def _forget_cluster(self) -> None:
        """Begin anew for another cluster of the same name."""
        logger.warning("node %s: another cluster's controller answers, forgetting the old one's jobs", self._node)
        self._processes.stop()
        self._launcher.stop()
        end_old_cluster(self._spool)
        self._sweep_wanted.set()
        self._engine = self._new_engine(self._engine.config)
        self._launcher.start()

    @property
    def _task_group(self) -> asyncio.TaskGroup:
        assert self._tasks is not None, "programs run while the agent does"
        return self._tasks

    def _tell_trouble(self, trouble: NodeTrouble) -> None:
        self._link.report(trouble)

    def _on_orders(self, orders: Orders) -> None:
        for node, reason in orders.reboots:
            if node == self._node:
                self._task_group.create_task(self._reboot(reason))
        if self._node in orders.checks:
            self._health.start(self._engine.config, self._task_group)
        settings = self._engine.config.cgroup
        self._perform(self._engine.on_orders(orders))
        if orders.config is not None:
            self._follow_config(settings)

    async def _reboot(self, reason: str) -> None:
        """Have the site's program restart the machine; where it fails, the node waits for somebody."""
        config = self._engine.config
        logger.warning("node %s: to be restarted: %s", self._node, reason or "no reason given")
        variables = {"SLURMD_NODENAME": self._node, "SLURM_CLUSTER_NAME": config.cluster, "SLURM_REBOOT_REASON": reason}
        environment = hook_env.program_environment(variables, "reboot", self._options.conf_path)
        problem = await run_programs((config.reboot_program,), environment, _REBOOT_DEADLINE_S)
        if problem:
            self._tell_trouble(NodeTrouble(node=self._node, cause="reboot failed", reason=f"Reboot failed: {problem}"))

    def _on_acknowledged(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, StepResult | NodeClean):
                self._perform(self._engine.on_acknowledged(item))

    # What srun and the steps tell.

    def _on_tasks(self, request: TaskLaunch, connection: Connection, responder: Responder) -> None:
        self._last_ticket += 1
        self._tickets[self._last_ticket] = (connection, responder)
        self._perform(self._engine.on_tasks_wanted(request, self._last_ticket))

    def _on_srun(self, key: StepKey, is_here: bool) -> None:
        if is_here:
            self._engine.on_srun_came(key)
        else:
            self._perform(self._engine.on_srun_gone(key))

    def _on_peer(self, request: JoinStep, connection: Connection, responder: Responder) -> None:
        """Hand over the connection of another node's step daemon."""
        key = StepKey(request.job_id, request.attempt, request.step_id)
        if not self._processes.is_running(key):
            code = ENDED if self._engine.table.has_ended(key) else NOT_LAUNCHED
            connection.resume()
            responder.error(code, f"step {key.job_id}.{key.step_id} does not run on node {self._node}")
            return
        try:
            handed_over = connection.detach()
        except (PeerError, InvalidRequest) as error:
            logger.info("step %s.%s: node %s did not join: %s", key.job_id, key.step_id, request.node, error)
            return
        with handed_over:
            self._processes.send(key, PeerOrder(node=request.node), handed_over.fileno())

    def _on_step_ended(self, key: StepKey, result: StepResult, is_own: bool) -> None:
        logger.info(
            "step %s.%s: ended code=%s signal=%s reason=%s",
            key.job_id,
            key.step_id,
            result.exit_code,
            result.exit_signal,
            result.reason,
        )
        told = msgspec.structs.replace(result, node=self._node)
        if result.reason_text and not result.reason:
            self._unenforced = result.reason_text
        if not is_own:
            self._perform(self._engine.on_step_lost(key, told))
            return
        unkillable = self._spool.read_problem(key)
        if unkillable is not None:
            # Before the result, so that nothing else is sent here meanwhile.
            self._unkillables.add(key, unkillable, self._engine.config, self._task_group)
        self._perform(self._engine.on_step_ended(key, told))

    # Effects.

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._perform_one(effect)

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case StartBatch():
                self._start_batch(effect.key, effect.order)
            case StartTasks():
                self._start_tasks(effect.key, effect.request, effect.ticket)
            case RefuseTasks():
                connection, responder = self._tickets.pop(effect.ticket)
                connection.resume()
                responder.error(effect.code, effect.message)
            case SendOrder():
                self._processes.send(effect.key, effect.order)
            case RunHook():
                self._task_group.create_task(
                    self._hooks.run(effect, self._engine.config, self._on_hook_ended(self._engine))
                )
            case MarkPrepared():
                self._mark_prepared(effect)
            case KillStrays():
                self._processes.kill_strays(effect.key)
            case MarkEnded():
                self._spool.mark_ended(effect.key)
            case ForgetStep():
                self._spool.remove_step(effect.key)
            case ForgetJob():
                self._spool.remove_job(effect.key)
                self._sweep_wanted.set()
            case TellResult():
                self._link.report(effect.result)
            case TellClean():
                self._link.report(effect.clean)
            case TellPrepared():
                self._link.report(effect.prepared)
            case TellDrain():
                self._link.report((effect.node, effect.reason))
            case _:
                assert_never(effect)

    def _start_batch(self, key: StepKey, order: LaunchJob) -> None:
        spec = order.job.spec
        script, environment = order.script, order.environment
        assert isinstance(script, bytes), "decoded as bytes"
        assert isinstance(environment, tuple), "decoded as strings"
        launch = self._launch_record(order.job, key)
        launch = msgspec.structs.replace(launch, script_path=self._spool.script_path(key.job), environment=environment)
        try:
            self._spool.make_job(key.job)
            self._spool.write_script(key.job, script, spec.uid, spec.gid)
            self._processes.start(key, launch, None)
        except OSError as error:
            self._fail_start(key, f"spool {self._spool.path!r}: {error.strerror}")

    def _start_tasks(self, key: StepKey, request: TaskLaunch, ticket: int) -> None:
        connection, responder = self._tickets.pop(ticket)
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
        launch = self._launch_record(request.job, key)
        address, port = peer_address(handed_over)
        launch = msgspec.structs.replace(launch, tasks=request, srun_address=address, srun_port=port, srun_early=early)
        try:
            self._spool.make_job(key.job)
            self._spool.write_job(request.job)
            self._processes.start(key, launch, handed_over)
        except OSError as error:
            handed_over.close()
            self._fail_start(key, f"spool {self._spool.path!r}: {error.strerror}")

    def _launch_record(self, job: Job, key: StepKey) -> StepLaunch:
        address, port = self._options.controllers[0] if self._options.controllers else ("", 0)
        return StepLaunch(
            node=self._node,
            job=job,
            step_id=key.step_id,
            boot_id=self._boot_id,
            config=self._engine.config,
            group=self._group(),
            conf_path=self._options.conf_path,
            controller=f"{_numeric(address)}:{port}" if address else "",
            notice_path=self._spool.notice_path(key),
            devices=self._devices.measured.devices,
            is_fenced=detect.fences_devices(self._engine.config.cgroup),
            accepted_at=self._clock.now(),
        )

    def _group(self) -> str:
        return detect.node_name(self._engine.config.cluster, self._node, self._spool.path)

    def _fail_start(self, key: StepKey, text: str) -> None:
        logger.error("step %s.%s: not started: %s", key.job_id, key.step_id, text)
        if key.step_id == BATCH_STEP:
            drain = f"step {key.job_id}.batch could not be started: {text}"
            self._link.report((self._node, drain))
        self._processes.fail(key, text, self._clock.now())

    def _mark_prepared(self, effect: MarkPrepared) -> None:
        try:
            self._spool.write_prepared(effect.key, effect.variables)
        except OSError as error:
            # The prolog is run once more after a restart; no reason to fail the job.
            logger.error("job %s: spool %r: %s", effect.key.job_id, self._spool.path, error.strerror)

    def _on_hook_ended(self, engine: StepEngine) -> OnEnded:
        """Return what tells *engine*, unless another cluster's has taken its place meanwhile."""

        def tell(effect: RunHook, problem: str) -> None:
            if engine is self._engine:
                self._perform(engine.on_hook_ended(effect.hook, effect.key, problem))

        return tell


def _listening_address(address: str) -> str:
    """Return where to listen: everywhere, but for several nodes of one host that differ by loopback address."""
    return address if address.startswith("127.") else "0.0.0.0"


def _numeric(address: str) -> str:
    """Return the address in numbers, as SLURM_WORKING_CLUSTER has it."""
    try:
        return socket.gethostbyname(address)
    except OSError:
        return address
