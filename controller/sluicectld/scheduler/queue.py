"""Which jobs are considered, in which order: partition tier, then priority, then the order of submission.

A job that asks for several partitions stands in the queue once for each, with its priority there.  Whether it fits is
not asked here.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.partition import Partition

from .lineup import Lineup, by_arrival, by_priority
from .priority import compute_context, compute_priorities, is_lasting
from .snapshot import Policy, Snapshot
from .standing import Entry


class Queue(msgspec.Struct, frozen=True):
    """entries: every job in each of its partitions, first to be considered first.  orphans: jobs without a partition.

    priorities: by job id, those of the first partition that a job asks for or of the one that it runs in; empty where
    jobs keep the one they have.
    """

    entries: list[Entry]
    orphans: list[Job]
    priorities: dict[int, int] = {}


def make_lineup(policy: Policy) -> Lineup:
    """Return what puts the jobs of one queue after the other in order under this policy."""
    return Lineup(by_priority if is_lasting(policy) else by_arrival)


def rank(snapshot: Snapshot, policy: Policy, lineup: Lineup | None = None) -> Queue:
    """Return the queue.  lineup: of earlier queues under this policy; it makes it faster, never different."""
    entries, orphans = (lineup or make_lineup(policy)).enter(snapshot.pending, snapshot.partitions)
    if is_lasting(policy):
        return Queue(entries, orphans)
    policy.memo.make_room(len(entries))
    numbers = _number(entries, snapshot, policy)
    order = sorted(range(len(entries)), key=numbers.__getitem__, reverse=True)
    # Of several entries of a job the first one counts: it comes last here.
    ids = [job.id for job, _ in entries]
    priorities = dict(zip(reversed(ids), reversed(numbers), strict=True))
    if snapshot.renumbered:
        priorities |= _number_started(snapshot, policy)
    return Queue(_by_tier([entries[place] for place in order], snapshot.partitions), orphans, priorities)


def cut(queue: Queue, policy: Policy, job_id: int) -> Queue:
    """Return the queue as far as it matters to the job: to its last turn, if the order is a fixed one."""
    if not has_fixed_order(policy):
        return queue
    last = max((place for place, (job, _) in enumerate(queue.entries) if job.id == job_id), default=None)
    return queue if last is None else replace(queue, entries=queue.entries[: last + 1])


def has_fixed_order(policy: Policy) -> bool:
    """Is every job considered at its place in the queue?"""
    return not (policy.is_shortest_first or policy.is_predicting)


def find_turn(queue: Queue, job_id: int) -> int:
    """Return how many turns come before the job's first one."""
    entries = queue.entries
    return next((place for place, (job, _) in enumerate(entries) if job.id == job_id), len(entries))


def rank_jobs(snapshot: Snapshot, policy: Policy) -> Sequence[Job]:
    """Return each job once, in the order of the queue."""
    queue = rank(snapshot, policy)
    return [*{job.id: job for job, _ in reversed(queue.entries)}.values()][::-1] + queue.orphans


def _number(entries: Sequence[Entry], snapshot: Snapshot, policy: Policy) -> list[int]:
    context = compute_context(policy, snapshot.priority_tables, snapshot.partitions.values(), snapshot.now_at)
    return compute_priorities(entries, policy, context, snapshot.priorities)


def _number_started(snapshot: Snapshot, policy: Policy) -> dict[int, int]:
    partitions = snapshot.partitions
    entries = [(job, partitions[job.partition]) for job in snapshot.renumbered if job.partition in partitions]
    numbers = _number(entries, snapshot, policy)
    return {job.id: number for (job, _), number in zip(entries, numbers, strict=True)}


def _by_tier(entries: list[Entry], partitions: dict[str, Partition]) -> list[Entry]:
    if len({partition.priority_tier for partition in partitions.values()}) > 1:
        entries.sort(key=lambda entry: -entry[1].priority_tier)
    return entries
