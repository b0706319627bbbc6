"""Submitting clients as processes, and waiting for what they submitted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from bench.cluster import BenchCluster

_POLL_S = 0.05
_LIMIT_S = 300.0


@dataclass
class Flow:
    """How one load went, in seconds since the first submission."""

    jobs: int
    accepted_s: float
    started_s: float
    finished_s: float
    latencies_s: list[float]
    before: dict[str, float]
    after: dict[str, float]

    def rate(self, ended_s: float) -> float:
        return self.jobs / ended_s

    def counted(self, name: str) -> float:
        """Return by how much one of the controller's counters grew."""
        return self.after[name] - self.before[name]


def start_clients(
    socket: str, jobs: int, clients: int, mode: str, window: int, *, is_held: bool = False
) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bench.submit_client", socket, str(jobs // clients)]
    if is_held:
        command.append("--held")
    return [
        subprocess.Popen([*command, "--mode", mode, "--window", str(window)], stdout=subprocess.PIPE)
        for _ in range(clients)
    ]


def collect(clients: list[subprocess.Popen[bytes]]) -> list[dict[str, Any]]:
    """Wait for all clients; raises RuntimeError if one was refused."""
    told = []
    for client in clients:
        output, _ = client.communicate()
        if client.returncode:
            raise RuntimeError(f"a client failed with status {client.returncode}")
        told.append(json.loads(output))
    return told


def run_load(cluster: BenchCluster, jobs: int, clients: int, mode: str, window: int) -> Flow:
    """Submit *jobs* and wait until the controller has seen all of them end."""
    before = cluster.counters()
    processes = start_clients(cluster.socket, jobs, clients, mode, window)
    started_at, finished_at, after = _wait_finished(cluster, jobs, before)
    told = collect(processes)
    began_at = min(client["began_s"] for client in told)
    return Flow(
        jobs=jobs,
        accepted_s=max(client["ended_s"] for client in told) - began_at,
        started_s=started_at - began_at,
        finished_s=finished_at - began_at,
        latencies_s=[latency for client in told for latency in client["latencies_s"]],
        before=before,
        after=after,
    )


def _wait_finished(cluster: BenchCluster, jobs: int, before: dict[str, float]) -> tuple[float, float, dict[str, float]]:
    """Return when the last job had started, when the last end was on the disk, and the counters then."""
    started_at = 0.0
    give_up_at = time.monotonic() + _LIMIT_S
    with cluster.connect() as connection:
        while time.monotonic() < give_up_at:
            now = connection.call("QueryStatistics", {})["counters"]
            if not started_at and now["pass_starts"] - before["pass_starts"] >= jobs:
                started_at = time.monotonic()
            if _ended(now) - _ended(before) >= jobs:
                # The counters run ahead of the disk; this is answered once everything before it is committed.
                connection.call("QueryPartitions", {})
                finished_at = time.monotonic()
                return started_at or finished_at, finished_at, connection.call("QueryStatistics", {})["counters"]
            time.sleep(_POLL_S)
    raise RuntimeError(f"not all of {jobs} jobs ended within {_LIMIT_S:.0f} s")


def _ended(counters: dict[str, float]) -> float:
    return counters["jobs_completed"] + counters["jobs_failed"]
