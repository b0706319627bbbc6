"""On whom a job waits: the running jobs that hold what it lacks, by their end, until enough would be free.

Each node that could serve the job gets its running jobs' resources back in the order of their expected ends, until the
nodes together hold the request.  A job counts as a holder if a node had more to offer once it was gone.  Planned starts
of other jobs are not looked at here: they are the funnel's last word.

Invariant: without the last holder that is named, the nodes would not hold the request.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from sluice import hostlist
from sluice.model.allocation import NodeGrant
from sluice.model.explanation import Holder

from .funnel import threshold_of
from .levels import Level
from .needs import Needs
from .offer import Share
from .shapes import Shape
from .snapshot import RunningJob
from .timeline import read_take
from .working import WorkingCopy

#: Holders that an answer names.
HOLDERS_MAX = 10
#: Jobs of one node among which those that matter are told apart.
_PARTS_WEIGHED_MAX = 16
_NEVER = float("inf")
#: What a running job has of one node.
_Part = tuple[RunningJob, NodeGrant]


class Holders(msgspec.Struct, frozen=True):
    """named: at most HOLDERS_MAX.  is_enough: once all of them are gone the request fits."""

    named: tuple[Holder, ...] = ()
    left_off: int = 0
    is_enough: bool = False


def find_holders(shape: Shape, working: WorkingCopy, running: Iterable[RunningJob]) -> Holders:
    """Return the running jobs whose end would make room for the request."""
    room = _Room(shape, working)
    if room.is_enough():
        return Holders(is_enough=True)
    found: dict[int, list[NodeGrant]] = {}
    jobs: dict[int, RunningJob] = {}
    for job in sorted(running, key=lambda job: (_end_of(job), job.job_id)):
        for grant in job.allocation.grants:
            for holder, its_grant in room.give_back(working.position_by_name.get(grant.node, -1), job, grant):
                found.setdefault(holder.job_id, []).append(its_grant)
                jobs[holder.job_id] = holder
        if room.has_changed and room.is_enough():
            break
    ranked = sorted(jobs.values(), key=lambda job: (_end_of(job), job.job_id))
    named = tuple([_describe(job, found[job.job_id]) for job in ranked[:HOLDERS_MAX]])
    return Holders(named, max(len(ranked) - HOLDERS_MAX, 0), room.is_enough())


class _Room:
    """What the nodes that suit the job would offer, as running jobs leave them."""

    def __init__(self, shape: Shape, working: WorkingCopy) -> None:
        self._shape = shape
        self._table = working.table
        self._threshold = threshold_of(shape.needs)
        self.levels = {position: working.levels[position] for position in shape.candidates}
        #: By node: what has ended there without giving it more to offer, and the level before that.
        self._vain: dict[int, tuple[Level, list[_Part]]] = {}
        self.has_changed = False
        self._tasks = self._nodes = 0
        self._offers: dict[int, int] = {}
        for position, level in self.levels.items():
            self._note(position, level)

    def give_back(self, position: int, job: RunningJob, grant: NodeGrant) -> list[_Part]:
        """Return whose parts of the node make it offer more, now that this one ends; nothing if it does not."""
        level = self.levels.get(position)
        if level is None:
            return []
        after = self.levels[position] = self._after(level, grant)
        before, parts = self._vain.pop(position, (level, []))
        parts.append((job, grant))
        if self._note(position, after) or self._share(after) > self._share(level):
            return self._needed(before, parts, after)
        self._vain[position] = (before, parts)
        return []

    def _needed(self, before: Level, parts: list[_Part], after: Level) -> list[_Part]:
        """Return the parts without those that the node's offer does not depend on."""
        if len(parts) > _PARTS_WEIGHED_MAX:
            return parts
        needed = parts
        for part in parts[:-1]:
            rest = [each for each in needed if each is not part]
            level = before
            for _, grant in rest:
                level = self._after(level, grant)
            if self._shape.offer(level) >= self._shape.offer(after) and self._share(level) >= self._share(after):
                needed = rest
        return needed

    def _after(self, level: Level, grant: NodeGrant) -> Level:
        return self._table.give_back(level, read_take(level.kind, grant))

    def is_enough(self) -> bool:
        """Would the nodes hold the request?"""
        needs = self._shape.needs
        self.has_changed = False
        if self._nodes < needs.nodes_min or self._tasks < needs.tasks:
            return False
        if needs.nodes_max and sum(sorted(self._offers.values(), reverse=True)[: needs.nodes_max]) < needs.tasks:
            return False
        if any(not self._offers.get(position) for position in self._shape.required):
            return False
        return _has_shares(needs, self.levels.values(), self._shape.share)

    def _share(self, level: Level) -> Share:
        return self._shape.share(level) if self._shape.needs.gres_per_job else ()

    def _note(self, position: int, level: Level) -> bool:
        offer = self._shape.offer(level)
        if offer < self._threshold:
            return False
        before = self._offers.get(position, 0)
        if offer <= before:
            return False
        self._offers[position] = offer
        self._tasks += offer - before
        self._nodes += not before
        self.has_changed = True
        return True


def _has_shares(needs: Needs, levels: Iterable[Level], share: Callable[[Level], Share]) -> bool:
    if not needs.gres_per_job:
        return True
    totals = [sum(units) for units in zip(*map(share, levels), strict=True)]
    return all(have >= item.count for have, item in zip(totals, needs.gres_per_job, strict=False))


def _end_of(job: RunningJob) -> float:
    return _NEVER if job.expected_end_at is None else job.expected_end_at


def _describe(job: RunningJob, grants: Sequence[NodeGrant]) -> Holder:
    return Holder(
        job_id=job.job_id,
        name=job.name,
        nodes=hostlist.fold([grant.node for grant in grants]),
        end_at=job.expected_end_at,
        holds=_describe_grants(grants),
    )


def _describe_grants(grants: Sequence[NodeGrant]) -> str:
    cpus = sum(grant.cpu_count for grant in grants)
    words = [f"{cpus} CPU" if cpus == 1 else f"{cpus} CPUs"]
    memory_mib = sum(grant.memory_mib for grant in grants)
    if memory_mib:
        words.append(f"{memory_mib} MiB")
    counts: dict[str, int] = {}
    for grant in grants:
        for item in grant.gres:
            word = f"{item.name}:{item.type}" if item.type else item.name
            counts[word] = counts.get(word, 0) + item.count
    return ", ".join([*words, *(f"{count} {word}" for word, count in counts.items())])
