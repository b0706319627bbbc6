"""What if the job asked for something else?  The cheapest changes with which it would start in the next pass.

Every candidate of changes.py is tried on a pass that stopped at the job's turn: nothing is taken there, so that one
pass serves all of them.  What is suggested at last was seen to start in a whole pass (decide) over the jobs above it.
Single changes come first; pairs are looked at when no single one helps.  Bounds are counts.

Invariant: a suggestion, applied, starts the job in the next pass over the same state.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from sluice.model.explanation import Suggestion
from sluice.model.job import Job

from .changes import CHANGES, Change, Ground
from .decide import Pass, decide
from .needs import compute_needs
from .queue import rank_queue
from .shapes import Shape
from .snapshot import Policy, Snapshot

#: Suggestions in an answer.
SUGGESTIONS_MAX = 3
#: Looks for a place in one search; a look costs like one job of a pass.
_TRIES_MAX = 400
#: Pairs that work, before the cheapest of them are told.
_PAIRS_MAX = 6


class Candidate(msgspec.Struct, frozen=True):
    """A changed job: the changes with their values, and what they cost together."""

    job: Job
    parts: tuple[tuple[Change, Any], ...] = ()
    cost: float = 0.0


def find_changes(
    snapshot: Snapshot, policy: Policy, job: Job, usable_partitions: Sequence[str] = (), name: str = ""
) -> tuple[Suggestion, ...]:
    """Return the cheapest changes with which the job would start now; nothing if it does so anyway, or none helps.

    The job may be one that is held or has to wait for something: lifting that is then part of every suggestion.
    usable_partitions: those that its user may name.  name: what commands call the job.
    """
    search = _Search(snapshot, policy, job, _ground(snapshot, job, usable_partitions))
    base = search.lift_gates()
    found = [base] if search.starts(base.job) else search.singles(base) or search.pairs(base)
    found.sort(key=lambda candidate: candidate.cost)
    confirmed = (candidate for candidate in found if candidate.parts and search.confirm(candidate.job))
    return tuple(
        [_describe(job, candidate, name or str(job.id)) for candidate in itertools.islice(confirmed, SUGGESTIONS_MAX)]
    )


def narrow(snapshot: Snapshot, policy: Policy, job_id: int) -> Snapshot:
    """Return the snapshot without the jobs that come after this one: they do not matter to it."""
    if policy.is_shortest_first:
        return snapshot
    entries, _ = rank_queue(snapshot, policy)
    last = max((place for place, (job, _) in enumerate(entries) if job.id == job_id), default=len(entries))
    above = {job.id for job, _ in entries[: last + 1]}
    return replace(snapshot, pending=tuple([job for job in snapshot.pending if job.id in above]))


def _ground(snapshot: Snapshot, job: Job, usable_partitions: Sequence[str]) -> Ground:
    return Ground(
        now_at=snapshot.now_at,
        partitions=tuple(usable_partitions),
        node_memory_mib=max((free.node.memory_mib for free in snapshot.nodes), default=0),
        running_tasks=snapshot.running_tasks.get(job.array_job_id or job.id, 0),
    )


class _Search:
    """One job's search: the passes that stopped at its turn, one for each choice of partitions."""

    def __init__(self, snapshot: Snapshot, policy: Policy, job: Job, ground: Ground) -> None:
        self._others = tuple([each for each in snapshot.pending if each.id != job.id])
        self._snapshot = snapshot
        self._policy = policy
        self._job = job
        self._ground = ground
        self._passes: dict[tuple[str, ...], Pass] = {}
        self._tries = 0

    def lift_gates(self) -> Candidate:
        """Return the job with nothing left that holds the job itself."""
        candidate = Candidate(self._job)
        for change in CHANGES:
            if change.is_gate and change.values(self._job, self._ground):
                candidate = _add(candidate, change, None, change.cost)
        return candidate

    def singles(self, base: Candidate) -> list[Candidate]:
        """Return every single change that helps, each at its least."""
        found = (self._least(base, change) for change in self._changes())
        return [candidate for candidate in found if candidate is not None]

    def pairs(self, base: Candidate) -> list[Candidate]:
        """Return pairs of changes that help together, each at its least while the other is as great as it may be."""
        found: list[Candidate] = []
        changes = [change for change in self._changes() if change.is_monotone]
        pairs = sorted(itertools.combinations(changes, 2), key=lambda pair: pair[0].cost + pair[1].cost)
        for one, other in pairs:
            if len(found) >= _PAIRS_MAX or self._tries >= _TRIES_MAX:
                break
            candidate = self._least_pair(base, one, other)
            if candidate is not None:
                found.append(candidate)
        return found

    def starts(self, job: Job) -> bool:
        """Would the changed job start at its turn?"""
        self._tries += 1
        return self._pass_for(job).would_start(job)

    def confirm(self, job: Job) -> bool:
        """Does the changed job start in a whole pass?"""
        asked = replace(self._snapshot, pending=(*self._others, job))
        plan = decide(narrow(asked, self._policy, job.id), self._policy)
        return any(start.job_id == job.id for start in plan.starts)

    def _changes(self) -> Iterator[Change]:
        return (change for change in CHANGES if not change.is_gate and change.values(self._job, self._ground))

    def _least(self, base: Candidate, change: Change) -> Candidate | None:
        """Return the least of a change that helps, or None."""
        values = change.values(self._job, self._ground)

        def helps(place: int) -> bool:
            return self._may_start(change.apply(base.job, values[place]))

        place = _first(len(values), helps) if change.is_monotone else next(filter(helps, range(len(values))), None)
        return None if place is None else _add(base, change, values[place], _cost(change, place, len(values)))

    def _least_pair(self, base: Candidate, one: Change, other: Change) -> Candidate | None:
        greatest = other.values(self._job, self._ground)[-1]
        with_other = replace(base, job=other.apply(base.job, greatest))
        first = self._least(with_other, one)
        if first is None:
            return None
        change, value = first.parts[-1]
        return self._least(replace(first, job=change.apply(base.job, value)), other)

    def _may_start(self, job: Job) -> bool:
        """Ask the pass only where free counts alone do not say no, and as long as the search may go on."""
        return self._tries < _TRIES_MAX and self._has_room(job) and self.starts(job)

    def _has_room(self, job: Job) -> bool:
        stopped = self._pass_for(job)
        return any(has_room(job, name, stopped, self._policy) for name in job.spec.partitions or (job.partition,))

    def _pass_for(self, job: Job) -> Pass:
        key = job.spec.partitions or (job.partition,)
        stopped = self._passes.get(key)
        if stopped is None:
            stopped = Pass(replace(self._snapshot, pending=(*self._others, job)), self._policy, 0)
            stopped.run_before(job.id)
            self._passes[key] = stopped
        return stopped


def has_room(job: Job, partition_name: str, stopped: Pass, policy: Policy) -> bool:
    """Could free nodes hold the job by their counts, whatever is planned?  False is certain, True is not."""
    partition = stopped.snapshot.partitions.get(partition_name)
    if partition is None:
        return False
    needs = compute_needs(job.spec, partition, policy)
    shape = Shape(needs, partition, job.limit_s, stopped.working)
    nodes = tasks = 0
    for (level, is_usable), count in stopped.working.count_levels().items():
        offer = shape.offer(level) if is_usable and shape.suits(level.kind) else 0
        if offer:
            nodes += count
            tasks += count * offer
    return nodes >= needs.nodes_min and tasks >= needs.tasks


def _first(count: int, holds: Callable[[int], bool]) -> int | None:
    """Return the first place that holds, where all after it do too; None if not even the last one does."""
    if not count or not holds(count - 1):
        return None
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _cost(change: Change, place: int, count: int) -> float:
    return change.cost + (change.span * (place + 1) / count if change.span else 0.0)


def _add(candidate: Candidate, change: Change, value: Any, cost: float) -> Candidate:
    return Candidate(change.apply(candidate.job, value), (*candidate.parts, (change, value)), candidate.cost + cost)


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
    whole = [f"{setting} {name}" for setting in settings if setting.startswith("scontrol ")]
    keys = [setting for setting in settings if not setting.startswith("scontrol ")]
    if keys:
        whole.append(f"scontrol update JobId={name} {' '.join(keys)}")
    return " && ".join(whole)
