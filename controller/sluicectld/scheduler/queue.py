"""Which jobs are considered, in which order: partition tier, then priority, then the order of submission.

A job that asks for several partitions stands in the queue once for each.  Whether it fits is not asked here.
"""

import operator
from collections.abc import Sequence

import msgspec

from sluice.model.job import Job
from sluice.model.partition import Partition

from .priority import compute_priority
from .snapshot import Policy, Snapshot

_ID = operator.attrgetter("id")
_PRIORITY = operator.attrgetter("priority")


class Entry(msgspec.Struct, frozen=True):
    """A job in one of its partitions."""

    job: Job
    partition: Partition


def rank_queue(snapshot: Snapshot, policy: Policy) -> list[Entry]:
    """Return every job in each of its known partitions, first to be considered first."""
    jobs = rank_jobs(snapshot, policy)
    partitions = snapshot.partitions
    entries = [Entry(job, partitions[name]) for job in jobs for name in partition_names(job) if name in partitions]
    if len({partition.priority_tier for partition in partitions.values()}) > 1:
        entries.sort(key=lambda entry: -entry.partition.priority_tier)
    return entries


def rank_jobs(snapshot: Snapshot, policy: Policy) -> Sequence[Job]:
    """Return the jobs by priority; equal ones by the order of submission."""
    jobs = sorted(snapshot.pending, key=_ID)
    if any(policy.priority_weights.values()):
        total = len(snapshot.nodes)
        ranked = [(-_priority_now(job, snapshot, policy, total), place, job) for place, job in enumerate(jobs)]
        return [job for _, _, job in sorted(ranked)]
    # Each sort keeps the order of equal jobs and is linear on what is sorted already, as it mostly is.
    jobs.sort(key=_PRIORITY, reverse=True)
    return jobs


def partition_names(job: Job) -> tuple[str, ...]:
    """Return the partitions that the job asks for, in its order."""
    return job.spec.partitions or (job.partition,)


def _priority_now(job: Job, snapshot: Snapshot, policy: Policy, total_nodes: int) -> int:
    partition = snapshot.partitions.get(partition_names(job)[0])
    return job.priority if partition is None else compute_priority(job, partition, snapshot.now_at, policy, total_nodes)
