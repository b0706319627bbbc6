"""Which jobs are considered, in which order: partition tier, then priority, then the order of submission.

A job that asks for several partitions stands in the queue once for each.  Whether it fits is not asked here.
"""

import operator
from collections.abc import Sequence

from sluice.model.job import Job
from sluice.model.partition import Partition

from .priority import compute_priority
from .snapshot import Policy, Snapshot

_ID = operator.attrgetter("id")
_PRIORITY = operator.attrgetter("priority")
#: A job in one of its partitions.
Entry = tuple[Job, Partition]


def rank_queue(snapshot: Snapshot, policy: Policy) -> tuple[list[Entry], list[Job]]:
    """Return every job in each of its partitions, first to be considered first, and the jobs without a partition."""
    partitions = snapshot.partitions
    entries: list[Entry] = []
    orphans: list[Job] = []
    for job in rank_jobs(snapshot, policy):
        count = len(entries)
        for name in job.spec.partitions or (job.partition,):
            partition = partitions.get(name)
            if partition is not None:
                entries.append((job, partition))
        if len(entries) == count:
            orphans.append(job)
    if len({partition.priority_tier for partition in partitions.values()}) > 1:
        entries.sort(key=lambda entry: -entry[1].priority_tier)
    return entries, orphans


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


def _priority_now(job: Job, snapshot: Snapshot, policy: Policy, total_nodes: int) -> int:
    partition = snapshot.partitions.get(job.spec.partitions[0] if job.spec.partitions else job.partition)
    return job.priority if partition is None else compute_priority(job, partition, snapshot.now_at, policy, total_nodes)
