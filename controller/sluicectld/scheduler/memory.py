"""What one pass leaves to the next: levels, tables, tracks and shapes, so that a pass costs by what has changed.

It is a memory of answers, not of decisions: a pass with a memory decides exactly as one without (the tests hold one
against the other).  A pass that ends early, by an exception, leaves nothing.

Invariant: between passes the working copy and the timeline are those of the last snapshot, kept plans included.
"""

from typing import Any

import msgspec

from sluice.model.job import Job
from sluice.model.partition import Partition

from .departures import expect_ends
from .guests import Guests
from .lineup import Lineup
from .matches import UNASKED, Match
from .needs import ShapeKey, compute_needs, compute_shape_key
from .queue import make_lineup
from .reservations import limit_within
from .shapes import Access, Shape, is_user_sensitive
from .snapshot import Policy, Snapshot
from .timeline import Timeline
from .working import WorkingCopy

#: More levels or shapes than this, and everything is made anew.
_LEVELS_MAX = 200_000
_SHAPES_MAX = 20_000
_JOBS_SPARE = 1000


class Scene(msgspec.Struct):
    """The working copy and the timeline of one snapshot, and the shapes known so far."""

    working: WorkingCopy
    timeline: Timeline
    lineup: Lineup
    pass_number: int = 0
    #: Shapes that were begun for a pass, in all passes together.
    begun: int = 0
    #: Whose jobs are on which node when, in a pass in which it matters.
    guests: Guests | None = None
    shapes: dict[tuple[ShapeKey, int], Shape] = {}
    #: By job id and partition.
    matches: dict[tuple[int, str], Match] = {}
    #: Partitions without the bounds that a QOS overrides (limits/gate.py): other ones would be other shapes.
    relaxed: dict[Any, tuple[Partition, Partition]] = {}
    #: Of which usable nodes their questions are.
    usable_seen: int = -1
    #: Promises that stay on the timeline between passes (promises.py), and the planned starts that they are.
    promises: dict[int, Any] = {}
    promised: object = None


class Memory:
    """Hands out a scene for each pass."""

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._policy: Policy | None = None
        self._partitions: dict[str, Partition] = {}

    def enter(self, snapshot: Snapshot, policy: Policy) -> Scene:
        """Return the scene of the snapshot; leave() keeps it for the next pass."""
        scene, self._scene = self._scene, None
        if scene is None or not self._is_alike(scene, snapshot, policy) or not _update(scene, snapshot):
            scene = make_scene(snapshot, policy)
        else:
            _bring_guests(scene, snapshot)
        scene.pass_number += 1
        self._policy, self._partitions = policy, snapshot.partitions
        return scene

    def leave(self, scene: Scene) -> None:
        self._scene = scene

    def _is_alike(self, scene: Scene, snapshot: Snapshot, policy: Policy) -> bool:
        working = scene.working
        return (
            (policy is self._policy or policy == self._policy)
            and (snapshot.partitions is self._partitions or snapshot.partitions == self._partitions)
            and len(snapshot.nodes) == len(working.nodes)
            and working.table.count <= _LEVELS_MAX
            and len(scene.shapes) <= _SHAPES_MAX
        )


def make_scene(snapshot: Snapshot, policy: Policy) -> Scene:
    """Return a scene made of nothing but the snapshot."""
    working = WorkingCopy(snapshot, policy)
    timeline = Timeline(working)
    timeline.update(expect_ends(snapshot), snapshot.now_at, ())
    scene = Scene(working, timeline, make_lineup(policy))
    _bring_guests(scene, snapshot)
    return scene


def renew(scene: Scene, snapshot: Snapshot) -> None:
    """Make the scene ready for another pass over its snapshot, after undo()."""
    changed = scene.working.restore(snapshot)
    scene.timeline.update(expect_ends(snapshot), snapshot.now_at, changed)
    _bring_guests(scene, snapshot)
    scene.pass_number += 1


def _bring_guests(scene: Scene, snapshot: Snapshot) -> None:
    is_sensitive = is_user_sensitive(scene.working, snapshot.partitions)
    scene.guests = Guests(snapshot, scene.working) if is_sensitive else None


def find_shape(scene: Scene, job: Job, partition: Partition, policy: Policy, uid: int | None = None) -> Shape:
    """Return the shape of a job in a partition, made or begun anew for this pass if need be."""
    return find_match(scene, job, partition, policy, uid).shape


def find_match(scene: Scene, job: Job, partition: Partition, policy: Policy, uid: int | None = None) -> Match:
    """Return the job in the partition with its shape."""
    key = job.id, partition.name
    match = scene.matches.get(key)
    if match is None or match.job is not job or match.partition is not partition or match.shape.uid != uid:
        is_known = match is not None and match.is_alike(job, partition) and match.shape.uid == uid
        shape = match.shape if match is not None and is_known else _share_shape(scene, job, partition, policy, uid)
        match = scene.matches[key] = Match(job, partition, shape)
    shape = match.shape
    if shape.pass_number != scene.pass_number:
        shape.pass_number = scene.pass_number
        scene.begun += 1
        shape.guests = scene.guests
        shape.begin()
    return match


def _share_shape(scene: Scene, job: Job, partition: Partition, policy: Policy, uid: int | None) -> Shape:
    # The partition is another object when a QOS overrides its bounds.
    key = compute_shape_key(job, partition.name, -1 if uid is None else uid), id(partition)
    shape = scene.shapes.get(key)
    if shape is None or shape.partition is not partition:
        shape = scene.shapes[key] = make_shape(scene, job, partition, policy, uid)
    return shape


def make_shape(
    scene: Scene,
    job: Job,
    partition: Partition,
    policy: Policy,
    uid: int | None = None,
    access: Access | None = None,
) -> Shape:
    """Return a new shape.  access: what reservations leave to it."""
    limit_s = job.limit_s
    if access is not None and access.window is not None:
        limit_s = limit_within(access.view, access.window, scene.timeline.now_at, limit_s)
    needs = compute_needs(job.spec, partition, policy)
    is_least_loaded = policy.is_least_loaded or partition.least_loaded
    shape = Shape(needs, partition, limit_s, scene.working, scene.timeline, uid, is_least_loaded, access)
    shape.guests = scene.guests
    shape.request = compute_shape_key(job, partition.name), shape.limit_s, shape.view.key
    return shape


def _update(scene: Scene, snapshot: Snapshot) -> bool:
    """Bring the scene to the snapshot; False: that can't be done."""
    if scene.timeline.now_at > snapshot.now_at:
        return False
    changed = scene.working.update(snapshot)
    if changed is None:
        return False
    scene.timeline.update(expect_ends(snapshot), snapshot.now_at, changed)
    if len(scene.matches) > 2 * len(snapshot.pending) + _JOBS_SPARE:
        scene.matches.clear()
    if scene.usable_seen != scene.working.usable_version:
        scene.usable_seen = scene.working.usable_version
        for match in scene.matches.values():
            match.known_ask = UNASKED
    return True
