"""The shell of one node's agent: its parts, and what they tell one another and the engine."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Coroutine
from signal import SIGSTOP
from typing import Any

import msgspec

from sluice.clock import WallClock
from sluice.errors import InvalidRequest
from sluice.model.base import BATCH_STEP
from sluice.model.step import Step
from sluice.wire.connection import Connection
from sluice.wire.keyfile import read_key_file
from sluice.wire.messages import (
    AgentConfig,
    NodeAddress,
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
from sluiced.adoption import Adoption
from sluiced.description import Description
from sluiced.jobs.engine import StepEngine
from sluiced.link import ControllerLink
from sluiced.manager.courier import Courier
from sluiced.manager.manager import StepManager
from sluiced.manager.requests import StepRequests
from sluiced.node_groups import NodeGroups
from sluiced.old_cluster import end_old_cluster
from sluiced.options import Options
from sluiced.outbox import Item
from sluiced.performer import Performer
from sluiced.processes import StepProcesses
from sluiced.recovery import recover
from sluiced.server import AgentAuthenticator, AgentServer
from sluiced.site.gpu_meter import GpuMeter
from sluiced.site.gpu_watch import GpuWatch
from sluiced.site.health import HealthCheck
from sluiced.site.hooks import Hooks
from sluiced.site.reboot import reboot
from sluiced.site.unkillable import Unkillables
from sluiced.spool import JobKey, Spool, StepKey
from sluiced.starter import Starter
from sluiced.steps.descendants import Unkillable
from sluiced.steps.launcher import Launcher
from sluiced.visitors import Visitors
from sluiced.vouching import Vouching

logger = logging.getLogger(__name__)

_LOCK_PAUSE_S = 0.05
_LOCK_TRIES_MAX = 400
_SWEEP_PAUSE_S = 0.5


class Agent:
    """One node.  run() serves until cancelled; the steps live on."""

    def __init__(self, options: Options, rng: random.Random) -> None:
        self._options = options
        self._node = options.node.name
        self._clock = WallClock()
        self._spool = Spool(options.spool)
        self._description = Description(options, self._spool.id, self._clock.now())
        self._groups = NodeGroups(self._node, self._spool)
        self._launcher = Launcher(self._spool.lock)
        self._gpu_meter = GpuMeter(self._node, self._spool, lambda: self._description.watched_gpus)
        self._processes = StepProcesses(
            self._spool, self._launcher, self._gpu_meter.begin, self._on_step_ended, self._on_unkillable
        )
        self._engine = self._new_engine(
            self._spool.read_config() or AgentConfig(version=0, digest="", cluster=options.cluster)
        )
        self._hooks = Hooks(os.path.join(options.spool, "hooks"), self._node, options.conf_path)
        self._unkillables = Unkillables(
            os.path.join(options.spool, "unkillable"),
            self._node,
            options.conf_path,
            self._tell_trouble,
            lambda name: self._groups.remove_step(self._engine.config, name),
        )
        self._health = HealthCheck(self._node, options.conf_path, self._tell_trouble)
        self._gpu_watch = GpuWatch(
            self._node, lambda: self._description.watched_gpus, self._on_gpus_well, self._tell_trouble
        )
        self._has_checked = False
        self._tasks: asyncio.TaskGroup | None = None
        self._sweep_wanted = asyncio.Event()
        key = read_key_file(options.key_file)
        visitors = Visitors(self._node, lambda: self._engine, self._processes, self._launcher)
        adoption = Adoption(self._node, lambda: self._engine, self._processes, self._spool, self._spawn)
        self._authenticator = AgentAuthenticator(key, self._node)
        self._link = ControllerLink(
            options,
            key,
            rng,
            describe=self._describe,
            on_registered=self._on_registered,
            on_orders=self._on_orders,
            on_acknowledged=self._on_acknowledged,
            measure=self._description.heartbeat,
        )
        self._starter = Starter(
            options, self._spool, self._processes, self._description, self._clock, self._link.report
        )
        self._manager = StepManager(self._node, self._spool, self._clock, self._link.ask, self._link.report)
        self._courier = Courier(
            self._node, self._manager, self._link.mint, rng, self._link.report, self._on_result_taken
        )
        self._perform = Performer(
            lambda: self._engine,
            self._spool,
            self._starter,
            self._processes,
            self._hooks,
            self._manager,
            self._courier,
            self._link,
            self._spawn,
            self._sweep_wanted.set,
        ).perform
        requests = StepRequests(self._manager, key, self._clock)
        vouching = Vouching(self._node, lambda: self._engine, self._manager, self._link.ask)
        self._handler = AgentServer(
            key, self._node, self._on_tasks, visitors, vouching, adoption, self._on_srun, self._manager, requests
        )
        self._server = Server(self._handler, audience=self._handler.audience)

    async def run(self) -> None:
        await self._lock_spool()
        self._description.prepare(self._engine.config)
        self._groups.note(self._engine.config)
        self._launcher.start()
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = group
                self._hooks.end_leftovers()
                self._unkillables.recover()
                self._recover()
                group.create_task(self._sweep())
                group.create_task(self._gpu_meter.run())
                await self._listen()
                group.create_task(self._link.run())
        finally:
            await self._server.stop()
            self._courier.close()
            self._processes.stop()
            self._unkillables.stop()
            self._launcher.stop()
            self._groups.remove_empty()
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
        """Go on with what the agent before this one has left, and kill what nobody knows."""
        self._manager.recover()
        unlaunched = recover(self._spool, self._engine, self._processes, self._courier)
        self._perform(self._engine.on_recovery_done())
        for step in {*unlaunched, *self._manager.running_here()}:
            self._perform(self._engine.on_srun_lost(step))
        self._groups.kill_unknown(self._engine.config)

    def _new_engine(self, config: AgentConfig) -> StepEngine:
        return StepEngine(self._node, config, None if os.geteuid() == 0 else os.geteuid(), self._clock)

    # What the link asks and tells.

    def _describe(self) -> tuple[NodeReport, ...]:
        steps = (*self._engine.table.running_steps(), *self._manager.jobs())
        report = self._description.report(self._engine.config, steps)
        return (msgspec.structs.replace(report, limits=self._engine.table.limits()),)

    def _on_registered(self, registered: Registered) -> bool:
        if registered.cluster_id and registered.cluster_id != (known := self._spool.read_cluster_id()):
            if known:
                self._forget_cluster()
            self._spool.write_cluster_id(registered.cluster_id)
            if known:
                return False
        config = registered.config
        if config != self._engine.config:
            self._spool.write_config(config)
        before = self._engine.config
        stale = [JobKey(job_id, attempt) for node, job_id, attempt in registered.stale_jobs if node == self._node]
        for key in stale:
            self._begin_end(key)
        self._perform(self._engine.on_registered(registered.epoch, config, stale))
        self._follow_config(before)
        self._manager.retell()
        if not self._has_checked:
            self._has_checked = True
            self._health.start(config, self._task_group)
            self._task_group.create_task(self._gpu_watch.run())
        return True

    def _follow_config(self, old: AgentConfig) -> None:
        """Register anew if the configuration makes the node another one."""
        if self._engine.config.cgroup != old.cgroup or self._engine.config.cluster != old.cluster:
            self._groups.note(self._engine.config)
        if self._description.follow(self._engine.config, old):
            # Not while a registration is being answered.
            asyncio.get_running_loop().call_soon(self._link.renew)

    def _forget_cluster(self) -> None:
        """Begin anew for another cluster of the same name."""
        logger.warning("node %s: another cluster's controller answers, forgetting the old one's jobs", self._node)
        self._processes.stop()
        self._gpu_meter.clear()
        self._launcher.stop()
        self._manager.clear()
        self._courier.close()
        end_old_cluster(self._spool)
        self._sweep_wanted.set()
        self._engine = self._new_engine(self._engine.config)
        self._launcher.start()

    @property
    def _task_group(self) -> asyncio.TaskGroup:
        assert self._tasks is not None, "programs run while the agent does"
        return self._tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._task_group.create_task(work)

    def _on_gpus_well(self) -> str:
        """Count GPUs that were ill when the node was measured; return why that has to wait."""
        if not self._description.has_ill_gpus:
            return ""
        if self._engine.table.jobs:
            # Their units would get other numbers.
            return "a GPU that was ill is well again, and counts when the jobs on the node have ended"
        if self._description.look_again():
            self._link.renew()
        return ""

    def _tell_trouble(self, trouble: NodeTrouble) -> None:
        self._link.report(trouble)

    def _on_orders(self, orders: Orders) -> None:
        for node, reason in orders.reboots:
            if node == self._node:
                self._task_group.create_task(self._reboot(reason))
        if self._node in orders.checks:
            self._health.start(self._engine.config, self._task_group)
            self._gpu_watch.look_soon()
        before = self._engine.config
        self._manager.on_orders(order for order in orders.managers if order.node == self._node)
        for signal in orders.signals:
            if signal.node == self._node and signal.is_suspension:
                self._manager.suspend(JobKey(signal.job_id, signal.attempt), signal.signal == SIGSTOP)
        for end in orders.ends:
            if end.node == self._node:
                self._begin_end(JobKey(end.job_id, end.attempt))
        self._perform(self._engine.on_orders(orders))
        if orders.config is not None:
            self._follow_config(before)

    def _begin_end(self, key: JobKey) -> None:
        """The job is being ended: what is known of its steps goes to the controller before the word of its end."""
        self._manager.close(key)
        self._courier.recall(key)

    async def _reboot(self, reason: str) -> None:
        """Where the machine does not restart, the node waits for somebody."""
        problem = await reboot(self._node, reason, self._engine.config, self._options.conf_path)
        if problem:
            self._tell_trouble(NodeTrouble(node=self._node, cause="reboot failed", reason=f"Reboot failed: {problem}"))

    def _on_acknowledged(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, StepResult | NodeClean):
                self._perform(self._engine.on_acknowledged(item))
            elif isinstance(item, Step):
                self._manager.on_told(item)

    def _on_result_taken(self, result: StepResult) -> None:
        self._perform(self._engine.on_acknowledged(result))

    # What srun and the steps tell.

    def _on_tasks(
        self, request: TaskLaunch, manager: NodeAddress | None, connection: Connection, responder: Responder
    ) -> None:
        self._courier.note(JobKey(request.job.id, request.job.attempt), manager)
        self._perform(self._engine.on_tasks_wanted(request, self._starter.take(manager, connection, responder)))

    def _on_srun(self, key: StepKey, is_here: bool) -> None:
        if is_here:
            self._engine.on_srun_came(key)
        else:
            self._perform(self._engine.on_srun_gone(key))

    def _on_step_ended(self, key: StepKey, result: StepResult, is_own: bool) -> None:
        logger.info(
            "step %s.%s: ended code=%s signal=%s reason=%s",
            key.job_id,
            key.step_id,
            result.exit_code,
            result.exit_signal,
            result.reason,
        )
        told = msgspec.structs.replace(result, node=self._node, usage=self._gpu_meter.end(key, result.usage))
        if key.step_id == BATCH_STEP:
            self._begin_end(key.job)
        if result.reason_text and not result.reason:
            self._description.unenforced = result.reason_text
        if not is_own:
            self._perform(self._engine.on_step_lost(key, told))
            return
        unkillable = self._spool.read_problem(key)
        if unkillable is not None:
            # Before the result, so that nothing else is sent here meanwhile.
            self._on_unkillable(key, unkillable)
        self._perform(self._engine.on_step_ended(key, told))

    def _on_unkillable(self, key: StepKey, found: Unkillable) -> None:
        self._unkillables.add(key, found, self._engine.config, self._task_group)


def _listening_address(address: str) -> str:
    """Return where to listen: everywhere, but for several nodes of one host that differ by loopback address."""
    return address if address.startswith("127.") else "0.0.0.0"
