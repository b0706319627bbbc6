"""From a fork to the program: what a task does to itself, in order, until exec.

Runs in the forked child alone; nothing here returns, and nothing may raise past run_task().
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import resource
import signal
import sys
import termios
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from sluiced.binding.apply import bind_self
from sluiced.binding.plan import TaskBinding
from sluiced.gpu.fence import Fence
from sluiced.steps.private_dirs import enter_namespace
from sluiced.steps.talk import error_line
from sluiced.steps.task_hooks import PrologFailed, TaskHooks, run_epilogs, run_prologs
from sluiced.steps.user import User, become

#: What users send to end a task, and what does so unless the program thinks otherwise.
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class TaskPlan(NamedTuple):
    """One task, ready to be forked.

    descriptors: what becomes 0, 1 and 2.  rank: global; local_id: on this node.
    """

    rank: int
    local_id: int
    argv: tuple[str, ...]
    environment: dict[str, str]
    descriptors: tuple[int, int, int]
    work_dir: str
    fallback_dir: str
    umask: int
    rlimits: tuple[tuple[str, int, int], ...]
    user: User
    node: str
    hooks: TaskHooks = TaskHooks()
    #: None: as the step daemon's.
    nice: int | None = None
    binding: TaskBinding = TaskBinding()
    #: Around its GPUs alone; None: the job's fence is its own.
    fence: Fence | None = None
    #: The ranks that it starts itself and answers for; none: just its own.
    stands_for: tuple[int, ...] = ()
    #: What to tell where its program is not installed.
    missing_hint: str = ""
    #: What becomes 3 and up.
    inherited: tuple[int, ...] = ()
    #: The mount namespace that it runs in; None: the step daemon's.
    namespace: int | None = None
    #: Descriptor 0 is the slave of a pseudo terminal that becomes the controlling one.
    has_terminal: bool = False


def run_task(plan: TaskPlan, enter_group: Callable[[], None] | None) -> NoReturn:
    """Become the program; forked with the ENDING signals blocked.  native/spawn.c is the same for plain tasks.

    enter_group: puts the calling process into the step's cgroup; None: it was born there.
    """
    try:
        # The step daemon's handlers would swallow what is sent to the task before it is the program.
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if enter_group is not None:
            enter_group()
        if plan.namespace is not None:
            enter_namespace(plan.namespace)
        _set_descriptors((*plan.descriptors, *plan.inherited))
        if plan.has_terminal:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        else:
            os.setpgid(0, 0)
        for line in bind_self(plan.binding, plan.node, plan.rank, plan.local_id):
            os.write(2, os.fsencode(line + "\n"))
        set_limits(plan.rlimits)
        become(plan.user)
        set_nice(plan.nice)
        os.umask(plan.umask)
        _enter_work_dir(plan)
        environment = plan.environment | {"SLURM_TASK_PID": str(os.getpid())}
        _exec(plan, run_prologs(plan.hooks, environment))
    except PrologFailed as failure:
        _say(plan.node, str(failure))
        os._exit(failure.code)
    except OSError as error:
        _say(plan.node, str(error))
        os._exit(1)
    except BaseException as error:
        _say(plan.node, f"task launch failed: {error!r}")
        os._exit(1)


def run_task_epilogs(plan: TaskPlan, enter_group: Callable[[], None] | None, stderr: int) -> NoReturn:
    """Run what follows a task, as its user; their failures are told on *stderr*."""
    try:
        if enter_group is not None:
            enter_group()
        null = os.open(os.devnull, os.O_RDWR)
        _set_descriptors((null, null, stderr))
        os.setpgid(0, 0)
        become(plan.user)
        os.umask(plan.umask)
        _enter_work_dir(plan)
        for problem in run_epilogs(plan.hooks, plan.environment):
            _say(plan.node, problem)
    except OSError as error:
        _say(plan.node, f"task epilog: {error}")
    finally:
        os._exit(0)


def set_limits(limits: tuple[tuple[str, int, int], ...]) -> None:
    """Set the submitter's limits."""
    for number, soft, hard in allowed_limits(limits):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(number, (soft, hard))


@functools.lru_cache(maxsize=1)
def allowed_limits(limits: tuple[tuple[str, int, int], ...]) -> tuple[tuple[int, int, int], ...]:
    """Return (RLIMIT number, soft, hard) to set: the soft ones asked for, as far as this process's hard ones go.

    They are the user's word: root must not raise anything for it.  Source: slurm.conf(5), PropagateResourceLimits.
    """
    allowed = []
    for name, soft, _ in limits:
        number = getattr(resource, "RLIMIT_" + name.upper().removeprefix("RLIMIT_"), None)
        if number is None:
            continue
        hard = resource.getrlimit(number)[1]
        is_above = hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard)
        allowed.append((number, hard if is_above else soft, hard))
    return tuple(allowed)


def set_nice(nice: int | None) -> None:
    """Set the nice value as far as the user may; where it comes from is the user's to write."""
    if nice is not None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, nice)


def searched_programs(plan: TaskPlan) -> list[str]:
    """Return where the program may be, in order; empty where that depends on the folder that the task comes to."""
    name, path = plan.argv[0], plan.environment.get("PATH", os.defpath)
    if "/" in name:
        return [name]
    folders = path.split(":")
    return [os.path.join(folder, name) for folder in folders] if all(each[:1] == "/" for each in folders) else []


def find_program(name: str, path: str, work_dir: str) -> str:
    """Return where *name* is: as it stands when it has a slash, else the first executable in *path*."""
    if "/" in name:
        return name
    for folder in path.split(":"):
        candidate = os.path.join(work_dir, folder, name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return name


def _set_descriptors(descriptors: tuple[int, ...]) -> None:
    # First out of the way: one of them may have the number that another one is to get.
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, len(descriptors)) for descriptor in descriptors]
    for number, descriptor in enumerate(moved):
        os.dup2(descriptor, number)
    os.closerange(len(descriptors), 1 << 20)


def _enter_work_dir(plan: TaskPlan) -> None:
    try:
        os.chdir(plan.work_dir)
    except OSError as error:
        folder = plan.fallback_dir
        _say(plan.node, f"couldn't chdir to `{plan.work_dir}': {error.strerror}: going to {folder} instead")
        os.chdir(folder)
    plan.environment["PWD"] = os.getcwd()


def _exec(plan: TaskPlan, environment: dict[str, str]) -> NoReturn:
    program = find_program(plan.argv[0], environment.get("PATH", os.defpath), os.getcwd())
    environment["PWD"] = plan.environment["PWD"]
    try:
        os.execve(program, plan.argv, environment)
    except OSError as error:
        _say(plan.node, f"execve(): {_named(program, error)}: {error.strerror}{_advice(program, error)}")
        if plan.missing_hint and not os.path.exists(program):
            _say(plan.node, plan.missing_hint)
        os._exit(error.errno if error.errno and error.errno < 256 else 1)


def _named(program: str, error: OSError) -> str:
    """Return what could not be executed: the interpreter where a script names a missing one."""
    if error.errno == errno.ENOENT and os.path.exists(program):
        with contextlib.suppress(OSError), open(program, "rb") as file:
            line = file.readline(256)
            if line.startswith(b"#!") and line[2:].split():
                return f"bad interpreter({os.fsdecode(line[2:].split()[0])})"
    return program


def _advice(program: str, error: OSError) -> str:
    """Return what would work, where a look at the file tells it."""
    if os.path.isdir(program):
        return " (a directory, expected a program)"
    if error.errno == errno.EACCES and os.path.isfile(program) and not os.access(program, os.X_OK):
        return " (not executable: chmod +x it, or name its interpreter before it)"
    if error.errno == errno.ENOEXEC:
        return " (no program of this machine; of a script the first line must begin with #!)"
    return ""


def _say(node: str, text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, os.fsencode(error_line(node, text) + "\n"))
        sys.stderr.flush()
