"""Jobs a second from submission to end, with 1,000 emulated nodes: one controller, one process of agents, N clients.

The jobs are timers that end at once, so the figures are the controller's.  Everything is durable as by default; after
each round the database on the disk is asked whether it has every job as completed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.clients import Flow, run_load
from bench.cluster import BenchCluster, exit_on_sigterm
from bench.machine import headline, percentile, print_table, spread
from bench.shares import Sampler, find_py_spy

#: (mode, clients, window)
LOADS = (("single", 4, 1), ("pipelined", 2, 100), ("pipelined", 4, 250), ("batch", 2, 100), ("batch", 4, 500))


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-shares", action="store_true", help="leave out the sampled run")
    options = parser.parse_args()
    headline(f"{options.jobs} jobs on {options.nodes} emulated nodes, durable; median (least-most) of {options.rounds}")
    measured: dict[tuple[str, int, int], list[Flow]] = {load: [] for load in LOADS}
    for _ in range(options.rounds):
        for load in LOADS:
            measured[load].append(_round(options.nodes, options.jobs, load))
    _print_rates(measured)
    _print_costs(measured)
    if not options.no_shares:
        _print_shares(options.nodes, options.jobs)


def _round(nodes: int, jobs: int, load: tuple[str, int, int]) -> Flow:
    mode, clients, window = load
    # One at a time is slow, and says the same with fewer.
    jobs = jobs // 5 if mode == "single" else jobs
    with BenchCluster(nodes, 8, is_emulated=True) as cluster:
        flow = run_load(cluster, jobs, clients, mode, window)
        _check(cluster, jobs)
        return flow


def _check(cluster: BenchCluster, jobs: int) -> None:
    found = cluster.sql("SELECT state, count(*) FROM job GROUP BY state")
    if found != [("COMPLETED", jobs)]:
        sys.exit(f"the database has {found}, not {jobs} completed jobs")


def _print_rates(measured: dict[tuple[str, int, int], list[Flow]]) -> None:
    print_table(
        ("load", "accepted/s", "started/s", "finished/s", "latency p50 ms", "p99 ms"),
        (
            (
                _name(load),
                spread([flow.rate(flow.accepted_s) for flow in flows]),
                spread([flow.rate(flow.started_s) for flow in flows]),
                spread([flow.rate(flow.finished_s) for flow in flows]),
                spread([percentile(flow.latencies_s, 50) * 1000 for flow in flows], 1),
                spread([percentile(flow.latencies_s, 99) * 1000 for flow in flows], 1),
            )
            for load, flows in measured.items()
        ),
    )


def _print_costs(measured: dict[tuple[str, int, int], list[Flow]]) -> None:
    """What the controller counts itself: wall seconds inside passes and transactions, CPU of the whole process."""
    print_table(
        (
            "load",
            "controller CPU ms/job",
            "transactions ms/job",
            "of it COMMIT",
            "passes ms/job",
            "jobs/commit",
            "jobs/pass",
        ),
        (
            (
                _name(load),
                spread([_per_job(flow, "cpu_s") for flow in flows], 2),
                spread([_per_job(flow, "transaction_s") for flow in flows], 2),
                spread([_per_job(flow, "commit_s") for flow in flows], 2),
                spread([_per_job(flow, "pass_total_s") for flow in flows], 2),
                spread([flow.jobs / flow.counted("commits") for flow in flows]),
                spread([flow.jobs / flow.counted("passes") for flow in flows]),
            )
            for load, flows in measured.items()
        ),
    )


def _per_job(flow: Flow, counter: str) -> float:
    return flow.counted(counter) * 1000 / flow.jobs


def _name(load: tuple[str, int, int]) -> str:
    mode, clients, window = load
    return f"{clients} clients, {mode}" + (f" {window}" if window > 1 else "")


def _print_shares(nodes: int, jobs: int) -> None:
    if find_py_spy() is None:
        print("shares: no py-spy in PATH (pip install py-spy), left out")
        return
    mode, clients, window = LOADS[2]
    with BenchCluster(nodes, 8, is_emulated=True) as cluster:
        sampler = Sampler(cluster.controller.pid, cluster.folder / "samples.txt")
        with sampler:
            run_load(cluster, jobs, clients, mode, window)
        shares = sampler.shares()
        keep = Path("/tmp/sluice-bench-samples.txt")
        keep.write_text((cluster.folder / "samples.txt").read_text())
    print(f"share of the controller's busy time, {_name(LOADS[2])} (samples in {keep})")
    print_table(("part", "share"), ((part, f"{100 * share:.0f} %") for part, share in shares))


if __name__ == "__main__":
    main()
