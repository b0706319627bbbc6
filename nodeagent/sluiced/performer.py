"""What the engine wants done, done: each effect to who does it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, assert_never

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
    StartExtern,
    StartTasks,
    TellClean,
    TellDrain,
    TellPrepared,
    TellResult,
    WaitForSrun,
)
from sluiced.jobs.engine import StepEngine
from sluiced.link import ControllerLink
from sluiced.manager.courier import Courier
from sluiced.manager.manager import StepManager
from sluiced.processes import StepProcesses
from sluiced.site.hooks import Hooks, OnEnded
from sluiced.spool import JobKey, Spool, StepKey
from sluiced.starter import Starter

logger = logging.getLogger(__name__)


class Performer:
    """engine: the one of now, for another cluster's has another.  on_forgotten: there is something to sweep."""

    def __init__(
        self,
        engine: Callable[[], StepEngine],
        spool: Spool,
        starter: Starter,
        processes: StepProcesses,
        hooks: Hooks,
        manager: StepManager,
        courier: Courier,
        link: ControllerLink,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_forgotten: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._starter = starter
        self._processes = processes
        self._hooks = hooks
        self._manager = manager
        self._courier = courier
        self._link = link
        self._spawn = spawn
        self._on_forgotten = on_forgotten

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._perform_one(effect)

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case StartBatch():
                self._starter.start_batch(effect.key, effect.order, self._engine().config)
            case StartTasks():
                self._starter.start_tasks(effect.key, effect.request, effect.ticket, self._engine().config)
            case StartExtern():
                self._starter.start_extern(effect.key, effect.job, self._engine().config)
            case RefuseTasks():
                self._starter.refuse(effect)
            case SendOrder():
                self._processes.send(effect.key, effect.order)
            case RunHook():
                self._spawn(self._run_hook(effect))
            case MarkPrepared():
                self._mark_prepared(effect)
            case KillStrays():
                self._processes.kill_strays(effect.key)
            case MarkEnded():
                self._spool.mark_ended(effect.key)
            case ForgetStep():
                self._spool.remove_step(effect.key)
            case ForgetJob():
                self._forget_job(effect.key)
            case TellResult():
                self._courier.tell(effect.result)
            case TellClean():
                self._manager.tell(JobKey(effect.clean.job_id, effect.clean.attempt))
                self._link.report(effect.clean)
            case TellPrepared():
                self._link.report(effect.prepared)
            case TellDrain():
                self._link.report((effect.node, effect.reason))
            case WaitForSrun():
                asyncio.get_running_loop().call_later(effect.wait_s, self._on_srun_missed, self._engine(), effect.key)
            case _:
                assert_never(effect)

    def _forget_job(self, key: JobKey) -> None:
        self._manager.forget(key)
        self._courier.recall(key)
        self._spool.remove_job(key)
        self._on_forgotten()

    async def _run_hook(self, effect: RunHook) -> None:
        engine = self._engine()
        around = self._starter.extern_launch(effect.job, engine.config) if effect.job is not None else None
        await self._hooks.run(effect, engine.config, around, self._on_hook_ended(engine))

    def _mark_prepared(self, effect: MarkPrepared) -> None:
        try:
            self._spool.write_prepared(effect.key, effect.variables)
        except OSError as error:
            # The prolog is run once more after a restart; no reason to fail the job.
            logger.error("job %s: spool %r: %s", effect.key.job_id, self._spool.path, error.strerror)

    def _on_hook_ended(self, engine: StepEngine) -> OnEnded:
        """Return what tells *engine*, unless another cluster's has taken its place meanwhile."""

        def tell(effect: RunHook, problem: str) -> None:
            if engine is self._engine():
                self.perform(engine.on_hook_ended(effect.hook, effect.key, problem))

        return tell

    def _on_srun_missed(self, engine: StepEngine, key: StepKey) -> None:
        if engine is self._engine():
            self.perform(engine.on_srun_missed(key))
