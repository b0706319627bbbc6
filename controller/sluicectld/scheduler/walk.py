"""The order in which a pass comes to the jobs, and the short cuts past those of whom all is known already.

Each short cut leaves what Pass.consider() would: it is taken only where nothing but room decides, and some of them only
where nobody reads more than the reason.

Invariant: every entry is considered, or left with its blockers.
"""

import itertools
from typing import TYPE_CHECKING

from sluice.model.states import JobState

from . import verdicts
from .matches import Match
from .memory import find_shape
from .patience import rank_candidates
from .search import find_now
from .standing import Entry
from .tail import Tail
from .tracks import NEVER

if TYPE_CHECKING:
    from .decide import Pass


def walk(one_pass: "Pass", entries: list[Entry]) -> None:
    """Consider the entries in their order, or first those that may be planned and then the rest in another one."""
    policy = one_pass.policy
    if not (policy.is_shortest_first or policy.is_predicting):
        _walk_through(one_pass, entries)
        return
    rest: list[Entry] = []
    for place, entry in enumerate(entries):
        if one_pass.has_started_most():
            _leave_for_next_pass(one_pass, rest + entries[place:])
            return
        if one_pass.planner.is_full(entry[1].name) and entry[0].state is not JobState.SUSPENDED:
            rest.append(entry)
        else:
            one_pass.consider(*entry)
    if policy.is_predicting:
        rest = rank_candidates(rest, one_pass.snapshot.now_at, one_pass.snapshot.predicted_s, policy.patience)
    else:
        rest.sort(key=_limit_of)
    _walk_through(one_pass, rest)


def _walk_through(one_pass: "Pass", entries: list[Entry]) -> None:
    policy, matches = one_pass.policy, one_pass.scene.matches
    is_strict = one_pass.is_quiet and not policy.is_backfilling
    has_tail = one_pass.is_quiet and not policy.keeps_promises
    index = head_count = 0
    while index < len(entries):
        if one_pass.has_started_most():
            _leave_for_next_pass(one_pass, entries[index:])
            return
        if is_strict and one_pass.heads.count > head_count:
            head_count = one_pass.heads.count
            if _wait_behind(one_pass, entries[index:]):
                return
        job, partition = entries[index]
        if has_tail and one_pass.planner.is_full(partition.name):
            done = _start_of_tail(one_pass, entries[index:])
            index += done
            if done:
                continue
        match = matches.get((job.id, partition.name))
        is_known = match is not None and match.is_plain and match.job is job and match.partition is partition
        if match is None or not (is_known and (_waits_as_twins(one_pass, match) or _stands(one_pass, match))):
            one_pass.consider(job, partition)
        index += 1


def _wait_behind(one_pass: "Pass", entries: list[Entry]) -> bool:
    """Leave the rest of strict queues waiting, if a job of each waits already; return whether that is so."""
    if not all(map(one_pass.heads.has, {partition.name for _, partition in entries})):
        return False
    waiting = [job.id for job, _ in entries if job.id not in one_pass.started_ids]
    one_pass.blockers.update(dict.fromkeys(waiting, (verdicts.PRIORITY,)))
    return True


def _waits_as_twins(one_pass: "Pass", match: Match) -> bool:
    """Is all known that can be said of a plain job, because it was said of another one of its shape?"""
    shape, job_id = match.shape, match.job.id
    blockers = shape.blockers
    if blockers is None or shape.may_plan or shape.pass_number != one_pass.scene.pass_number:
        return False
    if not one_pass.is_simple or job_id == one_pass.focus_id or job_id in one_pass.places.slots:
        return False
    one_pass.tested += 1
    one_pass.blockers[job_id] = blockers
    return True


def _stands(one_pass: "Pass", match: Match) -> bool:
    """Does a plain job's promise stand as it is?  Otherwise it may be taken back: the job is to be looked at."""
    job_id = match.job.id
    kept = one_pass.places.slots.get(job_id) if one_pass.is_quiet else None
    if kept is None or kept[0].at <= one_pass.snapshot.now_at or not kept[1].is_plain:
        return False
    if one_pass.is_freed:
        slot, shape = kept
        if one_pass.timeline.take_out_if_earlier(job_id, shape.ask, slot.parts[0].position, slot.at):
            del one_pass.places.slots[job_id]
            shape.begin()
            return False
    one_pass.places.planned[job_id] = one_pass.snapshot.promised[job_id]
    one_pass.blockers[job_id] = (verdicts.PRIORITY,)
    return True


def _start_of_tail(one_pass: "Pass", entries: list[Entry]) -> int:
    """Start what fits of the plain jobs at the beginning; return how many entries are done with."""
    full = {name for name in one_pass.snapshot.partitions if one_pass.planner.is_full(name)}
    tail = Tail(one_pass.scene, one_pass.policy, itertools.takewhile(lambda entry: entry[1].name in full, entries))
    count = len(tail)
    one_pass.tested += count
    started: set[int] = set()
    first = 0
    while (index := tail.find_start(first)) is not None and not one_pass.has_started_most():
        shape = find_shape(one_pass.scene, *entries[index], one_pass.policy)
        parts = find_now(shape, one_pass.working, one_pass.timeline)
        assert parts is not None, "a job that fits has a place"
        one_pass.start(entries[index][0], shape, parts, None)
        started.add(index)
        first = index + 1
    if index is not None:
        count = index
    waiting = [entries[place][0].id for place in range(count) if place not in started]
    one_pass.blockers.update(dict.fromkeys(waiting, (verdicts.PRIORITY,)))
    return count


def _leave_for_next_pass(one_pass: "Pass", entries: list[Entry]) -> None:
    one_pass.has_more = True
    blockers = (verdicts.next_pass(len(one_pass.ledger.starts)),)
    for job_id in one_pass.gangs.unfinished():
        one_pass.blockers.setdefault(job_id, blockers)
    for job, partition in entries:
        if job.id in one_pass.started_ids or job.state is JobState.SUSPENDED:
            continue
        if job.id == one_pass.focus_id:
            one_pass.consider(job, partition)
        else:
            one_pass.blockers.setdefault(job.id, blockers)


def _limit_of(entry: Entry) -> float:
    limit_s = entry[0].limit_s
    return NEVER if limit_s is None else limit_s
