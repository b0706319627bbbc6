"""What it costs to ask a level how many tasks of a request it holds: the inner loop of a pass.

A plain request (CPUs and memory) has to cost about a microsecond a level; the others are for comparison.

    python -m bench.offer
"""

from __future__ import annotations

import time

from sluice.model.node import GresPlace, Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest, JobSpec
from sluice.model.states import NodeState
from sluicectld.scheduler.layout import compute_idle
from sluicectld.scheduler.levels import Level, LevelTable, Take
from sluicectld.scheduler.needs import Needs, compute_needs
from sluicectld.scheduler.offer import compute_take, count_tasks
from sluicectld.scheduler.snapshot import Policy

LEVELS = 64
ROUNDS = 200
GPUS = (GresRequest(name="gpu", count=8),)
NEAR = (GresPlace(name="gpu", count=4, cores="0-31"), GresPlace(name="gpu", count=4, cores="32-63"))
REQUESTS: dict[str, dict[str, object]] = {
    "CPUs and memory a node": {"ntasks": 4, "memory_per_node_mib": 100},
    "CPUs and memory a CPU": {"ntasks": 4, "cpus_per_task": 2, "memory_per_cpu_mib": 100},
    "a GPU a node": {"ntasks": 1, "gres_per_node": (GresRequest(name="gpu", count=1),), "memory_per_node_mib": 100},
    "a GPU a task": {"ntasks": 8, "gres_per_task": (GresRequest(name="gpu", count=1),), "memory_per_cpu_mib": 10},
    "whole nodes": {"ntasks": 4, "exclusive": "node", "memory_per_node_mib": 100},
}


def main() -> None:
    print(f"{'request':<24} {'by counts':>12} {'by numbers':>12}")
    for name, fields in REQUESTS.items():
        needs = make_needs(**fields)
        times = [measure_us(make_levels(places), needs) for places in ((), NEAR)]
        print(f"{name:<24} {times[0]:>9.2f} us {times[1]:>9.2f} us")


def measure_us(levels: list[Level], needs: Needs) -> float:
    """Return microseconds a level, the best of three."""
    best_s = float("inf")
    for _ in range(3):
        began_s = time.perf_counter()
        for _ in range(ROUNDS):
            for level in levels:
                count_tasks(level, needs)
        best_s = min(best_s, time.perf_counter() - began_s)
    return best_s / ROUNDS / len(levels) * 1e6


def make_levels(places: tuple[GresPlace, ...]) -> list[Level]:
    """Return the levels of a node of 64 cores and 8 GPUs as jobs of one core fill it."""
    node = Node(
        name="n1",
        cpus=64,
        sockets=2,
        cores_per_socket=32,
        memory_mib=256_000,
        gres=GPUS,
        gres_places=places,
        state=NodeState.UP,
    )
    table = LevelTable(Policy())
    level = table.idle(table.kind(compute_idle(node), frozenset({"batch"})))
    one_core = make_needs(ntasks=1, memory_per_node_mib=1000)
    levels = []
    for _ in range(LEVELS - 1):
        levels.append(level)
        take: Take = compute_take(level, one_core, 1)
        level = table.take(level, take)
    return levels


def make_needs(**fields: object) -> Needs:
    spec = JobSpec(name="job", uid=1000, gid=1000, user="ann", given=frozenset({"ntasks"}), **fields)  # type: ignore[arg-type]
    return compute_needs(spec, Partition(name="batch", nodes=("n1",)), Policy())


if __name__ == "__main__":
    main()
