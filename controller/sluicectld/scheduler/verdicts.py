"""What a pass says of jobs that do not start: the blockers of places in the queue, of free nodes and of unfit ones.

Sentences about one job alone are explain.py's, those about reservations reservation_texts.py's.
"""

import operator

from sluice import hostlist
from sluice.model.reason import Blocker, Reason

from . import explain, funnel, sharers
from .holders import find_holders_on
from .reservation_texts import outgrown_blocker
from .search import find_idle
from .shapes import Shape
from .snapshot import Policy, RunningJob, Snapshot
from .timeline import Timeline
from .working import WorkingCopy

#: What is told where nobody reads it.
RESOURCES, PRIORITY = Blocker(reason=Reason.RESOURCES), Blocker(reason=Reason.PRIORITY)
_expected_end = operator.attrgetter("expected_end_at")


class Verdicts:
    """Writes blockers of one pass; what many of them need is worked out once."""

    def __init__(self, snapshot: Snapshot, policy: Policy, working: WorkingCopy, timeline: Timeline) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._working = working
        self._timeline = timeline
        self._running_by_end: list[RunningJob] | None = None

    def resources(self, shape: Shape, has_plans: bool) -> Blocker:
        """Return which nodes lack what, and who has those that are asked for by name, or the end that comes next."""
        short = funnel.find_short(shape, self._working)
        end = self._describe_holders(short) if short else self._describe_next_end(shape)
        text = funnel.write_now(shape, self._working, has_plans, is_short=bool(short))
        return Blocker(reason=Reason.RESOURCES, text=text + end)

    def _describe_holders(self, positions: list[int]) -> str:
        """Return the jobs on these nodes, by their ends."""
        holders = find_holders_on(positions, self._timeline, self._working)
        waits = sharers.describe_holders(holders, self._snapshot.now_at, self._policy.utc_offset_s)
        return f"; waits for {waits}" if waits else ""

    def _describe_next_end(self, shape: Shape) -> str:
        if self._running_by_end is None:
            ending = [job for job in self._snapshot.running if job.expected_end_at is not None]
            # Equal ones stay in the order of the snapshot.
            self._running_by_end = sorted(ending, key=_expected_end)
        return explain.next_end_text(shape, self._running_by_end, self._snapshot.now_at, self._policy.utc_offset_s)


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
        return _down(shape, working)
    if shape.view.positions is not None and not required_down:
        return outgrown_blocker(shape, working)
    return _unfit(shape, working)


def _unfit(shape: Shape, working: WorkingCopy) -> Blocker:
    """Return why even idle nodes could not hold the job now: nodes that are down, or bounds of the partition."""
    down = [free.node.name for free in working.nodes if not free.node.is_usable]
    in_partition = set(shape.partition.nodes)
    required_down = [name for name in shape.needs.required_nodes if name in down]
    if required_down:
        return Blocker(reason=Reason.REQ_NODE_NOT_AVAIL, text=f"UnavailableNodes:{hostlist.fold(required_down)}")
    outside = [name for name in shape.needs.required_nodes if name not in in_partition]
    if outside:
        text = f"required nodes {hostlist.fold(outside)} are not in partition {shape.partition.name}"
        return Blocker(reason=Reason.BAD_CONSTRAINTS, text=text)
    reason = Reason.PARTITION_NODE_LIMIT if shape.configured_candidates() else Reason.BAD_CONSTRAINTS
    return Blocker(reason=reason, text=funnel.write_idle(shape, working))


def _down(shape: Shape, working: WorkingCopy) -> Blocker:
    """Return that nodes of the partition which the job needs are down or drained."""
    down = [
        working.names[position]
        for position in shape.configured_candidates()
        if not working.nodes[position].node.is_usable
    ]
    return Blocker(reason=Reason.REQ_NODE_NOT_AVAIL, text=f"UnavailableNodes:{hostlist.fold(down)}")
