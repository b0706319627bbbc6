"""Job arrays: one record for all tasks that have not started; a task becomes a job of its own when it starts.

The task that is split off last takes the array's base id.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sluice import array_spec
from sluice.model.job import Job, PendingArray
from sluice.model.request import Dependency, DependencyTerm

from .dependencies import Verdict, judge

if TYPE_CHECKING:
    from .cluster import Cluster


def has_pending(base: Job, task_id: int) -> bool:
    """Is the task among those that have not started?"""
    return base.pending_array is not None and array_spec.contains(base.pending_array.ranges, task_id)


def name_of(job: Job) -> str:
    """Return what the user calls the job: 12, 12_3 or 12_[4-9]."""
    ranges = ranges_of(job)
    return name_of_tasks(job.array_job_id, ranges) if ranges else str(job.id)


def ranges_of(job: Job) -> array_spec.Ranges:
    """Return which tasks of its array the record stands for; () for a job of no array."""
    if job.array_task_id is not None:
        return ((job.array_task_id, job.array_task_id, 1),)
    return job.pending_array.ranges if job.pending_array is not None else ()


def name_of_tasks(array_id: int, ranges: array_spec.Ranges) -> str:
    """Return what the user calls these tasks of an array."""
    if array_spec.count(ranges) == 1:
        return f"{array_id}_{ranges[0][0]}"
    return f"{array_id}_[{array_spec.format_ranges(ranges)}]"


def split(base: Job, task_id: int, new_id: int) -> tuple[Job, Job | None]:
    """Return (the task as a job of its own, what is left of the array or None when it was the last)."""
    assert has_pending(base, task_id), f"job {base.id} has no pending task {task_id}"
    assert base.pending_array is not None
    left = array_spec.remove_index(base.pending_array.ranges, task_id)
    assert (new_id == base.id) == (not left), f"job {base.id}: task {task_id} as {new_id} with {len(left)} ranges left"
    task = replace(base, id=new_id, array_task_id=task_id, pending_array=None)
    if not left:
        return task, None
    return task, replace(base, pending_array=PendingArray(ranges=left, throttle=base.pending_array.throttle))


def split_part(base: Job, ranges: array_spec.Ranges, new_id: int) -> tuple[Job, Job]:
    """Return (some pending tasks as one record of their own, what is left): never all of them."""
    assert base.pending_array is not None, f"job {base.id} has no pending tasks"
    left = array_spec.remove(base.pending_array.ranges, ranges)
    assert left, f"job {base.id}: splitting off all of its tasks"
    part = replace(base, id=new_id, pending_array=PendingArray(ranges=ranges))
    return part, replace(base, pending_array=PendingArray(ranges=left, throttle=base.pending_array.throttle))


def is_last(base: Job) -> bool:
    """Is only one task left to split off?"""
    return base.pending_array is not None and array_spec.count(base.pending_array.ranges) == 1


def ready_part(base: Job, cluster: "Cluster") -> Job | None:
    """Return the array with only the tasks whose counterparts (aftercorr) succeeded; None: there is none."""
    assert base.pending_array is not None
    ready = ready_tasks(base, cluster)
    if not ready:
        return None
    return replace(
        base, pending_array=PendingArray(ranges=ready, throttle=base.pending_array.throttle), dependency=Dependency()
    )


def ready_tasks(base: Job, cluster: "Cluster") -> array_spec.Ranges:
    """Return the pending tasks of an array whose counterparts in other arrays (aftercorr) succeeded."""
    assert base.pending_array is not None
    wanted = base.pending_array.ranges
    parts = [_tasks_after(term, wanted, cluster) for term in base.dependency.terms]
    if base.dependency.is_any:
        return array_spec.union(*parts)
    ready = wanted
    for part in parts:
        ready = array_spec.intersect(ready, part)
    return ready


def _tasks_after(term: DependencyTerm, wanted: array_spec.Ranges, cluster: "Cluster") -> array_spec.Ranges:
    others = cluster.tasks.get(term.job_id)
    if others is None:
        # Not an array, or none of its tasks has started: what holds for all of it holds for each task.
        return wanted if judge(term, cluster.outcome(term.job_id), 0.0) is Verdict.HOLDS else ()
    done = [index for index in others if judge(term, cluster.outcome(term.job_id, index), 0.0) is Verdict.HOLDS]
    return array_spec.intersect(wanted, array_spec.from_indices(done))
