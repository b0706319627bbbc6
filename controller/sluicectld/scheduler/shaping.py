"""Which shape a job has in a pass: that of its request, as reservations, topologies and other users' nodes leave it.

Invariant: jobs with the same shape are of one request, in one partition, under one view.
"""

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker

from .memory import Scene, find_shape, make_shape
from .needs import compute_shape_key
from .reservation_texts import begin_blocker
from .reservations import OPEN, Book, View, find_window
from .shapes import Access, Shape
from .shorten import within_deadline
from .snapshot import Policy, Snapshot
from .switches import relax


class Shaper:
    """Finds the shapes of one pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy, scene: Scene, book: Book) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._scene = scene
        self._book = book
        #: Shapes of jobs that reservations restrict; they last for this pass.
        self._restricted: dict[object, Shape] = {}
        #: It matters in this pass whose jobs share a node.
        self.is_user_sensitive = scene.guests is not None
        #: The first moment at which a job looks different although nothing happened.
        self.look_again_at: float | None = None
        #: Jobs that find what their twins do not: they have shapes of their own.
        self.own_ids: frozenset[int] = frozenset()

    def find(self, job: Job, partition: Partition, view: View) -> Shape:
        """Return the job's shape in the partition, when it runs in this way."""
        job = within_deadline(self._relaxed(job), self._snapshot.now_at)
        uid = self._uid_of(job)
        own_id = job.id if job.id in self.own_ids else 0
        if view is OPEN and not own_id:
            return find_shape(self._scene, job, partition, self._policy, uid)
        key = own_id, view.key, compute_shape_key(job, partition.name, -1 if uid is None else uid), id(partition)
        shape = self._restricted.get(key)
        if shape is None:
            shape = self._restricted[key] = self.make(job, partition, view)
        return shape

    def make(self, job: Job, partition: Partition, view: View) -> Shape:
        """Return the same, as a shape of its own that is kept nowhere."""
        job = within_deadline(self._relaxed(job), self._snapshot.now_at)
        uid = self._uid_of(job)
        if view is OPEN:
            return make_shape(self._scene, job, partition, self._policy, uid)
        return self._make_restricted(job, partition, uid, view)

    def _make_restricted(self, job: Job, partition: Partition, uid: int | None, view: View) -> Shape:
        """Return a shape that sees the cluster as the view does."""
        now_at = self._snapshot.now_at
        window = None if view.windows is None else find_window(view, now_at, job.limit_s)
        shape = make_shape(self._scene, job, partition, self._policy, uid, Access(view, self._book, window))
        blocker = self.find_view_blocker(shape)
        if blocker is not None and (view.blocker is not None or shape.blockers is None):
            shape.is_waiting = shape.may_plan = window is not None and self._policy.is_backfilling
            shape.blockers = (blocker,)
        return shape

    def find_view_blocker(self, shape: Shape) -> Blocker | None:
        """Return why the job's reservation does not let it start now."""
        view, now_at = shape.view, self._snapshot.now_at
        if view.blocker is not None or shape.access is None or view.windows is None:
            return view.blocker
        window = shape.access.window
        if window is not None and window.from_at <= now_at:
            return None
        return begin_blocker(view, window, now_at, self._policy.utc_offset_s)

    def _uid_of(self, job: Job) -> int | None:
        return job.spec.uid if self.is_user_sensitive else None

    def _relaxed(self, job: Job) -> Job:
        """Return the job without the switches that it has waited for long enough."""
        if not job.spec.switches:
            return job
        wait_max_s = self._policy.switch_wait_max_s if self._scene.working.arrangers else 0.0
        job, until_at = relax(job, self._snapshot.now_at, wait_max_s)
        if until_at is not None:
            self.look_again(until_at)
        return job

    def look_again(self, at: float) -> None:
        """Have a job looked at again at the time."""
        self.look_again_at = at if self.look_again_at is None else min(self.look_again_at, at)
