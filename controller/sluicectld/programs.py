"""The site's programs that the controller runs beside its own work: around jobs and reservations, and to send mail.

A bounded number at a time.  What the end of its controller cuts short of a job's prolog or epilog is run again by the
next one; nothing else is.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, assert_never

from sluice import hook_env
from sluice.config.settings import Settings
from sluice.programs import run_program, run_programs
from sluicectld.configuration import programs_of
from sluicectld.state.commands import EpilogEnded, PrologEnded
from sluicectld.state.effects import Program, RunForReservation, RunProgram, SendMail, SiteWork

logger = logging.getLogger(__name__)

_AT_ONCE_MAX = 64
_MAIL_DEADLINE_S = 60.0


class Programs:
    """on_ended: told of the end of a job's prolog or epilog.  Belongs to the loop's thread."""

    def __init__(self, conf_path: str, on_ended: Callable[[PrologEnded | EpilogEnded], None]) -> None:
        self._conf_path = conf_path
        self._on_ended = on_ended
        self._places = asyncio.Semaphore(_AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, effect: SiteWork, settings: Settings) -> None:
        """Begin to run the programs of *effect*."""
        match effect:
            case RunProgram():
                self._start(self._run_around_job(effect, settings))
            case SendMail():
                self._start(self._send_mail(effect, settings))
            case RunForReservation():
                self._start(self._run_for_reservation(effect, settings))
            case _:
                assert_never(effect)

    async def close(self) -> None:
        """End what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_around_job(self, effect: RunProgram, settings: Settings) -> None:
        job, is_prolog = effect.job, effect.program is Program.PROLOG
        patterns = programs_of(settings.prolog_controller if is_prolog else settings.epilog_controller)
        variables = hook_env.job_variables(job, settings.cluster_name)
        if not is_prolog:
            variables |= hook_env.ended_variables(job.exit_code, job.exit_signal, job.derived_exit_code)
        environment = hook_env.program_environment(variables, f"{effect.program.value}_slurmctld", self._conf_path)
        async with self._places:
            problem = await run_programs(patterns, environment, float(settings.prolog_epilog_timeout_s or 0))
        if problem:
            logger.error("job %s: controller's %s failed: %s", job.id, effect.program.value, problem)
        ended = PrologEnded(job.id, job.attempt, problem) if is_prolog else EpilogEnded(job.id, job.attempt)
        self._on_ended(ended)

    async def _send_mail(self, effect: SendMail, settings: Settings) -> None:
        variables = hook_env.job_variables(effect.job, settings.cluster_name)
        variables |= {"SLURM_JOB_MAIL_TYPE": effect.word, "SLURM_JOB_STATE": effect.job.state.value}
        environment = hook_env.program_environment(variables, "mail", self._conf_path)
        argv = (settings.mail_program, "-s", effect.subject, effect.address)
        async with self._places:
            problem = await run_program(argv, environment, _MAIL_DEADLINE_S)
        if problem:
            logger.warning("job %s: mail to %s not sent: %s", effect.job.id, effect.address, problem)

    async def _run_for_reservation(self, effect: RunForReservation, settings: Settings) -> None:
        program = settings.reservation_prolog if effect.has_begun else settings.reservation_epilog
        if not program:
            return
        context = "prolog_resv" if effect.has_begun else "epilog_resv"
        variables = {"SLURM_CLUSTER_NAME": settings.cluster_name, "SLURM_RESERVATION_NAME": effect.name}
        environment = hook_env.program_environment(variables, context, self._conf_path)
        async with self._places:
            problem = await run_program(
                (program, effect.name), environment, float(settings.prolog_epilog_timeout_s or 0)
            )
        if problem:
            logger.error("reservation %s: %s", effect.name, problem)
