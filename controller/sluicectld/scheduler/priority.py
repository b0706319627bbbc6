"""A job's priority as a number: larger goes first.

The number is the configured priority plugin's, less the nice value, and at least 1, as 0 means held.  A priority that
was set by hand stays as it is.  Without a plugin, and with one that numbers by arrival, a job keeps the number of its
submission.

Source: Slurm's documentation of the priority plugins; that the sum is cut off, not rounded, observed of 22.05.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.priority import (
    PRIORITY_LEAST,
    JobPriority,
    PriorityContext,
    PriorityTables,
    compute_arrival_priority,
)
from sluice.model.request import JobSpec

from .snapshot import Policy
from .standing import Entry, compute_candidates


def is_lasting(policy: Policy) -> bool:
    """Does a job keep the priority of its submission?"""
    return policy.priority_rule is None or policy.priority_rule.is_lasting


def compute_context(
    policy: Policy, tables: PriorityTables, partitions: Iterable[Partition], now_at: float
) -> PriorityContext:
    """Return what all jobs are compared with."""
    return PriorityContext(
        now_at=now_at,
        setup=policy.priority,
        tables=tables,
        nodes=policy.totals.nodes,
        cpus=policy.totals.cpus,
        partition_factor_max=max((each.priority_job_factor for each in partitions), default=1),
        association_priority_max=max(tables.association_priorities.values(), default=0),
        qos_priority_max=max(tables.qos_priorities.values(), default=0),
    )


def compute_priority(job: Job, partition: Partition, policy: Policy, context: PriorityContext) -> int:
    """Return the priority in *partition* of a job that is not held."""
    return compute_priorities([(job, partition)], policy, context)[0]


def compute_priorities(
    entries: Sequence[Entry], policy: Policy, context: PriorityContext, floors: Mapping[int, int] | None = None
) -> list[int]:
    """Return the priority of each entry, none of them held.

    floors: by job id, what it had in an earlier pass; with INCR_ONLY no priority falls below that.
    """
    numbers = _number(entries, policy, context)
    priorities = [int(number) if number > PRIORITY_LEAST else PRIORITY_LEAST for number in numbers]
    specs = [job.spec for job, _ in entries]
    for place in [place for place, spec in enumerate(specs) if spec.nice or spec.priority is not None]:
        priorities[place] = _adjusted(specs[place], numbers[place])
    if floors and "INCR_ONLY" in context.setup.flags:
        return [max(number, _floor(job, floors)) for number, (job, _) in zip(priorities, entries, strict=True)]
    return priorities


def explain_priorities(entries: Sequence[Entry], policy: Policy, context: PriorityContext) -> list[JobPriority]:
    """Return the priority of each entry taken apart, as sprio shows it."""
    rule = policy.priority_rule
    if rule is None:
        explained = [_bare(job, partition) for job, partition in entries]
    else:
        explained = rule.explain(compute_candidates(entries, policy), context)
    priorities = compute_priorities(entries, policy, context)
    return [
        replace(_bare(*entry), priority=priority, is_manual=True)
        if entry[0].spec.priority is not None
        else replace(each, priority=priority, nice=entry[0].spec.nice)
        for entry, each, priority in zip(entries, explained, priorities, strict=True)
    ]


def _number(entries: Sequence[Entry], policy: Policy, context: PriorityContext) -> Sequence[float]:
    if policy.priority_rule is None:
        return [compute_arrival_priority(job) for job, _ in entries]
    return policy.priority_rule.compute(compute_candidates(entries, policy), context)


def _adjusted(spec: JobSpec, number: float) -> int:
    """Return the priority of a job with a nice value or with a priority set by hand."""
    return max(int(number) - spec.nice, PRIORITY_LEAST) if spec.priority is None else spec.priority


def _bare(job: Job, partition: Partition) -> JobPriority:
    spec = job.spec
    return JobPriority(
        job_id=job.id, user=spec.user, account=spec.account, qos=spec.qos, partition=partition.name, priority=0
    )


def _floor(job: Job, floors: Mapping[int, int]) -> int:
    return floors.get(job.id, PRIORITY_LEAST) if job.spec.priority is None else 0
