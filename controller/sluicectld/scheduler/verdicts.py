"""What a pass says of jobs that do not start: the blockers of places in the queue, of free nodes and of unfit ones.

Sentences about one job alone are explain.py's, those about reservations reservation_texts.py's.
"""

import operator

from sluice.model.reason import Blocker, Reason

from . import explain
from .reservation_texts import outgrown_blocker
from .search import find_idle
from .shapes import Shape
from .snapshot import Policy, RunningJob, Snapshot
from .working import WorkingCopy

#: What is told where nobody reads it.
RESOURCES, PRIORITY = Blocker(reason=Reason.RESOURCES), Blocker(reason=Reason.PRIORITY)
_expected_end = operator.attrgetter("expected_end_at")


class Verdicts:
    """Writes blockers of one pass; what many of them need is worked out once."""

    def __init__(self, snapshot: Snapshot, policy: Policy, working: WorkingCopy) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._working = working
        self._running_by_end: list[RunningJob] | None = None

    def resources(self, shape: Shape, has_plans: bool) -> Blocker:
        """Return which nodes lack what, and the end that is waited for next."""
        if self._running_by_end is None:
            ending = [job for job in self._snapshot.running if job.expected_end_at is not None]
            # Equal ones stay in the order of the snapshot.
            self._running_by_end = sorted(ending, key=_expected_end)
        offset_s = self._policy.utc_offset_s
        end = explain.next_end_text(shape, self._running_by_end, self._snapshot.now_at, offset_s)
        return Blocker(reason=Reason.RESOURCES, text=explain.compute_funnel(shape, self._working, has_plans) + end)


def behind(head_id: int, shape: Shape) -> Blocker:
    """Return that a job above is to start first."""
    inside = f" and reservation {shape.view.reservation!r}" if shape.view.reservation else ""
    return Blocker(reason=Reason.PRIORITY, text=f"behind job {head_id} in partition {shape.partition.name}{inside}")


def next_pass(starts: int) -> Blocker:
    """Return that the pass is over before the job's turn."""
    return Blocker(reason=Reason.NONE, text=f"this pass has started {starts} jobs, its most")


def unavailable(shape: Shape, working: WorkingCopy) -> Blocker:
    """Return why not even idle nodes could hold the job now."""
    required_down = any(not working.is_usable[each] for each in shape.required)
    if not required_down and find_idle(shape, working, shape.configured_candidates()) is not None:
        return explain.down_blocker(shape, working)
    if shape.view.positions is not None and not required_down:
        return outgrown_blocker(shape, working)
    return explain.unavailable_blocker(shape, working)
