"""One job's wait, answered in full: every blocker with its numbers and holders, and what would stand after them.

A pass stops at the first thing that keeps a job from starting; here every check is made, as if all others were passed:
what holds the job itself, each of its partitions on its own, licenses, throttle, and the room on the nodes.  Whose
turn it is comes from the last pass; a job that no pass has looked at (it is held, say) is put into one.

Invariant: a pending job has a blocker.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from sluice import hostlist
from sluice.model.explanation import Explanation, FunnelStep, Outlook, Suggestion
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason
from sluice.model.request import Dependency
from sluice.model.states import Hold, JobState

from . import explain, funnel, sharers
from .decide import decide
from .forecast import Score
from .holders import Holders, find_holders
from .limits import find_license_blocker, find_orphan_blocker, find_partition_blocker
from .needs import compute_needs
from .plan import Plan, PlannedStart
from .queue import rank_queue
from .ranking import rank_blockers
from .search import find_idle, find_now
from .shapes import Shape, is_user_sensitive
from .snapshot import Policy, Snapshot
from .whatif import could_hold, find_changes, narrow
from .working import WorkingCopy

#: What is judged here from the snapshot; a pass's word on it may be older.
_JUDGED_HERE = frozenset(
    {
        Reason.NONE,
        Reason.PARTITION_DOWN,
        Reason.PARTITION_INACTIVE,
        Reason.PARTITION_NODE_LIMIT,
        Reason.PARTITION_TIME_LIMIT,
        Reason.LICENSES,
        Reason.JOB_ARRAY_TASK_LIMIT,
        Reason.BAD_CONSTRAINTS,
        Reason.REQ_NODE_NOT_AVAIL,
        Reason.RESOURCES,
    }
)


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


def answer_all(questions: Sequence[Question]) -> list[Explanation]:
    """Return the answers to questions about one snapshot; what they share is worked out once."""
    waits = any(question.job.state is JobState.PENDING for question in questions)
    working = WorkingCopy(questions[0].snapshot, questions[0].policy) if waits else None
    return [answer(question, working) for question in questions]


def answer(question: Question, working: WorkingCopy | None = None) -> Explanation:
    """Return everything about the job; for one that does not wait, just itself.

    working: a copy of the question's snapshot from which nothing was taken, made here if there is none.
    """
    job = question.job
    nodes = hostlist.fold(job.nodes) if job.allocation is not None else ""
    known = Explanation(job=job, name=question.name or str(job.id), nodes=nodes)
    if job.state is not JobState.PENDING:
        return known
    plan = _find_plan(question)
    working = working or WorkingCopy(question.snapshot, question.policy)
    outlooks = tuple([_judge(question, plan, partition, working) for partition in _partitions(question)])
    planned = plan.planned.get(job.id)
    if planned is None and plan is not question.plan:
        planned = _started(plan, question)
    place, length = _place(question)
    return replace(
        _with_score(question, known, planned),
        blockers=_rank(question, plan, outlooks),
        outlooks=outlooks,
        planned_start_at=_start_at(question, planned),
        planned_nodes=hostlist.fold(planned.nodes) if planned is not None else "",
        planned_partition=planned.partition if planned is not None else "",
        place=place,
        queue_length=length,
        suggestions=_search(question) if question.is_searching else (),
        is_searched=question.is_searching,
    )


def lift_gates(job: Job) -> Job:
    """Return the job as if nobody held it and it had nothing to wait for."""
    return replace(job, hold=Hold.NONE, dependency=Dependency(), begin_at=None)


def _find_plan(question: Question) -> Plan:
    """Return the last pass's plan, or that of a pass made for the job if the last one says nothing of it.

    While somebody has to act first, there is no start to plan and no turn to wait for.
    """
    job = question.job
    if job.id in question.plan.blockers or job.hold is not Hold.NONE or job.dependency.terms:
        return question.plan
    snapshot = question.snapshot
    up = {name: _as_open(partition) for name, partition in snapshot.partitions.items()}
    others = tuple([each for each in snapshot.pending if each.id != job.id])
    asked = replace(snapshot, partitions=up, pending=(*others, lift_gates(job)))
    return decide(narrow(asked, question.policy, job.id), question.policy, focus_id=job.id)


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


def _judge(question: Question, plan: Plan, partition: Partition, working: WorkingCopy) -> Outlook:
    """Return how the job stands in one of its partitions."""
    job, snapshot = question.job, question.snapshot
    needs = compute_needs(job.spec, partition, question.policy)
    uid = job.spec.uid if is_user_sensitive(working, (job,), snapshot.partitions) else None
    shape = Shape(needs, partition, job.limit_s, working, uid)
    found = [*_partition_blockers(shape), *_shared_blockers(question, shape)]
    outlook = Outlook(partition=partition.name, needs=funnel.describe_needs(needs))
    outlook = _judge_room(question, plan, shape, working, outlook)
    told = {blocker.reason for blocker in found}
    room = [blocker for blocker in outlook.blockers if blocker.reason not in told]
    if not room:
        outlook = replace(outlook, steps=())
    blockers: tuple[Blocker, ...] = (*found, *room, *_of_pass(question, plan, partition))
    if len(job.spec.partitions) > 1:
        blockers = tuple([replace(blocker, partition=partition.name) for blocker in blockers])
    return replace(outlook, blockers=rank_blockers(blockers))


def _partition_blockers(shape: Shape) -> list[Blocker]:
    """Return everything in the partition itself that stands against the job: each is lifted to see the next."""
    found: list[Blocker] = []
    partition = shape.partition
    while (blocker := find_partition_blocker(shape.needs, shape.limit_s, partition)) is not None:
        found.append(blocker)
        if blocker.reason in (Reason.PARTITION_DOWN, Reason.PARTITION_INACTIVE):
            partition = replace(partition, state="UP")
        elif blocker.reason is Reason.PARTITION_TIME_LIMIT:
            partition = replace(partition, max_limit_s=None)
        else:
            break
    return found


def _shared_blockers(question: Question, shape: Shape) -> list[Blocker]:
    """Return what is short of the things that no node has: licenses, and the array's throttle."""
    job, snapshot, others = question.job, question.snapshot, question.others
    clock = (snapshot.now_at, question.policy.utc_offset_s)
    found = []
    for name, count in shape.needs.licenses:
        blocker = find_license_blocker(replace(shape.needs, licenses=((name, count),)), snapshot.licenses_free)
        if blocker is not None:
            found.append(replace(blocker, text=blocker.text + sharers.describe_license_holders(name, others, *clock)))
    throttle = job.pending_array.throttle if job.pending_array else job.spec.array_throttle
    array_id = job.array_job_id or job.id
    running = snapshot.running_tasks.get(array_id, 0)
    if throttle and running >= throttle:
        text = f"{running} of at most {throttle} tasks run{sharers.describe_tasks(array_id, others, *clock)}"
        found.append(Blocker(reason=Reason.JOB_ARRAY_TASK_LIMIT, text=text))
    return found


def _judge_room(question: Question, plan: Plan, shape: Shape, working: WorkingCopy, outlook: Outlook) -> Outlook:
    """Return the outlook with the funnel and what the nodes lack."""
    # A pass over this very state has made sure already that idle nodes would hold it.
    is_sure = plan.version == question.snapshot.version and _waits_for_room(question, plan, outlook.partition)
    if not is_sure and find_idle(shape, working, shape.candidates) is None:
        steps = funnel.compute_steps(shape, working)
        return replace(outlook, steps=steps, blockers=(_unavailable(shape, working),))
    if not could_hold(shape, working) or find_now(shape, working, None) is None:
        steps, holders = funnel.compute_steps(shape, working), find_holders(shape, working, question.snapshot.running)
        return _with_resources(question, replace(outlook, steps=steps), holders)
    kept = _find_kept(question, plan, shape)
    step = _kept_step(question, shape, working, kept) if kept else None
    is_known = question.job.id in plan.blockers
    is_kept = _waits_for_room(question, plan, outlook.partition) if is_known else _is_short(step, shape)
    if step is None or not is_kept:
        return outlook
    steps = (*funnel.compute_steps(shape, working), step)
    return _with_resources(question, replace(outlook, steps=steps, kept_for=tuple(kept)), Holders())


def _is_short(step: FunnelStep | None, shape: Shape) -> bool:
    """Are fewer nodes left than the request needs?"""
    return step is not None and step.nodes < shape.needs.nodes_min


def _with_resources(question: Question, outlook: Outlook, holders: Holders) -> Outlook:
    clock = (question.snapshot.now_at, question.policy.utc_offset_s)
    waits = sharers.describe_holders(holders, *clock)
    text = funnel.write_steps(outlook.steps, outlook.needs) + (f"; waits for {waits}" if waits else "")
    return replace(
        outlook,
        blockers=(Blocker(reason=Reason.RESOURCES, text=text),),
        holders=holders.named,
        holders_left_off=holders.left_off,
    )


def _unavailable(shape: Shape, working: WorkingCopy) -> Blocker:
    """Return why not even all nodes together could hold the job now."""
    required_down = any(not working.is_usable[position] for position in shape.required)
    if not required_down and find_idle(shape, working, shape.configured_candidates()) is not None:
        return explain.down_blocker(shape, working)
    return explain.unavailable_blocker(shape, working)


def _find_kept(question: Question, plan: Plan, shape: Shape) -> dict[int, PlannedStart]:
    """Return the planned starts before the job in the queue that begin before it would end."""
    until_at = question.snapshot.now_at + shape.duration_s
    found = {}
    for job_id, planned in plan.planned.items():
        if job_id == question.job.id:
            break
        if planned.at < until_at and set(planned.nodes) & set(shape.partition.nodes):
            found[job_id] = planned
    return found


def _kept_step(question: Question, shape: Shape, working: WorkingCopy, kept: Mapping[int, PlannedStart]) -> FunnelStep:
    names = {name for planned in kept.values() for name in planned.nodes}
    threshold = funnel.threshold_of(shape.needs)
    free = [each for each in shape.candidates if shape.offer(working.levels[each]) >= threshold]
    left = sum(1 for position in free if working.names[position] not in names)
    clock = (question.snapshot.now_at, question.policy.utc_offset_s)
    return FunnelStep(nodes=left, demand="not kept for planned starts", lost=sharers.describe_planned(kept, *clock))


def _of_pass(question: Question, plan: Plan, partition: Partition) -> list[Blocker]:
    """Return what only a pass knows: whose turn it is, limits, reservations."""
    return [
        blocker
        for blocker in plan.blockers.get(question.job.id, ())
        if blocker.reason not in _JUDGED_HERE and blocker.partition in ("", partition.name)
    ]


def _waits_for_room(question: Question, plan: Plan, partition: str) -> bool:
    """Did the pass find that only free resources are missing there?"""
    told = plan.blockers.get(question.job.id, ())
    return any(each.reason is Reason.RESOURCES and each.partition in ("", partition) for each in told)


def _rank(question: Question, plan: Plan, outlooks: Iterable[Outlook]) -> tuple[Blocker, ...]:
    job = question.job
    found = [*_gates(question), *(blocker for outlook in outlooks for blocker in outlook.blockers)]
    if not _partitions(question):
        found.append(find_orphan_blocker(job))
    if not found:
        found += [blocker for blocker in plan.blockers.get(job.id, ()) if blocker.reason not in _JUDGED_HERE]
    if not found:
        text = "nothing stands against it any more: the next pass looks at it"
        found.append(Blocker(reason=Reason.NONE, text=text))
    return rank_blockers(found)


def _start_at(question: Question, planned: PlannedStart | None) -> float | None:
    """Return when it is expected to start; not told while somebody has to act first."""
    job = question.job
    if job.hold is not Hold.NONE or job.dependency.terms:
        return None
    if planned is None:
        return job.begin_at
    return max(planned.at, job.begin_at or 0.0)


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
    entries, _ = rank_queue(question.snapshot, question.policy)
    ids = list(dict.fromkeys(job.id for job, _ in entries))
    return (ids.index(question.job.id) + 1 if question.job.id in ids else 0), len(ids)


def _search(question: Question) -> tuple[Suggestion, ...]:
    return find_changes(question.snapshot, question.policy, question.job, question.usable_partitions, question.name)
