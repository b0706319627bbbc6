"""The site's prolog and epilog: run in order as the agent's user, their last words kept as evidence."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import signal

from sluice import job_env
from sluice.model.job import Job
from sluice.wire.messages import AgentConfig, StepResult
from sluiced.effects import Hook

_EVIDENCE_MAX = 400
_DEADLINE_DEFAULT_S = 300.0


def hook_environment(hook: Hook, job: Job, node: str, config: AgentConfig, result: StepResult | None) -> dict[str, str]:
    """Return what a prolog or epilog sees (CONTRACT section 3.2, end)."""
    site = job_env.Site(config.cluster)
    variables = job_env.job_variables(job, site)
    wanted = ("SLURM_JOB_", "SLURM_ARRAY_", "SLURM_CLUSTER_NAME", "SLURM_JOBID", "SLURM_NODELIST")
    variables = {name: value for name, value in variables.items() if name.startswith(wanted)}
    variables |= {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SLURM_SCRIPT_CONTEXT": f"{hook.value}_slurmd",
        "SLURMD_NODENAME": node,
    }
    if hook is Hook.EPILOG and result is not None:
        variables["SLURM_JOB_EXIT_CODE"] = str(result.exit_code << 8 | result.exit_signal)
        variables["SLURM_JOB_EXIT_CODE2"] = f"{result.exit_code}:{result.exit_signal}"
        variables["SLURM_JOB_DERIVED_EC"] = str(job.derived_exit_code << 8)
    return variables


async def run_hooks(patterns: tuple[str, ...], environment: dict[str, str], deadline_s: float) -> str:
    """Run every program that *patterns* name; return why one failed, empty when none did."""
    programs = [path for pattern in patterns for path in (sorted(glob.glob(pattern)) or [pattern])]
    for program in programs:
        problem = await _run(program, environment, deadline_s or _DEADLINE_DEFAULT_S)
        if problem:
            return problem
    return ""


async def _run(program: str, environment: dict[str, str], deadline_s: float) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return f"{program}: {error.strerror}"
    try:
        async with asyncio.timeout(deadline_s):
            output, _ = await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return f"{program}: not done after {deadline_s:g} s, killed"
    if process.returncode == 0:
        return ""
    said = output[-_EVIDENCE_MAX:].decode(errors="replace").strip().replace("\n", " | ")
    return f"{program}: exit {process.returncode}" + (f": {said}" if said else "")
