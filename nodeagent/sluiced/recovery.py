"""What an agent finds in its spool when it starts, and what follows from it.

Nobody is about to claim a step: the spool's lock is held until then.  So a step is in one of these conditions.
"""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import assert_never

from sluice import hook_env
from sluice.clock import WallClock
from sluice.model.base import EXTERN_STEP
from sluiced import process_id
from sluiced.jobs.engine import StepEngine
from sluiced.manager.courier import Courier
from sluiced.processes import DAEMON_DIED, StepProcesses
from sluiced.spool import Spool, StepKey

logger = logging.getLogger(__name__)


class Condition(Enum):
    """Of a step with a launch record."""

    #: Its result is on disk.
    ENDED = auto()
    #: Its step daemon lives.
    RUNNING = auto()
    #: It was never begun, and still can be.
    WAITING = auto()
    #: It was never begun, and what it needs of its srun is lost: as if it had not been launched.
    UNLAUNCHED = auto()
    #: It was or may have been begun, and nobody will tell what came of it.
    LOST = auto()


def recover(spool: Spool, engine: StepEngine, processes: StepProcesses, courier: Courier) -> list[StepKey]:
    """Bring the engine to where the spool is; ends and losses are told once every step is known.

    Return the steps whose srun has to launch them again.
    """
    found: list[tuple[StepKey, Condition, str]] = []
    unlaunched: list[StepKey] = []
    for key in spool.jobs():
        steps = spool.steps(key)
        job = spool.read_job(key)
        variables = spool.read_prepared(key)
        extern = spool.read_launch(StepKey(*key, EXTERN_STEP))
        if job is None and variables is None:
            if not courier.is_managed_here(key):
                spool.remove_job(key)
            continue
        if variables is None and job is not None:
            variables = hook_env.job_variables(job, engine.config.cluster, engine.node)
        engine.on_recovered(key, variables or {}, spool.is_ended(key), extern.job if extern is not None else None)
        for step in steps:
            launch = spool.read_launch(step)
            condition, why = _condition_of(spool, step)
            if condition is Condition.UNLAUNCHED:
                spool.remove_step(step)
                unlaunched.append(step)
                continue
            engine.on_step_recovered(step, launch.job if launch is not None else None)
            courier.note(key, launch.manager if launch is not None else None)
            found.append((step, condition, why))
    for step, condition, why in found:
        logger.info("step %s.%s: found condition=%s", step.job_id, step.step_id, condition.name)
        _resume(step, condition, why, spool, processes)
    return unlaunched


def _resume(key: StepKey, condition: Condition, why: str, spool: Spool, processes: StepProcesses) -> None:
    match condition:
        case Condition.ENDED:
            processes.tell_result(key)
        case Condition.RUNNING:
            if not processes.adopt(key):
                _resume(key, *_condition_of(spool, key), spool, processes)
        case Condition.WAITING:
            processes.fork(key)
        case Condition.LOST:
            processes.fail(key, why, WallClock().now())
        case Condition.UNLAUNCHED:
            raise AssertionError(f"{key}: not among those that are resumed")
        case _:
            assert_never(condition)


def _condition_of(spool: Spool, key: StepKey) -> tuple[Condition, str]:
    """Return the condition and, for a lost step, why."""
    if spool.read_result(key) is not None:
        return Condition.ENDED, ""
    launch = spool.read_launch(key)
    if launch is None:
        return Condition.LOST, "its launch record cannot be read"
    if launch.boot_id != process_id.boot_id():
        return Condition.LOST, "the node was restarted"
    claim = spool.read_claim(key)
    if claim is not None:
        is_alive = process_id.start_ticks(claim.pid) == claim.start_ticks
        return (Condition.RUNNING, "") if is_alive else (Condition.LOST, DAEMON_DIED)
    if launch.tasks is not None:
        return Condition.UNLAUNCHED, ""
    return Condition.WAITING, ""
