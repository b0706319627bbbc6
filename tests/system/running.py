"""Commands of a cluster that run beside the test, and are ended with it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sluice.testing import LocalCluster

_LIMIT_S = 60.0


@contextmanager
def running(
    cluster: LocalCluster, *command: str, out: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run *command* during the block, with pipes; out: a file for its stdout."""
    stdout = out.open("w") if out is not None else None
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cluster.folder,
        env=cluster.env | (env or {}),
    )
    try:
        yield process
    finally:
        if stdout is not None:
            stdout.close()
        if process.poll() is None:
            # An srun that is only killed leaves its step to be ended by others.
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LIMIT_S)
        if process.poll() is None:
            process.kill()
        with suppress(ValueError):
            process.communicate(timeout=_LIMIT_S)


def steps(cluster: LocalCluster) -> list[str]:
    """Return the ids of the launched steps that run."""
    ids = cluster.run("squeue", "-s", "-h", "-o", "%i").stdout.split()
    return [each for each in ids if each.rpartition(".")[2].isdecimal()]
