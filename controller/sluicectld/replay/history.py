"""The cluster's own past: the journal once more, and at each moment at which a pass decided, the same pass.

Facts are applied as recorded.  Where the journal has starts, the pass that decided them is made again on what it had
seen, and its plan is compared with them; a decision that was dropped as stale must be stale here, too.  A pass that
started nothing left no trace and changed nothing, unless later ones go by what it found: such passes are in the journal
each, and all of them are made again, one after the other.

Invariant: with the configuration of the time, and a scheduler that decides as it did then, there is no difference.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from sluice import hostlist
from sluice.config.settings import Settings
from sluicectld.engine import Engine
from sluicectld.handlers.plan import may_start
from sluicectld.scheduler.decide import decide as production_decide
from sluicectld.scheduler.handover import hand_on
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan, StartJob
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.state import events
from sluicectld.state.apply import apply
from sluicectld.state.cluster import Cluster
from sluicectld.state.events import AnyEvent, EpochBegan, JobStarted, PassMade

Decide = Callable[[Snapshot, Policy], Plan]
#: A row of the journal: its sequence and its fact.
Row = tuple[int, AnyEvent]


class Moment(msgspec.Struct, frozen=True):
    """A pass: the last event that it saw, and its now."""

    after: int
    at: float


class Comparison(msgspec.Struct):
    """passes: those that started something.  differences: sentences, in order."""

    passes: int = 0
    starts: int = 0
    differences: list[str] = msgspec.field(default_factory=list)


def compare_history(
    rows: Iterable[Row],
    settings: Settings,
    policy: Policy,
    digest: str,
    since_at: float = 0.0,
    decide: Decide | None = None,
) -> Comparison:
    """Return whether the scheduler decides today as the journal says that it did.

    digest: of the configuration that *policy* comes from; what was decided under another is told as such.
    decide: the scheduler's own, unless said otherwise.
    """
    decide = decide or partial(production_decide, memory=Memory())
    return _History(list(rows), settings, policy, digest, since_at, decide).run()


def find_moments(rows: Iterable[Row]) -> dict[int, Moment]:
    """Return the pass behind each start, by the start's sequence.

    A journal of a release that did not record passes is taken as if each had seen everything before its first start.
    """
    moments: dict[int, Moment] = {}
    guessed: Moment | None = None
    for sequence, event in rows:
        if not isinstance(event, JobStarted):
            continue
        if event.decided_after:
            moments[sequence] = _moment_of(event)
            continue
        if guessed is None or guessed.at != event.at:
            guessed = Moment(sequence - 1, event.at)
        moments[sequence] = guessed
    return moments


def _moment_of(event: JobStarted | PassMade) -> Moment:
    return Moment(event.decided_after, event.at if event.decided_at is None else event.decided_at)


class _History:
    def __init__(
        self, rows: list[Row], settings: Settings, policy: Policy, digest: str, since_at: float, decide: Decide
    ) -> None:
        self.rows = rows
        self.policy = policy
        self.digest = digest
        self.since_at = since_at
        self.decide = decide
        self.cluster = Cluster()
        self.engine = Engine(self.cluster, settings, policy)
        self.moments = find_moments(rows)
        #: Passes that later ones go by, and whether something had come back before them.
        self.formative = {_moment_of(event): event.is_freed for _, event in rows if isinstance(event, PassMade)}
        self.moment_by_sequence = {moment.after: moment for moment in (*self.moments.values(), *self.formative)}
        #: The last plan of these.
        self.last_plan = Plan(version=0)
        self.last_start = {moment: sequence for sequence, moment in self.moments.items()}
        #: What a pass decided, and the version of its snapshot, until its last recorded start.
        self.plans: dict[Moment, tuple[deque[StartJob], int]] = {}
        self.found = Comparison()

    def run(self) -> Comparison:
        for sequence, event in self.rows:
            moment = self.moments.get(sequence)
            is_compared = moment is not None and event.at >= self.since_at
            if is_compared and moment is not None and isinstance(event, JobStarted):
                self._compare(event, moment)
            apply(self.cluster, event)
            self.cluster.take_batch()
            if is_compared and moment is not None and self.last_start[moment] == sequence:
                self._drop_rest(moment)
            if isinstance(event, PassMade) and _moment_of(event) not in self.last_start:
                self._drop_rest(_moment_of(event))
            if isinstance(event, EpochBegan):
                # What a controller had in memory alone went with it.
                self.last_plan = Plan(version=0)
            if sequence in self.moment_by_sequence:
                self._decide(self.moment_by_sequence[sequence])
        return self.found

    def _decide(self, moment: Moment) -> None:
        is_formative = moment in self.formative
        is_compared = moment.at >= self.since_at
        if not (is_compared or is_formative):
            return
        is_freed = self.formative.get(moment, True)
        snapshot = hand_on(self.engine.view(moment.at), self.last_plan, self.policy, is_freed)
        plan = self.decide(snapshot, self.policy)
        if is_formative:
            self.last_plan = plan
        if is_compared:
            self.plans[moment] = (deque(plan.starts), snapshot.version)
            self.found.passes += moment in self.last_start

    def _compare(self, event: JobStarted, moment: Moment) -> None:
        """Find the start in the plan; what the plan has before it must have been stale."""
        starts, version = self.plans.get(moment, (deque[StartJob](), 0))
        self.found.starts += 1
        passed: list[StartJob] = []
        while starts and not _is_same(starts[0], event):
            passed.append(starts.popleft())
        if starts:
            starts.popleft()
            self._tell_dropped(passed, version)
            return
        starts.extend(passed)
        other = next(
            (start for start in passed if (start.job_id, start.task_id) == (event.job_id, event.task_id)), None
        )
        instead = "does not start it" if other is None else f"starts it on {_place(other)}"
        self._tell(f"job {_name(event)}: started on {_place(event)}, the pass made again {instead}")
        if other is not None:
            starts.remove(other)

    def _drop_rest(self, moment: Moment) -> None:
        starts, version = self.plans.pop(moment, (deque[StartJob](), 0))
        self._tell_dropped(starts, version)

    def _tell_dropped(self, starts: Iterable[StartJob], version: int) -> None:
        for start in starts:
            job = self.cluster.jobs.get(start.job_id)
            if job is not None and may_start(self.cluster, job, start, version):
                self._tell(f"job {_name(start)}: not started, the pass made again starts it on {_place(start)}")

    def _tell(self, difference: str) -> None:
        other = "" if self.cluster.config_digest == self.digest else " (under another configuration)"
        self.found.differences.append(difference + other)


def _is_same(start: StartJob, event: JobStarted) -> bool:
    decided = (start.job_id, start.task_id, start.allocation, start.partition, start.limit_s)
    return decided == (event.job_id, event.task_id, event.allocation, event.partition, event.limit_s)


def _name(start: StartJob | JobStarted) -> str:
    return str(start.job_id) if start.task_id is None else f"{start.job_id}_{start.task_id}"


def _place(start: StartJob | JobStarted) -> str:
    grants = start.allocation.grants
    cpus = ",".join(dict.fromkeys(grant.cpus for grant in grants))
    return f"{hostlist.fold([grant.node for grant in grants])} CPUs {cpus} of partition {start.partition}"


def read_rows(payloads: Iterable[tuple[int, bytes]]) -> list[Row]:
    """Return the rows of a journal from their sequences and texts."""
    return [(sequence, events.decode(payload)) for sequence, payload in payloads]
