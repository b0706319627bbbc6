"""A queue of 10,000 jobs of many shapes behind full nodes: looking, submitting while passes run, starting over.

The queue is real work for the passes: every job has its own size and limit, and none fits.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.cluster import BenchCluster, exit_on_sigterm
from bench.machine import headline, percentile, print_table, spread
from bench.submit_client import submission

_NODES = 64
_CPUS = 8
_BATCH = 500
_SUBMIT_S = 15.0
_PAUSE_S = 0.01
_SLEEP = b"#!/bin/sh\nsleep 86400\n"
_COMMANDS = (
    ("squeue",),
    ("squeue", "-h", "-t", "R"),
    ("squeue", "-j", "100"),
    ("squeue", "--json"),
    ("sinfo",),
    ("sinfo", "-N", "-l"),
)


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    headline(f"{options.jobs} queued jobs on {_NODES} full nodes; median (least-most) of {options.rounds}")
    with BenchCluster(_NODES, _CPUS, is_emulated=True) as cluster:
        _fill(cluster, options.jobs)
        print_table(("what", "ms", "CPU ms"), _look(cluster, options.rounds))
        titles = ("submission, one at a time", "median ms", "p99 ms", "most ms", "passes meanwhile", "ms a pass")
        print_table(titles, _submit(cluster))
        print_table(("controller", "ms until it answers"), _restart(cluster, options.rounds))


def _fill(cluster: BenchCluster, jobs: int) -> None:
    """Fill every CPU, then queue jobs of all sizes."""
    rng = random.Random(1)
    fillers = [submission(_SLEEP, ntasks=_CPUS, limit_s=86400) for _ in range(_NODES)]
    queued = [
        submission(_SLEEP, ntasks=rng.randint(1, 64), limit_s=rng.randint(1, 2000) * 60, name=f"job-{number % 100}")
        for number in range(jobs)
    ]
    with cluster.connect() as connection:
        connection.call("SubmitJobs", {"submissions": fillers})
        cluster.wait_until(lambda: cluster.counters()["jobs_running"] >= _NODES, "the nodes are full")
        for first in range(0, jobs, _BATCH):
            connection.call("SubmitJobs", {"submissions": queued[first : first + _BATCH]})
    cluster.wait_until(lambda: cluster.counters()["jobs_pending"] >= jobs, "the queue is full")


def _look(cluster: BenchCluster, rounds: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (" ".join(command), *_timed(rounds, partial(_run, cluster, *command))) for command in _COMMANDS
    ]
    with cluster.connect() as connection:

        def ask(name: str, body: dict[str, Any]) -> None:
            for _ in connection.stream(name, body):
                pass

        rows += [
            ("QueryJobs alone, all jobs", *_timed(rounds, partial(ask, "QueryJobs", {}))),
            ("QueryJobs alone, one job", *_timed(rounds, partial(ask, "QueryJobs", {"filter": {"ids": ["100"]}}))),
            ("QueryNodes alone", *_timed(rounds, partial(ask, "QueryNodes", {}))),
        ]
    return rows


def _run(cluster: BenchCluster, command: str, *arguments: str) -> None:
    done = cluster.run(command, *arguments)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")


def _timed(rounds: int, work: Callable[[], None]) -> tuple[str, str]:
    """Return wall milliseconds, and the CPU milliseconds of the command or of this client."""
    work()
    times_ms, used_ms = [], []
    for _ in range(rounds):
        used_before_s, began_s = _used_s(), time.perf_counter()
        work()
        times_ms.append((time.perf_counter() - began_s) * 1000)
        used_ms.append((_used_s() - used_before_s) * 1000)
    return spread(times_ms, 1), spread(used_ms, 1)


def _used_s() -> float:
    uses = (resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _submit(cluster: BenchCluster) -> list[tuple[str, ...]]:
    """Each submission makes another pass over the whole queue due: they run all the time."""
    latencies_ms: list[float] = []
    before = cluster.counters()
    ends_at = time.monotonic() + _SUBMIT_S
    with cluster.connect() as connection:
        while time.monotonic() < ends_at:
            body = submission(_SLEEP, ntasks=1 + len(latencies_ms) % 64, limit_s=3600)
            began_s = time.perf_counter()
            connection.call("SubmitJob", body)
            latencies_ms.append((time.perf_counter() - began_s) * 1000)
            time.sleep(_PAUSE_S)
    after = cluster.counters()
    passes = after["passes"] - before["passes"]
    mean_ms = (after["pass_total_s"] - before["pass_total_s"]) * 1000 / max(1.0, passes)
    return [
        (
            f"{len(latencies_ms)} in {_SUBMIT_S:.0f} s",
            f"{percentile(latencies_ms, 50):.1f}",
            f"{percentile(latencies_ms, 99):.1f}",
            f"{max(latencies_ms):.1f}",
            f"{passes:.0f}",
            f"{mean_ms:.0f}",
        )
    ]


def _restart(cluster: BenchCluster, rounds: int) -> list[tuple[str, str]]:
    after_stop, after_kill = [], []
    for _ in range(min(rounds, 5)):
        cluster.stop_controller()
        after_stop.append(cluster.start_controller() * 1000)
        cluster.kill_controller()
        after_kill.append(cluster.start_controller() * 1000)
    return [("restarted after SIGTERM", spread(after_stop)), ("restarted after SIGKILL", spread(after_kill))]


if __name__ == "__main__":
    main()
