"""What if the job asked for something else?  The cheapest changes with which it would start in the next pass.

Every candidate of changes.py is tried on a pass that stopped at the job's turn: nothing is taken there, so that one
pass serves all of them.  What is suggested at last was seen to start in a whole pass (decide) over the jobs above it.
Single changes come first; pairs are looked at when no single one helps.  Bounds are counts.

Invariant: a suggestion, applied, starts the job in the next pass over the same state.
"""

import itertools
from collections.abc import Sequence

from msgspec.structs import replace

from sluice.model.explanation import Suggestion
from sluice.model.job import Job

from .census import Census
from .change import Ground
from .changes import CHANGES
from .cheapest import Candidate, Search
from .memory import make_shape
from .plan import Plan
from .queue import Queue, cut, find_turn, has_fixed_order, rank
from .snapshot import Snapshot
from .stage import Rehearsal, Stage

#: Suggestions in an answer.
SUGGESTIONS_MAX = 3


def find_changes(
    snapshot: Snapshot,
    stage: Stage,
    job: Job,
    usable_partitions: Sequence[str] = (),
    name: str = "",
    plan: Plan | None = None,
) -> tuple[Suggestion, ...]:
    """Return the cheapest changes with which the job would start now; nothing if it does so anyway, or none helps.

    The job may be one that is held or has to wait for something: lifting that is then part of every suggestion.
    Nothing either for a component of a heterogeneous job: it starts only with all the others.
    stage: of the snapshot, with the job in it.  usable_partitions: those that its user may name.  name: what commands
    call the job.  plan: the last pass's, which spares one if nothing has happened since.
    """
    if job.is_component:
        return ()
    turn = _Turn(snapshot, stage, job.id, plan)
    ground = _ground(snapshot, job, usable_partitions)
    base = _lift_gates(job, ground)
    changes = [change for change in CHANGES if not change.is_gate]
    found = [base] if turn.starts(base.job) else Search(job, ground, changes, turn.starts).run(base)
    confirmed = (candidate for candidate in found if candidate.parts and turn.confirm(candidate.job))
    return tuple([_describe(job, each, name or str(job.id)) for each in itertools.islice(confirmed, SUGGESTIONS_MAX)])


def _ground(snapshot: Snapshot, job: Job, usable_partitions: Sequence[str]) -> Ground:
    return Ground(
        now_at=snapshot.now_at,
        partitions=tuple(usable_partitions),
        node_memory_mib=max((free.node.memory_mib for free in snapshot.nodes), default=0),
        running_tasks=snapshot.running_tasks.get(job.array_job_id or job.id, 0),
    )


def _lift_gates(job: Job, ground: Ground) -> Candidate:
    """Return the job with nothing left that holds the job itself."""
    candidate = Candidate(job)
    for change in CHANGES:
        if change.is_gate and change.values(job, ground):
            candidate = candidate.add(change, None, change.cost)
    return candidate


class _Turn:
    """The job's turn in the queue: a pass that stopped there, for as long as candidates have the same place."""

    def __init__(self, snapshot: Snapshot, stage: Stage, job_id: int, plan: Plan | None) -> None:
        self._plan = plan
        self._others = tuple([each for each in snapshot.pending if each.id != job_id])
        self._snapshot = snapshot
        self._stage = stage
        self._policy = stage.policy
        #: By the partitions of candidates; changes of other kinds are taken to leave the place as it is.
        self._places: dict[tuple[str, ...], tuple[int, Queue]] = {}
        self._stopped: Rehearsal | None = None
        self._stopped_place = -1
        self._census: Census | None = None

    def starts(self, job: Job) -> bool:
        """Would the changed job start at its turn?  The pass is asked only where counts alone do not say no."""
        stopped, census = self._stop_at(job)
        partitions, scene = stopped.snapshot.partitions, stopped.scene
        named = [partitions[name] for name in _names(job) if name in partitions]
        shapes = [make_shape(scene, job, partition, self._policy) for partition in named]
        return any(census.could_hold(shape) for shape in shapes) and stopped.would_start(job)

    def confirm(self, job: Job) -> bool:
        """Does the changed job start in a whole pass?  Where its turn has not moved, the stopped pass was that."""
        asked = self._asked(job)
        queue = rank(asked, self._policy)
        if has_fixed_order(self._policy) and len(_names(job)) == 1:
            known = self._places.get(_names(job))
            if known is not None and known[0] == find_turn(queue, job.id):
                return True
        plan = self._stage.decide(asked, self._stage.quiet_policy, queue=cut(queue, self._policy, job.id))
        self._stopped = None
        return any(start.job_id == job.id for start in plan.starts)

    def _asked(self, job: Job) -> Snapshot:
        # What was promised to the job before is no promise to the changed one.
        promised = {job_id: planned for job_id, planned in self._snapshot.promised.items() if job_id != job.id}
        return replace(self._snapshot, pending=(*self._others, job), promised=promised)

    def _stop_at(self, job: Job) -> tuple[Rehearsal, Census]:
        names = _names(job)
        known = self._places.get(names)
        if known is None:
            queue = rank(self._asked(job), self._policy)
            known = self._places[names] = find_turn(queue, job.id), queue
        place, queue = known
        if self._stopped is None or self._census is None or place != self._stopped_place:
            self._stopped = self._stage.stop_before(job.id, self._asked(job), queue, self._plan)
            self._stopped_place = place
            self._census = Census(self._stopped.working)
        return self._stopped, self._census


def _names(job: Job) -> tuple[str, ...]:
    return job.spec.partitions or (job.partition,)


def _describe(job: Job, candidate: Candidate, name: str) -> Suggestion:
    settings = [change.setting(job, value) for change, value in candidate.parts]
    return Suggestion(
        words=tuple([change.words(job, value) for change, value in candidate.parts]),
        command=_command(name, settings),
        cost=round(candidate.cost, 2),
    )


def _command(name: str, settings: Sequence[str]) -> str:
    """Return the commands that make all the changes, "" when one of them takes a new submission."""
    if not all(settings):
        return ""
    # Brackets mean something to the shell; a throttle is the whole array's.
    quoted = f"'{name}'" if "[" in name else name
    commands = [f"{setting} {quoted}" for setting in settings if setting.startswith("scontrol ")]
    keys = [setting for setting in settings if not setting.startswith(("scontrol ", "ArrayTaskThrottle="))]
    if keys:
        commands.append(f"scontrol update JobId={quoted} {' '.join(keys)}")
    array_id = name.partition("_")[0]
    commands += [f"scontrol update JobId={array_id} {each}" for each in settings if each.startswith("ArrayTask")]
    return " && ".join(commands)
