"""Promises: planned starts that outlive their pass and only ever move earlier (conservative backfill).

A pass begins with what was promised before, reserved again on the timeline; then each waiting job in the order of the
queue is taken out and put back at its earliest fit, beside the promises of all others.  A promise that can't be kept,
because a node of it is gone or a job outlives its limit there, is no longer there: its job is planned anew at its turn.

Invariant: promises are restored in the order in which they were made, whether or not a memory has them still.
"""

from collections.abc import Iterable, Iterator

from .backfill import Slot, release, reserve
from .memory import Scene, find_shape
from .plan import PlannedStart
from .search import Part, find_at
from .shapes import Shape
from .snapshot import Policy, Snapshot
from .tracks import NEVER

#: A planned start and the shape that it was made for.
Promise = tuple[Slot, Shape]


def restore_promises(
    scene: Scene, snapshot: Snapshot, policy: Policy, is_user_sensitive: bool = False
) -> dict[int, Promise]:
    """Return the promises of the jobs that still wait, by job id, reserved on the timeline."""
    if scene.promised is snapshot.promised and not scene.timeline.is_disturbed:
        kept: dict[int, Promise] = scene.promises
        waiting = {job.id for job in snapshot.pending}
        for job_id in [job_id for job_id in kept if job_id not in waiting]:
            slot, shape = kept.pop(job_id)
            release(job_id, slot, shape, scene.timeline)
        return kept
    forget_promises(scene)
    jobs = {job.id: job for job in snapshot.pending}
    restored: dict[int, Promise] = {}
    for job_id, promised in snapshot.promised.items():
        job, partition = jobs.get(job_id), snapshot.partitions.get(promised.partition)
        if job is None or partition is None:
            continue
        shape = find_shape(scene, job, partition, policy, job.spec.uid if is_user_sensitive else None)
        found = restore_promise(scene, shape, promised)
        if found is not None:
            reserve(job_id, *found, scene.timeline)
            restored[job_id] = found
    return restored


def keep_promises(scene: Scene, promises: dict[int, Promise], planned: dict[int, PlannedStart]) -> None:
    """Leave the promises on the timeline for the next pass.  planned: as that pass will be given them."""
    scene.promises, scene.promised = promises, planned


def forget_promises(scene: Scene) -> None:
    """Take all promises out of the timeline."""
    for job_id, promise in scene.promises.items():
        slot, shape = promise
        release(job_id, slot, shape, scene.timeline)
    scene.promises, scene.promised = {}, None


def restore_promise(scene: Scene, shape: Shape, promised: PlannedStart) -> Promise | None:
    """Return the promise as it was, None when it can't be kept."""
    at = max(promised.at, scene.timeline.now_at)
    if shape.is_level_dependent:
        # Which units it would take depends on what is there: nodes are looked for anew, at the same moment.
        parts = find_at(shape, scene.working, scene.timeline, at)
        return None if parts is None else (Slot(promised.at, parts), shape)
    positions = [scene.working.position_by_name.get(name, -1) for name in promised.nodes]
    if not all(_holds(scene, shape, *each, at) for each in zip(positions, promised.tasks, strict=True)):
        return None
    return Slot(promised.at, list(_parts(scene, shape, zip(positions, promised.tasks, strict=True)))), shape


def _holds(scene: Scene, shape: Shape, position: int, tasks: int, at: float) -> bool:
    if position < 0 or not scene.working.is_usable[position] or not shape.suits(scene.working.kinds[position]):
        return False
    tracks = scene.timeline.tracks
    until_at = min(at + shape.duration_s, NEVER)
    _, offers = tracks.collect_at(shape.task_rows, tracks.make_positions([position]), at, until_at, 0, 0)
    return bool(offers) and offers[0] >= tasks


def _parts(scene: Scene, shape: Shape, placed: Iterable[tuple[int, int]]) -> Iterator[Part]:
    for position, tasks in placed:
        yield Part(position, tasks, shape.take(scene.working.idle_level(position), tasks))
