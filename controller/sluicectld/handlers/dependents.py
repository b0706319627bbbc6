"""Jobs that wait for others: judged again when one of those starts or ends, released, marked or cancelled.

state/dependencies.py says what a condition means; here is what follows from it.  Nobody is judged twice for one change,
and a job is judged by counts of an array (tally.py), so that the tasks of large arrays can end in any number.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sluice import array_spec
from sluice.errors import InvalidRequest
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.request import Dependency, DependencyTerm
from sluice.model.states import Ending, Hold, JobState
from sluicectld.state import arrays
from sluicectld.state.dependencies import Verdict, judge, resolve
from sluicectld.state.events import JobEnded, JobRevised, TasksCancelled
from sluicectld.state.timers import Due

from .components import pending_siblings
from .turn import Turn

if TYPE_CHECKING:
    from sluicectld.state.cluster import Cluster

SINGLETON = "singleton"


def wake_dependents(turn: Turn, job: Job) -> None:
    """Judge again every pending job that waits for this one, its array, or its name."""
    cluster = turn.cluster
    if not cluster.dependents:
        return
    waiting = set(cluster.dependents.get(job.id, ()))
    if job.array_job_id:
        waiting |= cluster.dependents.get(job.array_job_id, set())
    named = cluster.dependents.get(0)
    if named:
        waiting |= named & cluster.active_by_name.get((job.spec.name, job.spec.uid), set())
    _judge_all(turn, sorted(waiting))


def _judge_all(turn: Turn, job_ids: list[int]) -> None:
    """Judge these and, one after the other, whoever is woken by that: chains of dependents may be long."""
    is_first = not turn.to_judge
    turn.to_judge.extend(job_ids)
    while is_first and turn.to_judge:
        # Taken out afterwards: what is woken meanwhile finds the queue in use.
        judge_dependency(turn, turn.to_judge[0])
        turn.to_judge.popleft()


def judge_dependency(turn: Turn, job_id: int) -> None:
    """Drop the terms that hold by now; cancel or mark the job whose dependency can never hold."""
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state is not JobState.PENDING or not job.dependency.terms:
        return
    left, is_never = resolve(job.dependency, lambda term: _verdict(turn, job, term))
    lost = () if is_never else _lost_tasks(turn.cluster, replace(job, dependency=left))
    if is_never or (lost and array_spec.count(lost) == _task_count(job)):
        give_up(turn, job)
        return
    if left != job.dependency or job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
        turn.emit(JobRevised(at=turn.now_at, job=_with_dependency(turn, job, left), what="dependency"))
        turn.is_pass_due = True
    if lost and must_end(turn, job):
        cancel_tasks(turn, turn.job(job_id), lost, job.spec.uid)


def _with_dependency(turn: Turn, job: Job, left: Dependency) -> Job:
    eligible_at = job.eligible_at
    if not left.terms and job.hold is Hold.NONE:
        eligible_at = max(turn.now_at, job.begin_at or 0.0)
    return replace(job, dependency=left, eligible_at=eligible_at, reason=Reason.NONE)


def _verdict(turn: Turn, job: Job, term: DependencyTerm) -> Verdict:
    verdict = _verdict_now(turn, job, term)
    other = turn.cluster.outcome(term.job_id, term.task_id) if term.type == "after" else None
    if verdict is Verdict.WAITS and other is not None and other.has_started:
        assert other.started_at is not None, "it has started, but when"
        turn.timers.add(other.started_at + term.delay_s, Due.DEPENDENCY, job.id)
    return verdict


def _verdict_now(turn: Turn, job: Job, term: DependencyTerm) -> Verdict:
    """Return what a condition comes to; nothing is changed."""
    if term.type == SINGLETON:
        return _judge_singleton(turn.cluster, job)
    if term.type == "aftercorr" and job.pending_array is not None:
        # Task by task: arrays.ready_tasks() tells which may start.
        return Verdict.WAITS
    task_id = job.array_task_id if term.type == "aftercorr" and term.job_id in turn.cluster.tallies else term.task_id
    other = turn.cluster.outcome(term.job_id, task_id)
    if other is None and job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
        # It was known when this was judged, and has left memory since.
        return Verdict.NEVER
    return judge(term, other, turn.now_at)


def as_judged(turn: Turn, job: Job) -> Job:
    """Return a job that is not submitted with what is left of its dependency; its reason tells one that never holds."""
    left, is_never = resolve(job.dependency, lambda term: _verdict_now(turn, job, term))
    if is_never:
        return replace(job, reason=Reason.DEPENDENCY_NEVER_SATISFIED)
    return _with_dependency(turn, job, left)


def _judge_singleton(cluster: "Cluster", job: Job) -> Verdict:
    """Wait for those of the same name and user that have started, and for singletons that go first."""
    for other_id in cluster.active_by_name.get((job.spec.name, job.spec.uid), ()):
        other = cluster.jobs[other_id]
        if other_id == job.id or other.array_job_id == job.id:
            continue
        if job.is_component and other.het_job_id == job.het_job_id:
            continue
        if other.state is not JobState.PENDING or _goes_first(other, job):
            return Verdict.WAITS
    return Verdict.HOLDS


def _goes_first(other: Job, job: Job) -> bool:
    """Is the pending job a singleton that is free to start, or will be before this one?"""
    if other.is_held_back or all(term.type != SINGLETON for term in other.spec.dependency.terms):
        return False
    if not other.dependency.terms:
        return True
    return other.id < job.id and all(term.type == SINGLETON for term in other.dependency.terms)


def _lost_tasks(cluster: "Cluster", job: Job) -> array_spec.Ranges:
    """Return the tasks of an array whose counterparts (aftercorr) will never succeed, once all of those have ended."""
    terms = job.dependency.terms
    if job.pending_array is None or not terms or any(term.type != "aftercorr" for term in terms):
        return ()
    outcomes = [cluster.outcome(term.job_id) for term in terms]
    if not all(outcome is None or outcome.is_ended for outcome in outcomes):
        return ()
    return array_spec.remove(job.pending_array.ranges, arrays.ready_tasks(job, cluster))


def _task_count(job: Job) -> int:
    return array_spec.count(job.pending_array.ranges) if job.pending_array is not None else 0


def give_up(turn: Turn, job: Job) -> None:
    """The job's dependency can never hold: cancel it if it or the site wants that, else mark it."""
    if must_end(turn, job):
        for each in (job, *pending_siblings(turn.cluster, job)):
            _cancel_hopeless(turn, each)
    elif job.reason is not Reason.DEPENDENCY_NEVER_SATISFIED:
        revised = replace(job, reason=Reason.DEPENDENCY_NEVER_SATISFIED)
        turn.emit(JobRevised(at=turn.now_at, job=revised, what="dependency"))


def _cancel_hopeless(turn: Turn, job: Job) -> None:
    turn.emit(
        JobEnded(
            at=turn.now_at,
            job_id=job.id,
            state=JobState.CANCELLED,
            ending=Ending.CANCEL,
            reason=Reason.DEPENDENCY_NEVER_SATISFIED,
            reason_text="its dependency can never be satisfied",
            by_uid=job.spec.uid,
        )
    )
    turn.timers.add(turn.now_at + turn.settings.min_job_age_s, Due.FORGET, job.id)
    wake_dependents(turn, job)


def check_circle(cluster: "Cluster", job: Job, dependency: Dependency) -> None:
    """Raise InvalidRequest if *job* would wait for itself, by way of others or not: nobody of them would ever start."""
    own = {job.id, job.array_job_id} - {0}
    # (job, which of those that are asked for led to it)
    asked = [(term.job_id, term.job_id) for term in dependency.terms if term.job_id]
    seen: set[int] = set()
    while asked:
        other_id, first = asked.pop()
        if other_id in own:
            by_way_of = "" if first in own else f" by way of job {first}"
            raise InvalidRequest(f"job {job.id} cannot depend on itself{by_way_of}", "dependency")
        other = cluster.jobs.get(other_id)
        if other_id in seen or other is None or other.state is not JobState.PENDING:
            continue
        seen.add(other_id)
        asked += [(term.job_id, first) for term in other.dependency.terms if term.job_id]


def must_end(turn: Turn, job: Job) -> bool:
    """Is the job to be cancelled when its dependency can never hold?"""
    if job.spec.kill_on_invalid_dependency is not None:
        return job.spec.kill_on_invalid_dependency
    return "kill_invalid_depend" in turn.settings.dependency_parameters


def cancel_tasks(turn: Turn, base: Job, tasks: array_spec.Ranges, by_uid: int) -> None:
    """Cancel some pending tasks of an array: they end as one record of their own."""
    new_id = turn.cluster.next_job_id
    turn.emit(TasksCancelled(at=turn.now_at, job_id=base.id, ranges=tasks, new_id=new_id, by_uid=by_uid))
    turn.timers.add(turn.now_at + turn.settings.min_job_age_s, Due.FORGET, new_id)
    wake_dependents(turn, base)
