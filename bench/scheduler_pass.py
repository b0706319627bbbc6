"""One scheduling pass over a large cluster and a long queue: how long it takes, cold and with a memory.

200 request shapes, 20 kinds of nodes in four partitions, 60 % of the CPUs busy.  Everything is made from a seed.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
import tracemalloc

import msgspec

from bench.machine import headline, print_table
from sluice import cpuset
from sluice.model.allocation import Allocation, GresGrant, NodeGrant
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest, JobSpec
from sluice.model.states import NodeState
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.snapshot import GresFree, NodeFree, Policy, RunningJob, Snapshot
from sluicectld.state.sharing import Sharing

_NOW_AT = 1_000_000.0
_BUSY = 0.6
_SHAPES = 200
_LIMITS_S = (600, 1800, 3600, 7200, 14400, 43200, 86400)
_PARTITIONS = ("short", "batch", "long", "gpu")


def main() -> None:
    # As the controller does: what lives long is not looked at again.
    gc.set_threshold(100_000, 20, 100)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    headline(f"a pass over {options.jobs} pending jobs; seconds (of CPU), medians of {options.rounds}")
    titles = ("nodes", "running", "cold", "warm", "warm, 100 nodes changed", "starts", "planned")
    titles += ("KiB a job", "KiB, requests repeat")
    print_table(titles, [_measure(nodes, options.jobs, options.rounds) for nodes in options.nodes])


def _measure(nodes: int, jobs: int, rounds: int) -> tuple[object, ...]:
    weights = [_weigh(jobs, has_names) for has_names in (True, False)]
    pending = make_queue(jobs)
    snapshot = make_snapshot(nodes, pending)
    cold, warm, changed = [], [], []
    policy = Policy()
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        memory = Memory()
        cold.append(_time(snapshot, policy, memory))
        warm.append(_time(snapshot, policy, memory))
        changed.append(_time(_change(snapshot, 100), policy, memory))
    plan = decide(snapshot, policy)
    figures = [_median(each) for each in (cold, warm, changed)]
    return (nodes, len(snapshot.running), *figures, len(plan.starts), len(plan.planned), *weights)


def _weigh(jobs: int, has_names: bool) -> str:
    """Return the KiB of a pending job."""
    tracemalloc.start()
    pending = make_queue(jobs, has_names)
    kib_a_job = tracemalloc.get_traced_memory()[0] / 1024 / len(pending)
    tracemalloc.stop()
    return f"{kib_a_job:.2f}"


def _median(times: list[tuple[float, float]]) -> str:
    wall, cpu = (statistics.median(each) for each in zip(*times, strict=True))
    return f"{wall:.2f} ({cpu:.2f})"


def _time(snapshot: Snapshot, policy: Policy, memory: Memory) -> tuple[float, float]:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    decide(snapshot, policy, memory=memory)
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


def _change(snapshot: Snapshot, count: int) -> Snapshot:
    """Return a snapshot a second later, with so many idle nodes drained."""
    nodes = list(snapshot.nodes)
    idle = [place for place, free in enumerate(nodes) if not free.job_count][:count]
    for place in idle:
        node = msgspec.structs.replace(nodes[place].node, comment="looked at")
        nodes[place] = msgspec.structs.replace(nodes[place], node=node)
    return msgspec.structs.replace(
        snapshot, nodes=tuple(nodes), now_at=snapshot.now_at + 1, version=snapshot.version + 1
    )


def make_snapshot(nodes: int, pending: tuple[Job, ...]) -> Snapshot:
    """Return a cluster of so many nodes, busy to 60 %, with the queue."""
    rng = random.Random(2)
    free = [_idle(_node(number, number * 20 // nodes)) for number in range(nodes)]
    partitions = _make_partitions([each.node for each in free])
    running: list[RunningJob] = []
    total, sum_busy = sum(each.node.cpus for each in free), 0
    for job_id in range(10_000_000, 20_000_000):
        if sum_busy >= _BUSY * total:
            break
        first, width = rng.randrange(nodes), rng.choice((1, 1, 1, 1, 2, 4, 8))
        cpus = rng.choice((1, 2, 4, 8, 16, 32))
        grants = []
        for place in range(first, min(first + width, nodes)):
            grant = _take(free, place, cpus, rng)
            if grant is not None:
                grants.append(grant)
                sum_busy += grant.cpu_count
        if grants:
            end_at = _NOW_AT + rng.randrange(60, 86400)
            running.append(RunningJob(job_id, "busy", Allocation(grants=tuple(grants)), end_at, 1000, "batch"))
    return Snapshot(1, _NOW_AT, tuple(free), partitions, pending, tuple(running))


def _node(number: int, kind: int) -> Node:
    cpus = (16, 32, 64, 128, 48)[kind % 5]
    gpus = 4 if kind % 5 == 4 else 0
    return Node(
        name=f"n{number:06d}",
        index=number,
        cpus=cpus,
        sockets=2,
        cores_per_socket=cpus // 2,
        memory_mib=cpus * (2048, 4096, 8192, 16384)[kind // 5],
        features=(f"gen{kind // 5}", "ib" if kind % 2 else "eth"),
        gres=(GresRequest(name="gpu", type="a100", count=gpus),) if gpus else (),
        state=NodeState.UP,
    )


def _idle(node: Node) -> NodeFree:
    gres = tuple(GresFree(item.name, item.type, (1 << item.count) - 1, (1 << item.count) - 1) for item in node.gres)
    return NodeFree(node, (1 << node.cpus) - 1, node.memory_mib, gres)


def _take(free: list[NodeFree], place: int, cpus: int, rng: random.Random) -> NodeGrant | None:
    here = free[place]
    memory_mib = cpus * 1024
    if here.free_cpus.bit_count() < cpus or here.free_memory_mib < memory_mib:
        return None
    mask = cpuset.lowest(here.free_cpus, cpus)
    gres, grants = here.gres, ()
    if gres and gres[0].free and rng.random() < 0.5:
        unit = cpuset.lowest(gres[0].free, 1)
        grants = (GresGrant(name="gpu", type="a100", units=cpuset.format(unit), count=1),)
        gres = (GresFree("gpu", "a100", gres[0].total, gres[0].free ^ unit),)
    free[place] = NodeFree(
        here.node, here.free_cpus ^ mask, here.free_memory_mib - memory_mib, gres, here.job_count + 1, 0, (1000,)
    )
    return NodeGrant(node=here.node.name, cpus=cpuset.format(mask), cpu_count=cpus, memory_mib=memory_mib, gres=grants)


def _make_partitions(nodes: list[Node]) -> dict[str, Partition]:
    names = tuple(node.name for node in nodes)
    with_gpus = tuple(node.name for node in nodes if node.gres)
    third = len(names) // 3
    members = {"short": names, "batch": names[: 2 * third], "long": names[third:], "gpu": with_gpus}
    return {name: Partition(name=name, nodes=members[name], index=index) for index, name in enumerate(_PARTITIONS)}


def make_queue(jobs: int, has_names: bool = True) -> tuple[Job, ...]:
    """Return so many jobs of 200 shapes, in arrival order.  has_names: each has a name of its own."""
    rng = random.Random(3)
    shapes = [_shape(rng) for _ in range(_SHAPES)]
    sharing = Sharing()
    names = (f"job{number}" if has_names else "job" for number in range(1, jobs + 1))
    return tuple(_job(number, name, *shapes[rng.randrange(_SHAPES)], sharing) for number, name in enumerate(names, 1))


def _shape(rng: random.Random) -> tuple[dict[str, object], int]:
    nodes = rng.choice((1, 1, 1, 1, 2, 4, 8, 16, 64, 256))
    cpus = rng.choice((1, 2, 4, 8, 16))
    wants_gpu = rng.random() < 0.15
    fields: dict[str, object] = {
        "min_nodes": nodes,
        "ntasks": nodes * rng.choice((1, 2, 4, 8)),
        "cpus_per_task": cpus,
        "memory_per_cpu_mib": rng.choice((256, 512, 1024, 2048)),
        "features": rng.choice(("", "", "", "gen1", "gen2&ib", "ib")) if not wants_gpu else "",
        "gres_per_node": (GresRequest(name="gpu", type="a100", count=rng.choice((1, 2, 4))),) if wants_gpu else (),
        "partitions": ("gpu",) if wants_gpu else (rng.choice(("short", "batch", "long")),),
        "exclusive": "node" if rng.random() < 0.1 else "",
        "given": frozenset({"ntasks", "nodes"}),
    }
    return fields, rng.choice(_LIMITS_S)


def _job(number: int, name: str, fields: dict[str, object], limit_s: int, sharing: Sharing) -> Job:
    """Return a job as the controller keeps it."""
    spec = msgspec.convert({"name": name, "uid": 1000, "gid": 1000, "user": "bench"} | fields, JobSpec)
    spec = sharing.share(spec)
    partition = spec.partitions[0]
    return Job(
        id=number,
        spec=spec,
        limit_s=limit_s,
        partition=partition,
        priority=4_000_000_000 - number,
        submitted_at=_NOW_AT,
        eligible_at=_NOW_AT,
    )


if __name__ == "__main__":
    main()
