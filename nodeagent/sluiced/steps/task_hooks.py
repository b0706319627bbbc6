"""Programs around each task: TaskProlog and TaskEpilog of the site, --task-prolog and --task-epilog of srun.

They run as the job's user, in the task's environment and folder.  A prolog's lines on stdout change the task:
`export NAME=value`, `unset NAME`, `print text`; other lines mean nothing, and its stderr is not shown.  A prolog that
fails is the end of the task, with its exit code.  An epilog's stdout is not shown, its failure is told.
Source: recorded from Slurm 22.05.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import NamedTuple

from sluiced.steps.launch import StepLaunch


class TaskHooks(NamedTuple):
    """(what messages call it, program), the site's first."""

    prologs: tuple[tuple[str, str], ...] = ()
    epilogs: tuple[tuple[str, str], ...] = ()


class PrologFailed(Exception):
    """A prolog was not well.  code: the task's exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def task_hooks(launch: StepLaunch) -> TaskHooks:
    config, tasks = launch.config, launch.tasks
    prologs = [("TaskProlog", config.task_prolog), ("--task-prolog", tasks.task_prolog if tasks else "")]
    epilogs = [("TaskEpilog", config.task_epilog), ("--task-epilog", tasks.task_epilog if tasks else "")]
    return TaskHooks(_named(prologs), _named(epilogs))


def run_prologs(hooks: TaskHooks, environment: dict[str, str]) -> dict[str, str]:
    """Return the task's environment after its prologs; what they print goes to stdout.  Raises PrologFailed."""
    if hooks.prologs:
        watch_no_children()
    for name, program in hooks.prologs:
        said = _run(name, program, environment | {"SLURM_SCRIPT_CONTEXT": "prolog_task"})
        environment = apply_prolog(os.fsdecode(said), environment)
    return environment


def apply_prolog(output: str, environment: dict[str, str]) -> dict[str, str]:
    """Return *environment* as the lines of *output* change it; write what they print."""
    changed = dict(environment)
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        rest = rest.lstrip()
        if word == "export" and "=" in rest:
            name, _, value = rest.partition("=")
            changed[name] = value
        elif word == "unset":
            changed.pop(rest.strip(), None)
        elif word == "print":
            os.write(1, os.fsencode(rest + "\n"))
    return changed


def run_epilogs(hooks: TaskHooks, environment: dict[str, str]) -> list[str]:
    """Run what follows a task; return a sentence for each that failed."""
    watch_no_children()
    problems = []
    for name, program in hooks.epilogs:
        try:
            done = subprocess.run(
                [program],
                env=environment | {"SLURM_SCRIPT_CONTEXT": "epilog_task"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=False,
            )
        except OSError as error:
            problems.append(f"{name} {program}: {error.strerror}")
            continue
        if done.returncode:
            problems.append(f"{name} failed status={_wait_status(done.returncode)}")
    return problems


def watch_no_children() -> None:
    """A fork of the step daemon takes its own children's ends alone."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _run(name: str, program: str, environment: dict[str, str]) -> bytes:
    try:
        done = subprocess.run(
            [program],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise PrologFailed(1, f"{name} can not be executed ({program}) {error.strerror}") from None
    if done.returncode:
        apply_prolog(os.fsdecode(done.stdout), {})
        code = done.returncode if done.returncode > 0 else 128 - done.returncode
        raise PrologFailed(code, f"{name} failed status={code}")
    return done.stdout


def _named(programs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, program) for name, program in programs if program)


def _wait_status(returncode: int) -> int:
    return -returncode if returncode < 0 else returncode << 8
