"""The site's prolog and epilog around a job on this node, run as the agent's user.

Each runs at least once to its end: an agent that was killed meanwhile leaves a file behind, and the next one ends what
still runs before it begins anew; such processes are known by a variable in their environment.  With PrologFlags=Serial
one at a time runs on a node.  With RunInJob they run in the group of the job's extern step, which is made for the
prolog, before that step, and for the epilog, after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence

from sluice import hook_env
from sluice.programs import run_programs
from sluice.wire.messages import AgentConfig
from sluiced.cgroup.detect import kill_leftovers, step_group
from sluiced.jobs.effects import Hook, RunHook
from sluiced.spool import write_file
from sluiced.steps import descendants
from sluiced.steps.launch import StepLaunch

logger = logging.getLogger(__name__)

_VARIABLE = "SLUICE_HOOK"

#: Told the effect and why a program of it failed, empty when none did.
OnEnded = Callable[[RunHook, str], None]


class Hooks:
    """folder: for the names of what runs.  on_ended: called once for each run()."""

    def __init__(self, folder: str, node: str, conf_path: str) -> None:
        self._folder = folder
        self._node = node
        self._conf_path = conf_path
        self._one_at_a_time = asyncio.Lock()

    def end_leftovers(self) -> None:
        """Kill what an agent before this one has left running."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            count = descendants.kill_strays(f"{_VARIABLE}={path}")
            logger.warning("%s: was interrupted, is run again, killed=%s", name, count)
            with contextlib.suppress(OSError):
                os.unlink(path)

    async def run(self, effect: RunHook, config: AgentConfig, around: StepLaunch | None, on_ended: OnEnded) -> None:
        """Run the programs of *effect* and tell what came of it.  around: of the step in whose group they run."""
        async with contextlib.AsyncExitStack() as stack:
            if "Serial" in config.prolog_flags:
                await stack.enter_async_context(self._one_at_a_time)
            group = await asyncio.to_thread(step_group, around) if around is not None else None
            problem = await self._run(effect, config, group.doors() if group is not None else [])
            if around is not None and (problem or effect.hook is Hook.EPILOG):
                # After a prolog the step goes on with the group, and with what was left running in it.
                await asyncio.to_thread(kill_leftovers, around)
        if problem:
            logger.error("job %s: %s failed: %s", effect.key.job_id, effect.hook.value, problem)
        on_ended(effect, problem)

    async def _run(self, effect: RunHook, config: AgentConfig, doors: Sequence[str]) -> str:
        patterns = config.prolog if effect.hook is Hook.PROLOG else config.epilog
        variables = effect.variables | {"SLURMD_NODENAME": self._node, "SLURM_CLUSTER_NAME": config.cluster}
        if effect.result is not None:
            result = effect.result
            derived = int(variables.get("SLURM_JOB_DERIVED_EC", "0")) >> 8
            variables |= hook_env.ended_variables(result.exit_code, result.exit_signal, derived)
        path = os.path.join(self._folder, f"{effect.hook.value}.{effect.key.job_id}.{effect.key.attempt}")
        variables |= {_VARIABLE: path}
        environment = hook_env.program_environment(variables, f"{effect.hook.value}_slurmd", self._conf_path)
        with contextlib.suppress(OSError):
            write_file(path, b"")
        try:
            return await run_programs(patterns, environment, config.prolog_timeout_s, doors)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
