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

from .change import Ground
from .changes import CHANGES
from .cheapest import Candidate, Search
from .decide import Pass, decide
from .needs import compute_needs
from .queue import rank_queue
from .shapes import Shape
from .snapshot import Policy, Snapshot
from .working import WorkingCopy

#: Suggestions in an answer.
SUGGESTIONS_MAX = 3


def find_changes(
    snapshot: Snapshot, policy: Policy, job: Job, usable_partitions: Sequence[str] = (), name: str = ""
) -> tuple[Suggestion, ...]:
    """Return the cheapest changes with which the job would start now; nothing if it does so anyway, or none helps.

    The job may be one that is held or has to wait for something: lifting that is then part of every suggestion.
    usable_partitions: those that its user may name.  name: what commands call the job.
    """
    turn = _Turn(snapshot, policy, job.id)
    ground = _ground(snapshot, job, usable_partitions)
    base = _lift_gates(job, ground)
    changes = [change for change in CHANGES if not change.is_gate]
    found = [base] if turn.starts(base.job) else Search(job, ground, changes, turn.starts).run(base)
    confirmed = (candidate for candidate in found if candidate.parts and turn.confirm(candidate.job))
    return tuple([_describe(job, each, name or str(job.id)) for each in itertools.islice(confirmed, SUGGESTIONS_MAX)])


def narrow(snapshot: Snapshot, policy: Policy, job_id: int) -> Snapshot:
    """Return the snapshot without the jobs that come after this one: they do not matter to it."""
    above = _above(snapshot, policy, job_id)
    if above is None:
        return snapshot
    return replace(snapshot, pending=tuple([job for job in snapshot.pending if job.id == job_id or job.id in above]))


def _above(snapshot: Snapshot, policy: Policy, job_id: int) -> frozenset[int] | None:
    """Return the jobs whose turn comes before the job's last one; None where the order is no fixed one."""
    if policy.is_shortest_first:
        return None
    entries, _ = rank_queue(snapshot, policy)
    last = max((place for place, (job, _) in enumerate(entries) if job.id == job_id), default=len(entries))
    return frozenset(job.id for job, _ in entries[:last])


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
    """The job's turn in the queue: the passes that stopped there, one for each choice of partitions."""

    def __init__(self, snapshot: Snapshot, policy: Policy, job_id: int) -> None:
        self._others = tuple([each for each in snapshot.pending if each.id != job_id])
        self._snapshot = snapshot
        self._policy = policy
        self._passes: dict[tuple[str, ...], Pass] = {}
        self._above_by_names: dict[tuple[str, ...], frozenset[int] | None] = {}

    def starts(self, job: Job) -> bool:
        """Would the changed job start at its turn?  The pass is asked only where counts alone do not say no."""
        stopped = self._pass_for(job)
        partitions = stopped.snapshot.partitions
        named = [partitions[name] for name in _names(job) if name in partitions]
        shapes = [
            Shape(compute_needs(job.spec, each, self._policy), each, job.limit_s, stopped.working) for each in named
        ]
        return any(could_hold(shape, stopped.working) for shape in shapes) and stopped.would_start(job)

    def confirm(self, job: Job) -> bool:
        """Does the changed job start in a whole pass?  Where its turn has not moved, the stopped pass was that."""
        asked = replace(self._snapshot, pending=(*self._others, job))
        above = _above(asked, self._policy, job.id)
        if above is not None and len(_names(job)) == 1 and above == self._above_by_names.get(_names(job)):
            return True
        plan = decide(narrow(asked, self._policy, job.id), self._policy)
        return any(start.job_id == job.id for start in plan.starts)

    def _pass_for(self, job: Job) -> Pass:
        stopped = self._passes.get(_names(job))
        if stopped is None:
            stopped = Pass(replace(self._snapshot, pending=(*self._others, job)), self._policy, 0)
            stopped.run_before(job.id)
            self._above_by_names[_names(job)] = _above(stopped.snapshot, self._policy, job.id)
            self._passes[_names(job)] = stopped
        return stopped


def _names(job: Job) -> tuple[str, ...]:
    return job.spec.partitions or (job.partition,)


def could_hold(shape: Shape, working: WorkingCopy, with_unusable: bool = False) -> bool:
    """Could the nodes hold the job by their counts, whatever is planned?  False is certain, True is not."""
    nodes = tasks = 0
    for (level, is_usable), count in working.count_levels().items():
        offer = shape.offer(level) if (is_usable or with_unusable) and shape.suits(level.kind) else 0
        if offer:
            nodes += count
            tasks += count * offer
    return nodes >= shape.needs.nodes_min and tasks >= shape.needs.tasks


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
