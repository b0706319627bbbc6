"""The site's programs that the controller runs beside its own work: PrologSlurmctld and EpilogSlurmctld.

A bounded number at a time.  A prolog that the end of its controller cuts short is run again by the next one, for the
job waits for it; an epilog is not.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sluice import hook_env
from sluice.config.settings import Settings
from sluice.model.job import Job
from sluice.programs import run_programs
from sluicectld.configuration import programs_of
from sluicectld.state.commands import PrologEnded
from sluicectld.state.effects import Program, RunProgram

logger = logging.getLogger(__name__)

_AT_ONCE_MAX = 64


class Programs:
    """on_prolog: told how a job's prolog has ended.  Belongs to the loop's thread."""

    def __init__(self, conf_path: str, on_prolog: Callable[[PrologEnded], None]) -> None:
        self._conf_path = conf_path
        self._on_prolog = on_prolog
        self._places = asyncio.Semaphore(_AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, effect: RunProgram, settings: Settings) -> None:
        """Begin to run the programs of *effect*."""
        self._start(self._run(effect, settings))

    async def close(self) -> None:
        """End what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, effect: RunProgram, settings: Settings) -> None:
        job, is_prolog = effect.job, effect.program is Program.PROLOG
        patterns = programs_of(settings.prolog_controller if is_prolog else settings.epilog_controller)
        variables = hook_env.job_variables(job, settings.cluster_name)
        if not is_prolog:
            variables |= hook_env.ended_variables(job.exit_code, job.exit_signal, job.derived_exit_code)
        environment = hook_env.program_environment(variables, f"{effect.program.value}_slurmctld", self._conf_path)
        async with self._places:
            problem = await run_programs(patterns, environment, float(settings.prolog_epilog_timeout_s or 0))
        if problem:
            _log(job, effect.program, problem)
        if is_prolog:
            self._on_prolog(PrologEnded(job.id, job.attempt, problem))


def _log(job: Job, program: Program, problem: str) -> None:
    logger.error("job %s: controller's %s failed: %s", job.id, program.value, problem)
