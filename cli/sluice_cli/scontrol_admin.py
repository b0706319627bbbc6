"""scontrol's other verbs: reconfigure, shutdown, ping, write, wait_job, notify, and what looks at processes."""

from __future__ import annotations

import os
import time

from sluice import hostlist, jobid_spec
from sluice.errors import RequestError, SluiceError
from sluice_cli import client, show_job, show_other, talk
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluice_cli.scontrol_session import Session

_DEBUG_LEVELS = ("quiet", "fatal", "error", "info", "verbose", "debug", "debug2", "debug3", "debug4", "debug5")


def ping(session: Session, words: list[str]) -> None:
    show_other.put_ping(session)


def put_version(session: Session, words: list[str]) -> None:
    talk.put_version()


def reconfigure(session: Session, words: list[str]) -> None:
    """Have the controller read its configuration again, and say what it has to remark."""
    try:
        for line in session.call("Reconfigure", {}).get("lines", ()):
            session.voice.info(line)
    except SluiceError as error:
        said, detail = sentence(error), client.detail(error)
        session.fail(f"slurm_reconfigure error: {said}" + (f": {detail}" if detail and detail != said else ""))


def shutdown(session: Session, words: list[str]) -> None:
    """Shut the controller down; the node agents keep what runs."""
    if words and words[0].lower() not in ("slurmctld", "controller"):
        session.fail(f"invalid shutdown argument:{words[0]}")
        return
    try:
        session.call("Shutdown", {})
    except SluiceError as error:
        session.fail(f"slurm_shutdown error: {sentence(error)}")


def wait_job(session: Session, words: list[str]) -> None:
    """Return when the nodes of a job are its own."""
    number = _number(session, "wait_job", words)
    if number is None:
        return
    try:
        session.wait("WaitJobStart", {"job_id": number})
    except SluiceError:
        session.fail(f"scontrol: Problem running job {number}")
        return
    if not session.voice.is_quiet:
        talk.plain(f"scontrol: Nodes are ready for job {number}")


def write(session: Session, words: list[str]) -> None:
    """scontrol write batch_script ID [FILE|-]"""
    if not words:
        session.fail("too few arguments for keyword:write")
        return
    if words[0].lower() not in ("batch_script", "batch"):
        session.fail(f"invalid write argument:{words[0]}")
        return
    number = _number(session, "write", words[1:2])
    if number is None:
        return
    try:
        script = session.call("QueryScript", {"job_id": number})["script"]
    except SluiceError as error:
        # A failure, unlike in Slurm: a script would go on with no file.
        session.fail(f"job script retrieval failed: {sentence(error)}")
        return
    path = words[2] if len(words) > 2 else f"slurm-{number}.sh"
    if path == "-":
        talk.put(os.fsdecode(script))
        return
    try:
        with open(path, "wb") as file:
            file.write(script)
    except OSError as error:
        session.fail(f"failed to open file `{path}`: {error.strerror}")
        return
    talk.put(f"batch script for job {number} written to {path}\n")


def notify(session: Session, words: list[str]) -> None:
    """Send a message to the salloc or srun of a job, or into the stderr of its batch script."""
    if len(words) < 2:
        session.fail("too few arguments for keyword:notify")
        return
    try:
        lines = session.call("NotifyJob", {"id": words[0], "text": " ".join(words[1:])}).get("lines", ())
    except SluiceError as error:
        if detail := client.detail(error):
            session.fail_named(detail)
        session.fail(f"job notify failure: {_of_id(error)}")
        return
    for line in lines:
        session.fail(line)


def _of_id(error: SluiceError) -> str:
    if isinstance(error, RequestError) and error.code == "invalid_job_id":
        return "Invalid job id specified"
    return sentence(error)


def completing(session: Session, words: list[str]) -> None:
    """Print the jobs whose processes are being ended, and since when."""
    rows = []
    try:
        rows = show_job.load_rows(session, None)
    except SluiceError as error:
        session.fail(f"slurm_load_jobs error: {sentence(error)}")
    for row in rows:
        nodes = row.job.get("completing_nodes")
        if not nodes or row.state in ("RUNNING", "SUSPENDED"):
            continue
        ended_at = row.job.get("ended_at") or row.context.now_at
        talk.put(
            f"JobId={row.job['id']} EndTime={row.context.clock(ended_at, 'Unknown')} "
            f"CompletingTime={_clock(row.context.now_at - ended_at)} Nodes(COMPLETING)={hostlist.fold(nodes)}\n"
        )


def _clock(elapsed_s: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(max(0.0, elapsed_s)))


def list_pids(session: Session, words: list[str]) -> None:
    """Print the processes of jobs on this host, as far as their environment may be read."""
    job = words[0].partition(".")[0] if words else ""
    step = words[0].partition(".")[2] if words else ""
    lines = []
    for pid, found in _job_processes():
        own_step = found.get("SLURM_STEP_ID", "batch")
        if (job and found["SLURM_JOB_ID"] != job) or (step and own_step != step):
            continue
        local, rank = found.get("SLURM_LOCALID", "-"), found.get("SLURM_PROCID", "-")
        lines.append(f"{pid:<8} {found['SLURM_JOB_ID']:<8} {own_step:<8} {local:<7} {rank:<8}")
    if not lines:
        session.fail_named(f"No job steps exist on this node{f' for JobId={job}' if job else ''}.")
        return
    talk.put("\n".join(["PID      JOBID    STEPID   LOCALID GLOBALID", *lines]) + "\n")


def pid_info(session: Session, words: list[str]) -> None:
    """Print the job of a process of this host and how long it may still run."""
    number = _number(session, "pidinfo", words)
    if number is None:
        return
    found = dict(_job_processes()).get(number)
    if found is None:
        session.fail("Failed to locate job for requested pid")
        return
    try:
        (row,) = show_job.load_rows(session, jobid_spec.parse(found["SLURM_JOB_ID"]))[:1]
    except SluiceError as error:
        session.fail(f"slurm_load_jobs error: {sentence(error)}")
        return
    from sluice_cli import job_row

    end_at = job_row.end_at(row)
    talk.put(f"Slurm JobId={found['SLURM_JOB_ID']} ends at {row.context.clock(end_at, 'Unknown')}\n")
    if end_at is not None:
        talk.put(f"slurm_get_rem_time is {int(end_at - row.context.now_at)}\n")


def _job_processes() -> Iterator[tuple[int, dict[str, str]]]:
    """Give pid and SLURM_ variables of each process that has a number of this cluster's jobs in its environment.

    Others' jobs have the same numbers where several clusters share a host; a name and a port together are one's own.
    """
    where = client.find_endpoints()
    own = where.cluster_name, str(where.controller_port)
    for name in sorted((name for name in os.listdir("/proc") if name.isdecimal()), key=int):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                content = file.read()
        except OSError:
            continue
        pairs = (os.fsdecode(each).partition("=") for each in content.split(b"\0") if each.startswith(b"SLURM_"))
        found = {key: value for key, _, value in pairs}
        cluster, _, place = found.get("SLURM_WORKING_CLUSTER", "").partition(":")
        port = place.split(":")[-3:-2]
        if "SLURM_JOB_ID" in found and (cluster.lower(), *port) == own:
            yield int(name), found


def set_debug(session: Session, words: list[str]) -> None:
    """Check the level; the controller's log level is set in its configuration."""
    if not words or words[0].lower() not in (*_DEBUG_LEVELS, *(str(number) for number in range(10))):
        session.fail(f"invalid debug level: {words[0] if words else ''}")
        return
    session.fail_named("the level is set by SlurmctldDebug and reconfigure")


def unavailable(session: Session, words: list[str]) -> None:
    session.fail_named("Requested operation is presently disabled")


def _number(session: Session, keyword: str, words: list[str]) -> int | None:
    if not words:
        session.fail(f"too few arguments for keyword:{keyword}")
        return None
    if not (words[0].isascii() and words[0].isdigit()):
        session.fail("Invalid job id specified" if keyword != "pidinfo" else f"invalid pid: {words[0]}")
        return None
    return int(words[0][:10])
