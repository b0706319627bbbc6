"""What controller and agent cost while nothing happens: CPU over a while, memory at its end."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bench.cluster import BenchCluster, exit_on_sigterm
from bench.machine import ProcessUse, headline, print_table


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    headline(f"idle for {options.seconds:.0f} s, three real nodes; then with 1,000 emulated ones")
    rows = []
    with BenchCluster(3, 8) as cluster:
        pids = {"controller, 3 nodes": cluster.controller.pid}
        for number, agent in enumerate(cluster.agents, 1):
            pids[f"agent n{number}"] = agent.pid
            pids |= {f"agent n{number}: fork server": child for child in _children(agent.pid)}
        rows += _measure(pids, options.seconds)
    with BenchCluster(1000, 8, is_emulated=True) as cluster:
        rows += _measure({"controller, 1,000 nodes": cluster.controller.pid}, options.seconds)
    print_table(("process", "CPU % of a core", "RSS MiB", "PSS MiB", "threads"), rows)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _measure(pids: dict[str, int], seconds: float) -> list[tuple[str, ...]]:
    # What start-up left to do is not idling.
    time.sleep(2.0)
    uses = {name: ProcessUse(pid) for name, pid in pids.items()}
    before = {name: use.cpu_s() for name, use in uses.items()}
    began_s = time.monotonic()
    time.sleep(seconds)
    elapsed_s = time.monotonic() - began_s
    rows: list[tuple[str, ...]] = []
    for name, use in uses.items():
        rss, pss = use.memory_mib()
        threads = len(list(Path(f"/proc/{pids[name]}/task").iterdir()))
        cpu = 100 * (use.cpu_s() - before[name]) / elapsed_s
        rows.append((name, f"{cpu:.2f}", f"{rss:.1f}", f"{pss:.1f}", str(threads)))
    return rows


if __name__ == "__main__":
    main()
