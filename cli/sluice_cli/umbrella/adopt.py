"""sluice adopt: bring a process into its user's job on this node, by hand or as PAM's helper at a login.

The options of --pam have the names and the defaults of pam_slurm_adopt; pam_exec knows only yes and no, so that there
"ignore" is "allow".
"""

from __future__ import annotations

import os
import pwd
from typing import Any

import click

from sluice.errors import InvalidRequest, RequestError, SluiceError, Unreachable
from sluice.wire.light import connect_unix
from sluice_cli import client

_ANSWERS = click.Choice(["allow", "ignore", "deny"])


@click.command()
@click.option("--job", "job_id", metavar="JOB", type=int, help="Which of the user's jobs (default: the latest here).")
@click.option("--user", metavar="USER", help="Whose job (default: that of the process's owner).")
@click.option("--conf", metavar="FILE", help="Configuration (default: the one that is in use here).")
@click.option("--nodename", metavar="NAME", help="The node whose agent is asked, where a host has several.")
@click.option("--pam", "is_pam", is_flag=True, help="Called by pam_exec: PAM_USER logs in, in the calling process.")
@click.option("--action-no-jobs", type=_ANSWERS, default="deny", show_default=True, help="The user has no job here.")
@click.option("--action-adopt-failure", type=_ANSWERS, default="allow", show_default=True, help="It was not adopted.")
@click.option("--action-generic-failure", type=_ANSWERS, default="ignore", show_default=True, help="All other trouble.")
@click.argument("pid", type=int, required=False)
def command(
    job_id: int | None,
    user: str | None,
    conf: str | None,
    nodename: str | None,
    is_pam: bool,
    pid: int | None,
    **actions: str,
) -> None:
    """Have the job of its user on this node adopt process PID, with what it starts from then on.

    For root, and for jobs with an extern step (PrologFlags=Contain).  The process is held to the job's limits,
    accounted to its extern step, and ends with the job at the latest.
    """
    if conf:
        os.environ["SLUICE_CONF"] = conf
    if nodename:
        os.environ["SLURMD_NODENAME"] = nodename
    if is_pam:
        raise SystemExit(_let_in(job_id, actions))
    if pid is None:
        raise click.UsageError("Missing argument 'PID'.")
    adopted = _adopt(pid, _uid_of(user) if user else _owner_of(pid), job_id)
    click.echo(f"process {pid} adopted by job {adopted['job_id']} on node {adopted['node']}")


def _let_in(job_id: int | None, actions: dict[str, str]) -> int:
    """Return the exit status by which PAM lets a user in (0) or not; who is told why reads stdout (pam_exec stdout)."""
    if os.environ.get("PAM_TYPE") == "close_session":
        return 0
    user = os.environ.get("PAM_USER", "")
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return _answer(actions["action_generic_failure"], f"Access denied: user {user!r} is not known on this host.")
    if uid == 0:
        # As pam_slurm_adopt does: root is nobody's job.
        return 0
    try:
        _adopt(os.getppid(), uid, job_id)
    except RequestError as error:
        if error.code == "no_job":
            said = f"Access denied: user {user} (uid={uid}) has no active jobs on this node."
            return _answer(actions["action_no_jobs"], said)
        return _answer(actions["action_adopt_failure"], f"Access denied: {error}")
    except SluiceError as error:
        return _answer(actions["action_generic_failure"], f"Access denied: {error}")
    return 0


def _answer(action: str, said: str) -> int:
    if action != "deny":
        return 0
    click.echo(said)
    return 1


def _adopt(pid: int, uid: int, job_id: int | None) -> Any:
    """Return what the local agent answers.  Raises SluiceError."""
    try:
        with connect_unix(client.find_endpoints().agent_socket) as agent:
            return agent.call("AdoptProcess", {"pid": pid, "uid": uid, "job_id": job_id})
    except Unreachable as error:
        names = ", ".join(client.nodes_here())
        if not names:
            raise
        raise Unreachable(f"{error}; this host has the agents of {names}: name one with --nodename") from None


def _uid_of(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise InvalidRequest(f"user {user!r} is not known on this host", "invalid_user") from None


def _owner_of(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        raise InvalidRequest(f"there is no process {pid}") from None
