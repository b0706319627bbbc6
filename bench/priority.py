"""Ranking 100,000 pending jobs: how long a pass takes to put its queue in order.

The jobs are of many users, accounts, sizes and limits; every factor has a weight and every table is filled.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from bench.machine import headline, print_table, spread
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.priority import PrioritySetup, PriorityTables
from sluice.model.request import JobSpec
from sluice_plugins.registry import prepare_priority
from sluicectld.fairshare.factors import FairShareRules, compute_fair_shares
from sluicectld.fairshare.tree import Association
from sluicectld.scheduler.queue import rank
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.scheduler.totals import compute_totals

_NOW_AT = 1_800_000_000.0
_NODES = 1000
_CPUS = 64
_USERS = 500
_ACCOUNTS = 50
_SIZES = 50
_SETUP = PrioritySetup(
    weights={"age": 1000, "assoc": 100, "fairshare": 10_000, "jobsize": 1000, "partition": 1000, "qos": 2000},
    tres_weights={"cpu": 1000.0, "mem": 2000.0},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    headline(f"ranking {options.jobs} pending jobs; median (least-most) of {options.rounds}")
    rows: list[tuple[str, ...]] = []
    for sizes, label in (
        (_SIZES, f"every factor, {_SIZES} sizes of jobs"),
        (options.jobs, "every job of its own size"),
    ):
        snapshot, policy = _make(options.jobs, sizes)
        gc.collect()
        gc.freeze()
        rows.append((f"{label}, first pass", *_timed(1, partial(rank, snapshot, policy))))
        rows.append((f"{label}, later passes", *_timed(options.rounds, partial(rank, snapshot, policy))))
    plain = replace(policy, priority_rule=None)
    rows.append(("order of arrival", *_timed(options.rounds, partial(rank, snapshot, plain))))
    associations = _associations()
    factors = partial(compute_fair_shares, associations, FairShareRules())
    rows.append((f"Fair Tree of {_USERS} users", *_timed(options.rounds, factors)))
    print_table(("what", "ms", "CPU ms"), rows)


def _timed(rounds: int, work: Callable[[], object]) -> tuple[str, str]:
    times_ms, used_ms = [], []
    for _ in range(rounds):
        began_s, used_s = time.perf_counter(), time.process_time()
        work()
        times_ms.append((time.perf_counter() - began_s) * 1000)
        used_ms.append((time.process_time() - used_s) * 1000)
    return spread(times_ms, 1), spread(used_ms, 1)


def _make(jobs: int, sizes: int) -> tuple[Snapshot, Policy]:
    rng = random.Random(1)
    nodes = [Node(name=f"n{number}", cpus=_CPUS, memory_mib=256_000) for number in range(_NODES)]
    names = tuple(node.name for node in nodes)
    partitions = [Partition(name=f"p{number}", nodes=names, priority_job_factor=number + 1) for number in range(4)]
    tables = PriorityTables(
        fair_shares={each: rng.random() for each in _keys()},
        association_priorities={each: rng.randrange(100) for each in _keys()},
        qos_priorities={"normal": 10, "high": 100},
    )
    pending = tuple(_job(number, rng, sizes) for number in range(1, jobs + 1))
    policy = Policy(
        priority=_SETUP,
        priority_rule=prepare_priority(_SETUP),
        totals=compute_totals(nodes, partitions, {}),
        default_memory_per_cpu_mib=4000,
    )
    by_name = {each.name: each for each in partitions}
    return Snapshot(1, _NOW_AT, (), by_name, pending, priority_tables=tables), policy


def _job(number: int, rng: random.Random, sizes: int) -> Job:
    user = rng.randrange(_USERS)
    size = rng.randrange(sizes)
    spec = JobSpec(
        name=f"job-{number % 100}",
        uid=1000 + user,
        gid=1000,
        user=f"user{user}",
        account=f"account{user % _ACCOUNTS}",
        qos="high" if user % 10 == 0 else "normal",
        partitions=(f"p{user % 4}",),
        ntasks=1 + size % 997,
        memory_per_cpu_mib=1000 + size // 997,
        given=frozenset({"ntasks"}),
    )
    waited_s = rng.uniform(0, 10 * 86400)
    return Job(
        id=number,
        spec=spec,
        partition=spec.partitions[0],
        limit_s=3600 * (1 + size % 24),
        eligible_at=_NOW_AT - waited_s,
    )


def _keys() -> list[tuple[str, str, str]]:
    return [(f"account{user % _ACCOUNTS}", f"user{user}", "") for user in range(_USERS)]


def _associations() -> list[Association]:
    rng = random.Random(2)
    accounts = [Association(account=f"account{number}", shares=rng.randint(1, 100)) for number in range(_ACCOUNTS)]
    users = [Association(account=account, user=user, usage=rng.uniform(0, 1e6)) for account, user, _ in _keys()]
    return [*accounts, *users]


if __name__ == "__main__":
    main()
