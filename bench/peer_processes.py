"""Ports and processes of a benchmark peer: find what is free, end what was started.

Processes are found and ended by their id alone; a name would also fit somebody else's daemons.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

STOP_LIMIT_S = 10.0


def free_ports(count: int) -> list[int]:
    """Return *count* distinct loopback ports that were free a moment ago."""
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def end_daemon(daemon: subprocess.Popen[bytes]) -> None:
    """Ask our child to end, insist after STOP_LIMIT_S, and reap it."""
    daemon.terminate()
    try:
        daemon.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def kill_job_processes(configuration: Path) -> None:
    """Kill the step daemons and tasks that slurmd detached and left behind.

    They no longer are our descendants, but carry the peer's own configuration path; a person's
    commands carry it as well, so only what also belongs to a job, or is a step daemon, is ours.
    """
    for pid in list(_left_behind(f"SLURM_CONF={configuration}".encode())):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _left_behind(mark: bytes) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # Processes end while we look, and some are not ours to read.
        with contextlib.suppress(OSError):
            assignments = (entry / "environ").read_bytes().split(b"\0")
            is_in_job = any(assignment.startswith(b"SLURM_JOB_ID=") for assignment in assignments)
            is_step_daemon = (entry / "comm").read_text().strip() == "slurmstepd"
            if mark in assignments and (is_in_job or is_step_daemon):
                yield int(entry.name)
