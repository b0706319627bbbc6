"""Ours beside Debian's Slurm on this machine, in the same run: real nodes, real processes, several rounds in turn.

    sudo python -m bench.compare_slurm --install      installs Debian's packages first

run      jobs of `true` on 3 nodes of 8 CPUs, from sbatch to an empty queue: one array, then 4 shell loops of sbatch
submit   4 shell loops of `sbatch`; for ours also through Python connections, which need no new process each
kill     the controller is killed with SIGKILL while 4 clients submit: how many of the submissions that were
         acknowledged have no job of their own afterwards, and how many ids were told twice

Ratios are taken round by round.  Ours is durable as by default; Slurm as Debian ships it writes its state now and then.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import Counter

from bench.clients import collect, start_clients
from bench.cluster import BenchCluster, exit_on_sigterm
from bench.machine import headline, print_table, spread
from bench.rivals import (
    OURS,
    SLURM,
    SLURM_TUNED,
    Cluster,
    Rival,
    known_ids,
    read_ids,
    start_loops,
    submit_array,
    wait_drained,
)
from bench.slurm_peer import PeerUnavailable, check_available, install

_LOOPS = 4
RIVALS = (OURS, SLURM, SLURM_TUNED)


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--install", action="store_true", help="install Debian's packages first, as root")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=300, help="tasks of the array")
    parser.add_argument("--submissions", type=int, default=200, help="jobs of the sbatch loops")
    parser.add_argument("--only", choices=("run", "submit", "kill"), action="append")
    options = parser.parse_args()
    try:
        if options.install:
            install()
        check_available()
    except PeerUnavailable as unavailable:
        sys.exit(f"compare_slurm: {unavailable}")
    parts = options.only or ["run", "submit", "kill"]
    headline(f"ours beside Debian's Slurm; median (least-most) of {options.rounds} rounds in turn")
    if "run" in parts:
        _compare_runs(options.rounds, options.jobs)
    if "submit" in parts:
        _compare_submissions(options.rounds, options.submissions)
    if "kill" in parts:
        _compare_kills(options.rounds)


# --- run


def _compare_runs(rounds: int, jobs: int) -> None:
    arrays: dict[str, list[float]] = {rival.name: [] for rival in RIVALS}
    separate: dict[str, list[float]] = {rival.name: [] for rival in RIVALS}
    for _ in range(rounds):
        for rival in RIVALS:
            with rival.make() as cluster:
                # The first jobs meet cold caches, with either.
                submit_array(cluster, 24)
                wait_drained(cluster)
                arrays[rival.name].append(_run_array(cluster, jobs))
                separate[rival.name].append(_run_separate(rival, cluster, jobs))
    print_table((f"an array of {jobs} x true, end to end", "jobs/s", "ours is"), _with_ratios(arrays))
    print_table((f"{_LOOPS} loops of sbatch, {jobs} x true, end to end", "jobs/s", "ours is"), _with_ratios(separate))


def _run_array(cluster: Cluster, jobs: int) -> float:
    began_at = time.monotonic()
    submit_array(cluster, jobs)
    return jobs / (wait_drained(cluster) - began_at)


def _run_separate(rival: Rival, cluster: Cluster, jobs: int) -> float:
    began_at = time.monotonic()
    for process, _ in start_loops(rival, cluster, _LOOPS, jobs // _LOOPS, is_held=False):
        process.wait()
    return jobs / (wait_drained(cluster) - began_at)


def _with_ratios(rates: dict[str, list[float]]) -> list[tuple[str, str, str]]:
    ours = rates[OURS.name]
    return [
        (name, spread(values, 1), f"{statistics.median(a / b for a, b in zip(ours, values, strict=True)):.2f} x")
        for name, values in rates.items()
    ]


# --- submit


def _compare_submissions(rounds: int, jobs: int) -> None:
    rates: dict[str, list[float]] = {rival.name: [] for rival in RIVALS}
    python: dict[str, list[float]] = {}
    for _ in range(rounds):
        for rival in RIVALS:
            with rival.make() as cluster:
                rates[rival.name].append(_submit_by_loops(rival, cluster, jobs))
        for mode, clients, window in (("single", 1, 1), ("single", 4, 1), ("pipelined", 4, 50), ("batch", 1, 100)):
            name = f"{clients} Python {'clients' if clients > 1 else 'client'}, {mode} {window}"
            python.setdefault(name, []).append(_submit_by_python(clients, mode, window))
    print_table((f"{_LOOPS} loops of sbatch, {jobs} held jobs", "jobs/s", "ours is"), _with_ratios(rates))
    rows = [
        (name, spread(values), f"{statistics.median(values) / statistics.median(rates[SLURM.name]):.1f} x")
        for name, values in python.items()
    ]
    print_table(("ours by Python connections, 2,000 jobs", "jobs/s", "Slurm's sbatch loops"), rows)


def _submit_by_loops(rival: Rival, cluster: Cluster, jobs: int) -> float:
    began_at = time.monotonic()
    loops = start_loops(rival, cluster, _LOOPS, jobs // _LOOPS)
    for process, _ in loops:
        process.wait()
    elapsed_s = time.monotonic() - began_at
    return len(read_ids([path for _, path in loops])) / elapsed_s


def _submit_by_python(clients: int, mode: str, window: int, jobs: int = 2000) -> float:
    """Accepted and durable a second, with the nodes running what they can meanwhile left out: all jobs are held."""
    with BenchCluster(3, 8) as cluster:
        told = collect(start_clients(cluster.socket, jobs, clients, mode, window, is_held=True))
        began_at: float = min(client["began_s"] for client in told)
        ended_at: float = max(client["ended_s"] for client in told)
        return jobs / (ended_at - began_at)


# --- kill


def _compare_kills(rounds: int, jobs: int = 1000) -> None:
    rng = random.Random(7)
    rows = []
    for rival in (OURS, SLURM):
        results = [_kill(rival, jobs, rng) for _ in range(rounds)]
        told, lost, twice = zip(*results, strict=True)
        rows.append((rival.name, spread(told), spread(lost), spread(twice)))
    print_table(("killed while 4 clients submit", "acknowledged", "of these lost", "ids told twice"), rows)


def _kill(rival: Rival, jobs: int, rng: random.Random) -> tuple[int, int, int]:
    """Kill the controller once between a fifth and four fifths of the way, start it again, let the clients finish."""
    with rival.make() as cluster:
        loops = start_loops(rival, cluster, _LOOPS, jobs // _LOOPS)
        paths = [path for _, path in loops]
        kill_after = int(jobs * rng.uniform(0.2, 0.8))
        while len(read_ids(paths)) < kill_after and any(process.poll() is None for process, _ in loops):
            time.sleep(0.02)
        cluster.kill_controller()
        cluster.start_controller()
        for process, _ in loops:
            process.wait()
        told = read_ids(paths)
        # Two submissions that were told the same id are one job: the earlier one is lost.
        lost = len(told) - len(set(told) & known_ids(cluster))
        return len(told), lost, sum(count - 1 for count in Counter(told).values())


if __name__ == "__main__":
    main()
