"""Many nodes in one process whose jobs are timers: for measuring controllers of thousands of nodes.

A script says how long it "runs": a line `#SLUICE runtime=SECONDS exit=CODE`, or `sleep SECONDS` as its only command;
otherwise it ends at once.  Results are kept until acknowledged, as a real agent's are; nothing touches the disk, so
jobs do not survive this process.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import random
import re

from sluice.clock import WallClock
from sluice.config.records import NodeConfig
from sluice.model.base import BATCH_STEP
from sluice.model.node import Inventory
from sluice.model.request import GresRequest
from sluice.model.states import Ending
from sluice.wire.keyfile import read_key_file
from sluice.wire.messages import (
    EndJob,
    Heartbeat,
    LaunchJob,
    NodeClean,
    NodePrepared,
    NodeReport,
    Orders,
    Registered,
    RunningStep,
    StepResult,
)
from sluiced import process_id
from sluiced.link import ControllerLink
from sluiced.options import Options
from sluiced.outbox import Item

_DIRECTIVE = re.compile(rb"^#SLUICE[ \t]+(.*)$", re.MULTILINE)
_SETTING = re.compile(rb"(runtime|exit)=([0-9.]+)")
_SLEEP = re.compile(rb"sleep[ \t]+([0-9.]+)")

#: node, job, attempt
_Key = tuple[str, int, int]


def read_script(script: bytes) -> tuple[float, int]:
    """Return how long *script* pretends to run, and its exit code."""
    settings = {name: value for line in _DIRECTIVE.findall(script) for name, value in _SETTING.findall(line)}
    if settings:
        return float(settings.get(b"runtime", 0)), int(float(settings.get(b"exit", 0)))
    lines = [line.strip() for line in script.splitlines()]
    commands = [line for line in lines if line and not line.startswith(b"#")]
    match = _SLEEP.fullmatch(commands[0]) if len(commands) == 1 else None
    return (float(match[1]), 0) if match else (0.0, 0)


class EmulatedAgents:
    """The nodes of one process, on one connection."""

    def __init__(self, options: Options, rng: random.Random) -> None:
        self._nodes = options.nodes
        self._clock = WallClock()
        self._started_at = self._clock.now()
        self._spool_id = os.urandom(8).hex()
        self._boot_id = process_id.boot_id()
        self._epoch = 0
        self._cluster_id = ""
        #: When each running job began, and its exit code.
        self._running: dict[_Key, tuple[float, int]] = {}
        #: Told and not acknowledged yet.
        self._ended: set[_Key] = set()
        self._timers: list[tuple[float, int, _Key]] = []
        self._order = itertools.count()
        self._wakeup: asyncio.TimerHandle | None = None
        self._link = ControllerLink(
            options,
            read_key_file(options.key_file),
            rng,
            describe=self._describe,
            on_registered=self._on_registered,
            on_orders=self._on_orders,
            on_acknowledged=self._on_acknowledged,
            measure=self._measure,
        )

    async def run(self) -> None:
        await self._link.run()

    def _describe(self) -> tuple[NodeReport, ...]:
        steps: dict[str, list[RunningStep]] = {}
        for (node, job_id, attempt), is_ended in self._known():
            step = RunningStep(job_id=job_id, attempt=attempt, step_id=BATCH_STEP, is_ended=is_ended)
            steps.setdefault(node, []).append(step)
        return tuple(
            NodeReport(node=node.name, inventory=self._inventory(node), steps=tuple(steps.get(node.name, ())))
            for node in self._nodes
        )

    def _known(self) -> list[tuple[_Key, bool]]:
        return [(key, False) for key in self._running] + [(key, True) for key in self._ended]

    def _inventory(self, node: NodeConfig) -> Inventory:
        return Inventory(
            cpus=node.cpus,
            memory_mib=node.memory_mib,
            sockets=node.sockets,
            cores_per_socket=node.cores_per_socket,
            threads_per_core=node.threads_per_core,
            tmp_disk_mib=node.tmp_disk_mib,
            gres=tuple(GresRequest(name=name, type=kind, count=count) for name, kind, count in node.gres),
            hostname=node.hostname,
            arch="emulated",
            os="emulated",
            boot_id=self._boot_id,
            agent_started_at=self._started_at,
            spool_id=self._spool_id,
            unenforced="emulated: nothing runs",
        )

    def _measure(self) -> Heartbeat:
        return Heartbeat(nodes=tuple((node.name, 0.0, node.memory_mib) for node in self._nodes))

    def _on_registered(self, registered: Registered) -> bool:
        known, self._cluster_id = self._cluster_id, registered.cluster_id or self._cluster_id
        if known and known != self._cluster_id:
            self._running.clear()
            self._ended.clear()
            return False
        self._epoch = max(self._epoch, registered.epoch)
        for node, job_id, attempt in registered.stale_jobs:
            self._end((node, job_id, attempt), Ending.CANCEL)
        return True

    def _on_orders(self, orders: Orders) -> None:
        now_at = self._clock.now()
        for launch in orders.launches:
            if launch.epoch >= self._epoch:
                self._launch(launch, now_at)
        for prepare in orders.prepares:
            prepared = NodePrepared(node=prepare.node, job_id=prepare.job_id, attempt=prepare.attempt)
            self._link.report(prepared)
        for end in orders.ends:
            if end.epoch >= self._epoch:
                self._on_end(end)
        for step_end in orders.step_ends:
            # No step is ever launched on an emulated node.
            self._link.report(
                StepResult(
                    node=step_end.node,
                    job_id=step_end.job_id,
                    attempt=step_end.attempt,
                    step_id=step_end.step_id,
                    exit_signal=15,
                )
            )
        self._run_timers()

    def _on_acknowledged(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, StepResult | NodeClean):
                self._ended.discard((item.node, item.job_id, item.attempt))

    def _launch(self, order: LaunchJob, now_at: float) -> None:
        key = (order.node, order.job.id, order.job.attempt)
        if key in self._running or key in self._ended:
            return
        assert isinstance(order.script, bytes), "decoded as bytes"
        runtime_s, code = read_script(order.script)
        self._running[key] = (now_at, code)
        heapq.heappush(self._timers, (now_at + runtime_s, next(self._order), key))

    def _on_end(self, order: EndJob) -> None:
        self._end((order.node, order.job_id, order.attempt), order.ending)

    def _end(self, key: _Key, ending: Ending) -> None:
        """End a running job at once; a node that runs nothing of it is clean."""
        if key in self._running:
            self._finish(key, 0, 0 if ending is Ending.FINISHED else 15)
        elif key not in self._ended:
            node, job_id, attempt = key
            self._ended.add(key)
            self._link.report(NodeClean(node=node, job_id=job_id, attempt=attempt))

    def _finish(self, key: _Key, code: int, signal: int) -> None:
        node, job_id, attempt = key
        started_at, _ = self._running.pop(key)
        self._ended.add(key)
        self._link.report(
            StepResult(
                node=node,
                job_id=job_id,
                attempt=attempt,
                step_id=BATCH_STEP,
                started_at=started_at,
                ended_at=self._clock.now(),
                exit_code=code,
                exit_signal=signal,
                is_node_clean=True,
            )
        )

    def _run_timers(self) -> None:
        """Finish what is due, and be called again for the next."""
        now_at = self._clock.now()
        while self._timers and self._timers[0][0] <= now_at:
            _, _, key = heapq.heappop(self._timers)
            # A job that was ended from outside has left its timer behind.
            if key in self._running:
                self._finish(key, self._running[key][1], 0)
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if self._timers:
            delay_s = max(0.0, self._timers[0][0] - now_at)
            self._wakeup = asyncio.get_running_loop().call_later(delay_s, self._run_timers)
