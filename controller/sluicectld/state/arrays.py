"""Job arrays: one record for all tasks that have not started; a task becomes a job of its own when it starts.

The task that is split off last takes the array's base id.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sluice import array_spec
from sluice.model.job import Job, PendingArray
from sluice.model.request import Dependency

from .dependencies import Verdict, judge

if TYPE_CHECKING:
    from .cluster import Cluster


def has_pending(base: Job, task_id: int) -> bool:
    """Is the task among those that have not started?"""
    return base.pending_array is not None and array_spec.contains(base.pending_array.ranges, task_id)


def split(base: Job, task_id: int, new_id: int) -> tuple[Job, Job | None]:
    """Return (the task as a job of its own, what is left of the array or None when it was the last)."""
    assert has_pending(base, task_id), f"job {base.id} has no pending task {task_id}"
    assert base.pending_array is not None
    left = array_spec.remove_index(base.pending_array.ranges, task_id)
    assert (new_id == base.id) == (not left), f"job {base.id}: task {task_id} as {new_id} with {len(left)} ranges left"
    task = replace(base, id=new_id, array_job_id=base.id, array_task_id=task_id, pending_array=None)
    if not left:
        return task, None
    return task, replace(base, pending_array=PendingArray(ranges=left, throttle=base.pending_array.throttle))


def split_part(base: Job, ranges: array_spec.Ranges, new_id: int) -> tuple[Job, Job]:
    """Return (some pending tasks as one record of their own, what is left): never all of them."""
    assert base.pending_array is not None, f"job {base.id} has no pending tasks"
    left = array_spec.remove(base.pending_array.ranges, ranges)
    assert left, f"job {base.id}: splitting off all of its tasks"
    part = replace(base, id=new_id, array_job_id=base.id, pending_array=PendingArray(ranges=ranges))
    return part, replace(base, pending_array=PendingArray(ranges=left, throttle=base.pending_array.throttle))


def is_last(base: Job) -> bool:
    """Is only one task left to split off?"""
    return base.pending_array is not None and array_spec.count(base.pending_array.ranges) == 1


def ready_part(base: Job, cluster: "Cluster") -> Job | None:
    """Return the array with only the tasks whose counterparts (aftercorr) succeeded; None: there is none."""
    assert base.pending_array is not None
    ready = base.pending_array.ranges
    for term in base.dependency.terms:
        other = cluster.tasks.get(term.job_id, {})
        done = [index for index in other if judge(term, cluster.outcome(term.job_id, index), 0.0) is Verdict.HOLDS]
        ready = array_spec.intersect(ready, array_spec.from_indices(sorted(done)))
    if not ready:
        return None
    return replace(
        base, pending_array=PendingArray(ranges=ready, throttle=base.pending_array.throttle), dependency=Dependency()
    )
