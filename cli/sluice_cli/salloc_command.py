"""salloc's command: forked with the allocation's environment, watched until it ends; the allocation is watched too.

On a terminal the command gets a process group of its own in the foreground, so that Ctrl-C is its own affair.
"""

from __future__ import annotations

import os
import select
import sys

from sluice.errors import RequestError, SluiceError
from sluice.wire.faults import is_passing
from sluice_cli import client, environment, inbox, other_user
from sluice_cli.allocation import message_hearer
from sluice_cli.waiting import Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.draft import Draft
    from sluice_cli.talk import Voice

_WATCHED = (inbox.SIGCHLD, inbox.SIGHUP, inbox.SIGINT, inbox.SIGQUIT, inbox.SIGTERM)
_PLAIN_SHELL = "/bin/sh"
_NOT_FOUND_STATUS = 1
_EXEC_FAILED_STATUS = 127


class Outcome:
    """How the command ended, and whether the allocation had gone before."""

    __slots__ = ("exit_code", "exit_signal", "is_revoked")

    def __init__(self, exit_code: int, exit_signal: int = 0, is_revoked: bool = False) -> None:
        self.exit_code = exit_code
        self.exit_signal = exit_signal
        self.is_revoked = is_revoked

    @property
    def status(self) -> int:
        """The exit status of salloc: the command's, 1 for one that a signal ended."""
        return 1 if self.exit_signal else self.exit_code


def run(started: dict[str, Any], draft: Draft, command: list[str], voice: Voice) -> Outcome:
    """Run the command in the allocation that StartedJob tells of; return how it ended."""
    job = started["job"]
    argv = command
    path = _find(argv[0])
    if not path:
        voice.error(f'_fork_command: Unable to find command "{argv[0]}"')
        return Outcome(_NOT_FOUND_STATUS)
    variables = {**os.environ, **_allocation_environment(job, _steps_at(started))}
    with inbox.Inbox(_WATCHED) as signals:
        pid = _fork(path, argv, variables, draft)
        body = {"job_id": job["id"], "hears_messages": True, "holds_allocation": True}
        # As long as the command runs: the controller may end an allocation whose salloc does not come back to it.
        with Question("WaitJobEnd", body, voice, message_hearer(voice), patience_s=client.FOREVER_S) as end:
            outcome = _watch(pid, job["id"], end, signals, draft, voice)
    _take_terminal(os.getpgrp())
    return outcome


def shell_command(interactive_step: str) -> list[str]:
    """Return the command line of the user's shell: here, or with srun's options for it on the first node."""
    shell = _shell()
    if not interactive_step:
        return [shell]
    from sluice.shell_words import split

    own = os.path.join(os.path.dirname(sys.argv[0]), "srun")
    srun = own if os.access(own, os.X_OK) else "srun"
    return [srun, *(shell if word == "$SHELL" else word for word in split(interactive_step))]


def _shell() -> str:
    import pwd

    if shell := os.environ.get("SHELL"):
        return shell
    try:
        return pwd.getpwuid(os.getuid()).pw_shell or _PLAIN_SHELL
    except KeyError:
        return _PLAIN_SHELL


def _find(name: str) -> str:
    if "/" in name:
        return name if os.access(name, os.X_OK) else ""
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def _steps_at(started: dict[str, Any]) -> str:
    """Return where the job's steps are made: by the agent of its first node, but for a component's."""
    addresses = started.get("addresses")
    if not addresses or started["job"].get("het_job_id"):
        return ""
    node, address, port = addresses[0]
    return f"{node},{address},{port}"


def _allocation_environment(job: dict[str, Any], steps_at: str) -> dict[str, str]:
    """Return the allocation's variables; the records' types are loaded here alone."""
    import msgspec

    from sluice import job_env
    from sluice.config.light import find_config
    from sluice.model.job import Job

    where = client.find_endpoints()
    site = job_env.Site(where.cluster_name, os.path.abspath(find_config()), steps_at=steps_at)
    variables = job_env.allocation_environment(msgspec.convert(job, Job), site)
    here = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.submission_variables().items()}
    here.pop("SLURM_PRIO_PROCESS", None)
    here.pop("SLURM_UMASK", None)
    return variables | here


def _fork(path: str, argv: list[str], variables: dict[str, str], draft: Draft) -> int:
    is_on_terminal = os.isatty(0)
    pid = os.fork()
    if pid:
        if is_on_terminal:
            _set_group(pid)
        return pid
    try:
        if is_on_terminal:
            _set_group(0)
            _take_terminal(os.getpid())
        inbox.restore_defaults()
        other_user.become(draft)
        if draft.own.get("chdir"):
            _go_to(draft.own["chdir"])
        os.execve(path, argv, variables)
    except OSError as error:
        os.write(2, os.fsencode(f"salloc: error: {argv[0]}: {error.strerror}\n"))
    finally:
        os._exit(_EXEC_FAILED_STATUS)


def _go_to(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        os.write(2, os.fsencode(f"salloc: error: couldn't chdir to `{folder}': {error.strerror}\n"))
        os._exit(_EXEC_FAILED_STATUS)


def _set_group(pid: int) -> None:
    try:
        os.setpgid(pid, pid)
    except OSError:
        # The child has done it already, or has gone on to its program.
        return


def _take_terminal(group: int) -> None:
    """Make *group* the terminal's foreground; whoever is in the background must not be stopped for it."""
    if not os.isatty(0):
        return
    inbox.ignore(inbox.SIGTTOU)
    try:
        os.tcsetpgrp(0, group)
    except OSError:
        return


def _watch(pid: int, job_id: int, end: Question, signals: inbox.Inbox, draft: Draft, voice: Voice) -> Outcome:
    """Wait for the command; tell when the allocation ends before it."""
    is_revoked = False
    while True:
        ended = _reap(pid)
        if ended is not None:
            return Outcome(*ended, is_revoked)
        try:
            if is_revoked:
                _pause(signals, pid)
                continue
            end.wait(signals)
            is_revoked = True
        except inbox.Interrupted as interrupt:
            _forward(pid, interrupt.number)
            continue
        except SluiceError as error:
            if not isinstance(error, RequestError) or is_passing(error):
                voice.error(f"job allocation {job_id} is not watched any more: {client.sentence(error)}")
                return Outcome(*_wait(pid))
            # The job is not known any more: it has ended.
            is_revoked = True
        voice.info(f"Job allocation {job_id} has been revoked.")
        if "kill-command" in draft.own:
            _forward(pid, draft.own["kill-command"])


def _pause(signals: inbox.Inbox, pid: int) -> None:
    select.select([signals], [], [])
    while number := signals.next():
        _forward(pid, number)


def _forward(pid: int, number: int) -> None:
    """Ctrl-C and Ctrl-\\ reach the command by the terminal; an end is passed on."""
    if number not in (inbox.SIGCHLD, inbox.SIGINT, inbox.SIGQUIT):
        os.kill(pid, number)


def _reap(pid: int) -> tuple[int, int] | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return _split(status) if found else None


def _wait(pid: int) -> tuple[int, int]:
    return _split(os.waitpid(pid, 0)[1])


def _split(status: int) -> tuple[int, int]:
    if os.WIFSIGNALED(status):
        return 0, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), 0
