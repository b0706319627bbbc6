"""The programs that srun runs itself, before and after its step: --prolog and --epilog, or the site's.

A prolog that fails keeps the step from running; an epilog that fails is told.  One that cannot be started is told and
changes nothing.

Source: recorded from Slurm 22.05, which has started the tasks already when it ends them for a failed prolog.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.srun_run import Part
    from sluice_cli.talk import Voice

#: What ended by a signal counts as.
_NO_EXIT_CODE = 1


class PrologFailed(Exception):
    """The step may not run; it has been said why."""


def run_prolog(part: Part, voice: Voice) -> None:
    """Raises PrologFailed."""
    if code := _run("prolog", part, voice):
        voice.error(f"srun prolog failed rc = {code}. Aborting step.")
        raise PrologFailed


def run_epilog(part: Part, voice: Voice) -> None:
    if code := _run("epilog", part, voice):
        voice.error(f"srun epilog failed status={code}")


def _run(key: str, part: Part, voice: Voice) -> int:
    """Return the exit code of the program, which gets the step's command as arguments; 0 without one."""
    program = part.draft.own.get(key, part.created.get(f"srun_{key}", ""))
    if not program or program.lower() == "none":
        return 0
    step_id = str(part.created["step"]["step_id"])
    environment = {
        **os.environ,
        "SLURM_JOB_ID": str(part.job_id),
        "SLURM_JOBID": str(part.job_id),
        "SLURM_STEP_ID": step_id,
        "SLURM_STEPID": step_id,
        "SLURM_SCRIPT_CONTEXT": f"{key}_srun",
    }
    try:
        status = os.waitpid(os.posix_spawn(program, [program, *part.argv], environment), 0)[1]
    except OSError as error:
        voice.info(f"Access denied for {program}: {error.strerror}")
        return 0
    if not os.WIFEXITED(status):
        voice.error("script did not exit normally")
        return _NO_EXIT_CODE
    return os.WEXITSTATUS(status)
