"""Ours and Debian's Slurm behind one face: the same commands, asked the same way, so that a difference is theirs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from bench.cluster import BIN_FOLDER, BenchCluster
from bench.slurm_peer import COMMANDS_FOLDER, SlurmPeer

NODES = 3
CPUS = 8
_POLL_S = 0.2
_LIMIT_S = 300.0
_UNFINISHED = "PENDING,CONFIGURING,RUNNING,COMPLETING"


class Cluster(Protocol):
    """What both kinds of cluster can."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *story: object) -> None: ...
    def start_controller(self) -> object: ...
    def kill_controller(self) -> None: ...
    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]: ...


class Rival:
    """One contender: how to bring it up, and where its commands are."""

    def __init__(self, name: str, commands: Path, make: Callable[[], Cluster]) -> None:
        self.name = name
        self.commands = commands
        self.make = make


def _slurm(is_tuned: bool) -> Cluster:
    return SlurmPeer(NODES, CPUS, tuned=is_tuned)  # type: ignore[return-value]


OURS = Rival("sluice", BIN_FOLDER, lambda: BenchCluster(NODES, CPUS))  # type: ignore[arg-type, return-value]
SLURM = Rival("slurm, default", COMMANDS_FOLDER, lambda: _slurm(False))
SLURM_TUNED = Rival("slurm, tuned", COMMANDS_FOLDER, lambda: _slurm(True))


def submit_array(cluster: Cluster, tasks: int) -> None:
    """Submit *tasks* jobs of `true` by one sbatch."""
    done = cluster.run("sbatch", f"--array=1-{tasks}", "-o", "/dev/null", "--wrap", "true")
    if done.returncode:
        raise RuntimeError(f"sbatch: {done.stderr.strip()}")


def wait_drained(cluster: Cluster) -> float:
    """Return when squeue shows no unfinished job any more (monotonic)."""
    give_up_at = time.monotonic() + _LIMIT_S
    while time.monotonic() < give_up_at:
        shown = cluster.run("squeue", "-h", "-t", _UNFINISHED)
        if shown.returncode == 0 and not shown.stdout.strip():
            return time.monotonic()
        time.sleep(_POLL_S)
    raise RuntimeError(f"jobs are left after {_LIMIT_S:.0f} s")


def start_loops(
    rival: Rival, cluster: Cluster, loops: int, jobs: int, *, is_held: bool = True
) -> list[tuple[subprocess.Popen[bytes], Path]]:
    """Start shell loops of sbatch; each writes the ids that it was told into its file."""
    command = f"{rival.commands}/sbatch --parsable {'-H' if is_held else ''} -o /dev/null --wrap true"
    script = f"i=0; while [ $i -lt {jobs} ]; do {command}; i=$((i+1)); done"
    started = []
    for number in range(loops):
        path = cluster.folder / f"ids-{number}"
        with path.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", script], env=cluster.environment, cwd="/", stdout=output, stderr=subprocess.DEVNULL
            )
        started.append((process, path))
    return started


def read_ids(paths: list[Path]) -> list[int]:
    """Return every id that was told, also those told twice."""
    words = [word.partition(";")[0] for path in paths for word in path.read_text().split()]
    return [int(word) for word in words if word.isdecimal()]


def known_ids(cluster: Cluster) -> set[int]:
    shown = cluster.run("squeue", "-h", "-t", "all", "-o", "%i")
    if shown.returncode:
        raise RuntimeError(f"squeue: {shown.stderr.strip()}")
    return {int(word) for word in shown.stdout.split()}
