"""How long one explanation takes on a large cluster, with and without the search for changes.

    python -m bench.explain [NODES] [PENDING]

The cluster is busy: each running job has some CPUs of four nodes; the queue has few shapes, as queues do.  Medians of
repeated runs, CPU time of one thread; the last pass's plan is at hand, as it is in the controller, and so is the
questions' memory.  Between two questions, where it says so, a second has passed and a hundred nodes have changed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.states import Hold
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.inquiry import Question, answer
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.builders import Cluster

_REPEATS = 7


class _Desk(msgspec.Struct):
    """Where questions are asked."""

    snapshot: Snapshot
    policy: Policy
    plan: Plan
    memory: Memory

    def ask(self, job: Job, is_searching: bool) -> None:
        answer(Question(self.snapshot, self.policy, self.plan, job, is_searching=is_searching), self.memory)

    def go_on(self) -> None:
        """Let a second pass, and a hundred nodes be other records."""
        snapshot = self.snapshot
        step = max(len(snapshot.nodes) // 100, 1)
        nodes = [replace(free) if not place % step else free for place, free in enumerate(snapshot.nodes)]
        self.snapshot = replace(snapshot, nodes=tuple(nodes), now_at=snapshot.now_at + 1, version=snapshot.version + 1)


def main() -> None:
    """Print the medians."""
    nodes, pending = (int(text) for text in (*sys.argv[1:], "10000", "1000")[:2])
    cluster, held = _busy_cluster(nodes, pending)
    snapshot, policy = cluster.snapshot(), Policy()
    began_s = time.process_time()
    plan = decide(snapshot, policy)
    print(f"{nodes} nodes, {len(snapshot.running)} running and {pending} pending jobs; milliseconds of CPU")
    print(f"  one pass without a memory {(time.process_time() - began_s) * 1000:24.1f}")
    waiting = [job for job in cluster.pending_jobs if job.id in plan.blockers]
    print(f"{'':34} {'cold':>9} {'warm':>9} {'changed':>9}")
    for label, job in (("first that waits", waiting[0]), ("last that waits", waiting[-1]), ("held", held)):
        for is_searching in (False, True):
            took = _measure(_Desk(snapshot, policy, plan, Memory()), job, is_searching)
            words = f"  {label:18} {'with changes' if is_searching else 'brief':13}"
            print(f"{words} {' '.join(f'{each:9.1f}' for each in took)}")


def _measure(desk: _Desk, job: Job, is_searching: bool) -> tuple[float, float, float]:
    """Return the medians without a memory, with one of just this snapshot, and of one a second older."""

    def forget() -> None:
        desk.memory = Memory()

    def work() -> None:
        desk.ask(job, is_searching)

    return _median_ms(work, forget), _median_ms(work), _median_ms(work, desk.go_on)


def _busy_cluster(nodes: int, pending: int) -> tuple[Cluster, Job]:
    """Return the cluster, and a held job that is not in its queue."""
    cluster = Cluster(nodes=nodes, cpus=64, memory_mib=256_000)
    for first in range(1, nodes - 4, 5):
        names = tuple(f"n{first + place}" for place in range(4))
        cluster.running(names, cpus=48, memory_mib=1000, ends_in_s=60.0 * (first % 977 + 1))
    for place in range(pending):
        _submit(cluster, place, nodes)
    held = replace(_submit(cluster, pending, nodes), hold=Hold.USER)
    cluster.pending_jobs.pop()
    return cluster, held


def _submit(cluster: Cluster, place: int, nodes: int) -> Job:
    """Return a new pending job: wide and narrow ones, few shapes."""
    width = (nodes // 10, 64, 8, 1)[place % 4]
    return cluster.pending(nodes=width, ntasks=width * 64, limit_s=3600 * (1 + place % 3), memory_per_node_mib=2000)


def _median_ms(work: Callable[[], None], before: Callable[[], None] | None = None) -> float:
    took = []
    for _ in range(_REPEATS):
        if before is not None:
            before()
        began_s = time.process_time()
        work()
        took.append(time.process_time() - began_s)
    return statistics.median(took) * 1000


if __name__ == "__main__":
    main()
