"""One job's wait, answered in full: every blocker with its numbers and holders, and what would stand after them.

What holds the job itself is gathered here; how it stands in each of its partitions is judge.py's.  Whose turn it is
comes from the last pass; a job that no pass has looked at (it is held, say) is put into one.

Invariant: a pending job has a blocker.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from sluice import hostlist
from sluice.model.explanation import Explanation, Outlook, Suggestion
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason
from sluice.model.request import Dependency
from sluice.model.states import Hold, JobState

from . import explain, sharers
from .departures import lead_id_of
from .forecast import Score
from .judge import Judge, is_judged_here
from .limits.partition import find_orphan_blocker
from .memory import Memory
from .plan import Plan, PlannedStart
from .preempt_texts import (
    describe_departures,
    describe_exempt,
    describe_preemption,
    describe_protection,
    describe_victims,
)
from .queue import cut, rank
from .ranking import rank_blockers
from .snapshot import Policy, Snapshot
from .stage import Stage, set_stage
from .whatif import find_changes


class Question(msgspec.Struct, frozen=True):
    """A job and all that is known around it.

    plan: the last pass's.  others: jobs that it may wait for or share with, by id.  is_searching: look for changes with
    which it would start now.  usable_partitions: those that its user may name.
    """

    snapshot: Snapshot
    policy: Policy
    plan: Plan
    job: Job
    name: str = ""
    others: Mapping[int, Job] = {}
    is_searching: bool = False
    usable_partitions: tuple[str, ...] = ()
    is_never_satisfied: bool = False
    #: How good planned starts have been lately.
    score: Score | None = None


def answer_all(questions: Sequence[Question], memory: Memory | None = None) -> list[Explanation]:
    """Return the answers to questions about one snapshot; what they share is worked out once.

    memory: of earlier questions; it makes answers faster, never different.
    """
    waiting = [question.job for question in questions if question.job.state is JobState.PENDING]
    if not waiting:
        return [_known(question) for question in questions]
    snapshot, policy = questions[0].snapshot, questions[0].policy
    ids = {job.id for job in waiting}
    # Also those that are held: how nodes are looked at may depend on what is asked of them.
    others = tuple([job for job in snapshot.pending if job.id not in ids])
    with set_stage(replace(snapshot, pending=(*others, *waiting)), policy, memory) as stage:
        judge = Judge(stage, waiting)
        return [_answer(question, stage, judge) for question in questions]


def answer(question: Question, memory: Memory | None = None) -> Explanation:
    """Return everything about the job; for one that does not wait, just itself."""
    return answer_all([question], memory)[0]


def _known(question: Question) -> Explanation:
    job = question.job
    nodes = hostlist.fold(job.nodes) if job.allocation is not None else ""
    snapshot, policy = question.snapshot, question.policy
    clock = snapshot.now_at, policy.utc_offset_s
    note = describe_preemption(job, *clock)
    if not note and job.state is JobState.RUNNING:
        note = describe_protection(lead_id_of(job), question.plan.exempt, *clock)
    return Explanation(job=job, name=question.name or str(job.id), nodes=nodes, note=note)


def _answer(question: Question, stage: Stage, judge: Judge) -> Explanation:
    job, known = question.job, _known(question)
    if job.state is not JobState.PENDING:
        return known
    plan = _find_plan(question, stage)
    outlooks = tuple(
        [
            outlook
            for partition in _partitions(question)
            for outlook in judge.judge(job, partition, plan, question.others)
        ]
    )
    planned = plan.planned.get(job.id)
    if planned is None and plan is not question.plan:
        planned = _started(plan, question)
    place, length = _place(question)
    return replace(
        _with_score(question, known, planned),
        note=_note(question, plan, planned),
        blockers=_rank(question, plan, outlooks),
        outlooks=outlooks,
        planned_start_at=_start_at(question, planned),
        planned_nodes=hostlist.fold(planned.nodes) if planned is not None else "",
        planned_partition=planned.partition if planned is not None else "",
        place=place,
        queue_length=length,
        suggestions=_search(question, stage) if question.is_searching else (),
        # What one component might ask for instead says nothing of whether all of them start.
        is_searched=question.is_searching and not job.is_component,
    )


def lift_gates(job: Job) -> Job:
    """Return the job as if nobody held it and it had nothing to wait for."""
    return replace(job, hold=Hold.NONE, awaits_command=False, dependency=Dependency(), begin_at=None)


def _find_plan(question: Question, stage: Stage) -> Plan:
    """Return the last pass's plan, or that of a pass made for the job if the last one says nothing of it.

    While somebody has to act first, there is no start to plan and no turn to wait for.
    """
    job = question.job
    if job.id in question.plan.blockers or job.is_held_back or job.dependency.terms:
        return question.plan
    snapshot = question.snapshot
    up = {name: _as_open(partition) for name, partition in snapshot.partitions.items()}
    others = tuple([each for each in snapshot.pending if each.id != job.id])
    asked = replace(snapshot, partitions=up, pending=(*others, lift_gates(job)))
    queue = rank(asked, question.policy)
    if not job.is_component:
        queue = cut(queue, question.policy, job.id)
    return stage.decide(asked, question.policy, focus_id=job.id, queue=queue)


def _as_open(partition: Partition) -> Partition:
    return partition if partition.state == "UP" else replace(partition, state="UP")


def _partitions(question: Question) -> list[Partition]:
    known, job = question.snapshot.partitions, question.job
    return [known[name] for name in job.spec.partitions or (job.partition,) if name in known]


def _gates(question: Question) -> tuple[Blocker, ...]:
    """Return what holds the job itself, with what it waits for."""
    job, snapshot, policy = question.job, question.snapshot, question.policy
    found = []
    held = explain.held_blockers(job, snapshot.now_at, policy.utc_offset_s, question.is_never_satisfied)
    for blocker in held:
        if blocker.reason in (Reason.DEPENDENCY, Reason.DEPENDENCY_NEVER_SATISFIED):
            awaited = sharers.describe_awaited(job, question.others, snapshot.now_at, policy.utc_offset_s)
            blocker = replace(blocker, text=f"{blocker.text}{awaited}")
        found.append(blocker)
    return tuple(found)


def _rank(question: Question, plan: Plan, outlooks: Iterable[Outlook]) -> tuple[Blocker, ...]:
    job = question.job
    found = [*_gates(question), *(blocker for outlook in outlooks for blocker in outlook.blockers)]
    if not _partitions(question):
        found.append(find_orphan_blocker(job))
    if not found:
        # Of a component that has nothing against itself, only a pass knows how it stands beside the others.
        told = plan.blockers.get(job.id, ())
        found += [each for each in told if job.is_component or not is_judged_here(each.reason)]
    if not found:
        text = "nothing stands against it any more: the next pass looks at it"
        found.append(Blocker(reason=Reason.NONE, text=text))
    return rank_blockers(found)


def _start_at(question: Question, planned: PlannedStart | None) -> float | None:
    """Return when it is expected to start, now at the earliest; not told while somebody has to act first."""
    job = question.job
    if job.is_held_back or job.dependency.terms:
        return None
    if planned is None:
        return job.begin_at
    return max(planned.at, job.begin_at or 0.0, question.snapshot.now_at)


def _note(question: Question, plan: Plan, planned: PlannedStart | None) -> str:
    """Return what else is to be known of its start: whom it preempts, and what its deadline means."""
    job, start_at = question.job, _start_at(question, planned)
    lead_id, clock = lead_id_of(job), (question.snapshot.now_at, question.policy.utc_offset_s)
    later = plan.exempt.get(lead_id)
    found = (
        describe_victims(plan.preemptions, lead_id)
        or describe_departures(question.snapshot.leaving, lead_id, *clock)
        or ("" if later is None else describe_exempt(later, *clock)),
        explain.describe_deadline(job, start_at, *clock),
    )
    return "; ".join(filter(None, found))


def _with_score(question: Question, known: Explanation, planned: PlannedStart | None) -> Explanation:
    """Return the explanation with what such plans have been worth lately."""
    score, at = question.score, _start_at(question, planned)
    if score is None or planned is None or at is None:
        return known
    likely_at, safe_at = score.likely_at(question.snapshot.now_at, at)
    begin_at = question.job.begin_at or 0.0
    return replace(
        known,
        likely_start_at=max(likely_at, begin_at),
        safe_start_at=max(safe_at, begin_at),
        forecasts_scored=score.count,
        late_share=score.late_share,
    )


def _started(plan: Plan, question: Question) -> PlannedStart | None:
    """Return the start that the job gets in a pass of its own, as one that is planned for now."""
    start = next((start for start in plan.starts if start.job_id == question.job.id), None)
    if start is None:
        return None
    return PlannedStart(question.snapshot.now_at, start.allocation.nodes, start.partition)


def _place(question: Question) -> tuple[int, int]:
    """Return the job's place in the queue and the queue's length; 0 if it is not in it."""
    entries = rank(question.snapshot, question.policy).entries
    ids = list(dict.fromkeys(job.id for job, _ in entries))
    return (ids.index(question.job.id) + 1 if question.job.id in ids else 0), len(ids)


def _search(question: Question, stage: Stage) -> tuple[Suggestion, ...]:
    usable = question.usable_partitions
    return find_changes(question.snapshot, stage, question.job, usable, question.name, question.plan)
