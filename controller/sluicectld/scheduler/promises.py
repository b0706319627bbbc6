"""Promises: planned starts that outlive their pass and only ever move earlier (conservative backfill).

A pass begins with what was promised before, reserved again on the timeline; then each waiting job in the order of the
queue is taken out and put back at its earliest fit, beside the promises of all others.

A promise is to one request: a job that asks for something else by now is planned anew at its turn.  So is one whose
promise can't be kept, because a node of it is gone, or a job outlives its limit there; and with it everybody who was
promised something after it, for what they hold must not push it back.

Invariant: promises are taken up in the order in which they were made, the same ones whether or not a memory has them
on its timeline still.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from sluice.model.job import Job
from sluice.model.partition import Partition

from .backfill import Slot, is_within, release, reserve
from .levels import Kind, Take, can_give
from .memory import Scene
from .plan import PlannedStart
from .search import Part, find_at
from .shapes import Shape
from .snapshot import Snapshot

#: A planned start and the shape that it was made for.
Promise = tuple[Slot, Shape]
#: Gives the shapes that a job has in a partition, one for each way in which it may run, each with the job.
WaysOf = Callable[[Job, Partition], Iterable[tuple[Job, Shape]]]


def restore_promises(scene: Scene, snapshot: Snapshot, ways_of: WaysOf, is_simple: bool = False) -> dict[int, Promise]:
    """Return the promises that hold, by job id, reserved on the timeline.

    is_simple: nothing but room and the order of the queue decides, so that what is on the timeline still holds unless
    something happened under it.
    """
    jobs = {job.id: job for job in snapshot.pending}
    if is_simple and scene.promised is snapshot.promised and not _is_overtaken(scene):
        _release_others(scene, snapshot, jobs, ways_of)
        kept: dict[int, Promise] = scene.promises
        return kept
    forget_promises(scene)
    restored: dict[int, Promise] = {}
    for job_id, promised in snapshot.promised.items():
        job, partition = jobs.get(job_id), snapshot.partitions.get(promised.partition)
        shape = None if job is None or partition is None else _find_alike(ways_of(job, partition), promised.request)
        if shape is None:
            continue
        found = None if promised.at < snapshot.now_at else restore_promise(scene, shape, promised)
        if found is None:
            break
        reserve(job_id, *found, scene.timeline)
        restored[job_id] = found
    return restored


def keep_promises(scene: Scene, promises: dict[int, Promise], planned: dict[int, PlannedStart]) -> None:
    """Leave the promises on the timeline for the next pass.  planned: as that pass will be given them."""
    scene.promises, scene.promised = promises, planned


def forget_promises(scene: Scene) -> None:
    """Take all promises out of the timeline."""
    for job_id, (slot, shape) in scene.promises.items():
        release(job_id, slot, shape, scene.timeline)
    scene.promises, scene.promised = {}, None


def restore_promise(scene: Scene, shape: Shape, promised: PlannedStart) -> Promise | None:
    """Return the promise as it was, None when it can't be kept."""
    from_at = max(promised.at, scene.timeline.now_at)
    positions = [scene.working.position_by_name.get(name, -1) for name in promised.nodes]
    if not is_within(shape, promised.at) or not all(_is_open(scene, shape, each, from_at) for each in positions):
        return None
    parts = list(_recall_parts(scene, shape, positions, promised))
    if len(parts) < len(positions):
        # The nodes are seen otherwise by now, so that what was to be taken from them says nothing.
        found = find_at(shape, scene.working, scene.timeline, from_at)
        return None if found is None else (Slot(promised.at, found), shape)
    until_at = promised.at + shape.duration_s
    if from_at < until_at and not all(_holds(scene, shape, part, from_at, until_at) for part in parts):
        return None
    return Slot(promised.at, parts), shape


def _is_overtaken(scene: Scene) -> bool:
    """Is a promise overdue, or did anything happen that one may not have known of?"""
    now_at = scene.timeline.now_at
    return scene.timeline.is_disturbed or any(slot.at < now_at for slot, _ in scene.promises.values())


def _release_others(scene: Scene, snapshot: Snapshot, jobs: dict[int, Job], ways_of: WaysOf) -> None:
    """Take out what was promised to jobs that do not wait any more, or ask for something else."""
    for job_id, (slot, shape) in list(scene.promises.items()):
        job, partition = jobs.get(job_id), snapshot.partitions.get(shape.partition.name)
        match = scene.matches.get((job_id, shape.partition.name))
        is_known = match is not None and match.is_plain and match.job is job and match.partition is partition
        if is_known and match is not None and match.shape is shape and shape.uid is None:
            continue
        found = None if job is None or partition is None else _find_alike(ways_of(job, partition), shape.request)
        if found is None:
            release(job_id, slot, shape, scene.timeline)
            del scene.promises[job_id]
        else:
            scene.promises[job_id] = (slot, found)


def _find_alike(ways: Iterable[tuple[Job, Shape]], request: object) -> Shape | None:
    """Return the shape of the same request, None if there is none, or the partition has come to bar it."""
    return next((each for _, each in ways if each.request == request and each.partition_blocker is None), None)


def _is_open(scene: Scene, shape: Shape, position: int, from_at: float) -> bool:
    """Does the node still take jobs of the shape, at that time and for that user?"""
    working, until_at = scene.working, from_at + shape.duration_s
    if position < 0 or not working.is_usable[position] or not shape.suits(working.kinds[position]):
        return False
    if shape.access is not None and position not in shape.candidates_during(from_at, until_at)[0]:
        return False
    return bool(shape.only_own([position], from_at, until_at))


def _recall_parts(scene: Scene, shape: Shape, positions: Sequence[int], promised: PlannedStart) -> Iterator[Part]:
    """Yield the parts as they were; those of nodes whose numbers have another meaning by now are left out."""
    working = scene.working
    for position, tasks, take in zip(positions, promised.tasks, promised.takes, strict=True):
        if not shape.is_level_dependent:
            yield Part(position, tasks, shape.take(working.idle_level(position), tasks))
        elif _speaks_of(take, working.kinds[position]):
            yield Part(position, tasks, take)


def _speaks_of(take: Take, kind: Kind) -> bool:
    return len(take.gres) == len(kind.gres) and (take.masks is not None) == kind.is_exact


def _holds(scene: Scene, shape: Shape, part: Part, from_at: float, until_at: float) -> bool:
    """Is what the part takes free all the time?"""
    timeline, position = scene.timeline, part.position
    if shape.is_level_dependent:
        level = timeline.floor(position, from_at, until_at)
        return can_give(level, part.take) and part.take.cpus <= shape.cut(level, position, from_at, until_at).cpus
    tracks = timeline.tracks
    _, offers = tracks.collect_at(shape.task_rows, tracks.make_positions([position]), from_at, until_at, 0, 0)
    return bool(offers) and offers[0] >= part.tasks
