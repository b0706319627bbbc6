"""One job on one node, and what its engine is told."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sluice.clock import VirtualClock
from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import Ending
from sluice.model.step import Step, StepNode
from sluice.wire.messages import (
    EndJob,
    LaunchJob,
    Orders,
    PrepareJob,
    StepResult,
    TaskLaunch,
)
from sluiced.jobs.effects import Effect
from sluiced.jobs.engine import StepEngine
from sluiced.spool import JobKey, StepKey
from tests.nodeagent.conftest import CONFIG, NODE, make_job

JOB = make_job(1, "/tmp")
KEY = JobKey(1, 0)
BATCH = StepKey(1, 0, BATCH_STEP)
STEP = StepKey(1, 0, 0)


def make_engine(**config: Any) -> StepEngine:
    return StepEngine(NODE, replace(CONFIG, **config), None, VirtualClock())


def launch(engine: StepEngine, epoch: int = 1) -> list[Effect]:
    return engine.on_orders(Orders(launches=(LaunchJob(node=NODE, epoch=epoch, job=JOB),)))


def prepare(engine: StepEngine, job: Job | None = None) -> list[Effect]:
    return engine.on_orders(Orders(prepares=(PrepareJob(node=NODE, epoch=1, job_id=1, attempt=0, job=job),)))


def launch_step(engine: StepEngine, ticket: int = 1, step_id: int = 0) -> list[Effect]:
    part = StepNode(node=NODE, ntasks=1, ranks="0")
    step = Step(job_id=1, step_id=step_id, spec=StepSpec(name="x"), nodes=(part,))
    request = TaskLaunch(credential="", job=JOB, step=step, node=NODE, argv=("x",))
    return engine.on_tasks_wanted(request, ticket)


def end(engine: StepEngine, ending: Ending = Ending.CANCEL) -> list[Effect]:
    order = EndJob(node=NODE, epoch=1, job_id=1, attempt=0, ending=ending, kill_wait_s=5.0)
    return engine.on_orders(Orders(ends=(order,)))


def result_of(key: StepKey, code: int = 0) -> StepResult:
    return StepResult(node=NODE, **key._asdict(), exit_code=code)


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]
