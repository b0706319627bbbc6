"""Why jobs wait: the state is gathered in the loop, the answer is worked out in the questions' thread."""

from collections.abc import Iterator

from msgspec.structs import replace

from sluice import array_spec, jobid_spec
from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice.model.explanation import Explanation
from sluice.model.job import Job, PendingArray
from sluice.model.reason import Reason
from sluice.model.request import JobSpec
from sluice.wire.messages import ExplainJobs, Explanations
from sluicectld.handlers.admission import check_access
from sluicectld.handlers.select import jobs_of_id
from sluicectld.scheduler.inquiry import Question, answer_all
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.snapshot import Snapshot
from sluicectld.state.arrays import name_of
from sluicectld.state.cluster import Cluster
from sluicectld.store.read import read_jobs

from .call import Call

#: Jobs in one answer: each may cost passes.
EXPLAINED_MAX = 50


def answer_explain(call: Call, request: ExplainJobs) -> None:
    """Answer with everything about each of the jobs; of ended ones, from the database, too."""
    specs = [spec for text in request.ids for spec in jobid_spec.parse_list(text)]
    call.core.after_commit(call.responder, lambda: _explain(call, specs, request.is_brief))


def _explain(call: Call, specs: list[jobid_spec.JobIdSpec], is_brief: bool) -> None:
    core = call.core
    now_at = core.clock.now()
    cluster = core.engine.cluster
    snapshot = core.passes.view(now_at)
    found = [list(_jobs_of(cluster, spec)) for spec in specs]
    asked = [
        [ask(call, snapshot, job, name, is_searching=not is_brief) for job, name in jobs[: EXPLAINED_MAX + 1]]
        for jobs in found
    ]

    def work(memory: Memory) -> Explanations:
        answers: list[Explanation] = []
        for spec, questions in zip(specs, asked, strict=True):
            answers += answer_all(questions, memory) if questions else _from_database(call, spec)
        return Explanations(jobs=tuple(answers), now_at=now_at)

    if sum(map(len, asked)) > EXPLAINED_MAX:
        error = InvalidRequest(f"more than {EXPLAINED_MAX} jobs asked about, name fewer")
        call.responder.error(error)
        return
    core.answer_question(call.responder, work)


def ask(call: Call, snapshot: Snapshot, job: Job, name: str, is_searching: bool) -> Question:
    """Return the question about one job, with what the answer may need of the state."""
    core = call.core
    return Question(
        snapshot=snapshot,
        policy=core.questions.policy(core.engine.policy),
        plan=core.passes.plan,
        job=job,
        name=name,
        others={other.id: other for other in _others(core.engine.cluster, job)},
        is_searching=is_searching,
        usable_partitions=usable_partitions(call, job.spec) if is_searching else (),
        score=core.passes.forecasts.score(),
        is_never_satisfied=job.reason is Reason.DEPENDENCY_NEVER_SATISFIED,
    )


def usable_partitions(call: Call, spec: JobSpec) -> tuple[str, ...]:
    """Return the partitions that the job's user may name."""
    groups = call.callers.groups(spec.user, spec.gid)
    found = []
    for partition in call.core.engine.cluster.partitions.values():
        try:
            check_access(call.caller, partition, spec, groups)
        except RequestError:
            continue
        found.append(partition.name)
    return tuple(found)


def _jobs_of(cluster: Cluster, spec: jobid_spec.JobIdSpec) -> Iterator[tuple[Job, str]]:
    """Yield (job, its name) of one id in memory; of an array that still waits, the waiting part alone."""
    named = jobs_of_id(cluster, spec)
    if spec.tasks is None:
        named = [pair for pair in named if pair[0].pending_array is not None] or named
    for job, tasks in named:
        if tasks is not None:
            assert job.pending_array is not None, f"job {job.id} has no pending tasks"
            job = replace(job, pending_array=PendingArray(ranges=tasks, throttle=job.pending_array.throttle))
        yield job, name_of(job)


def _others(cluster: Cluster, job: Job) -> Iterator[Job]:
    """Yield the jobs that the answer may speak of: awaited ones, and running tasks of its array."""
    for term in job.dependency.terms:
        if term.job_id:
            yield from list(cluster.jobs_named(term.job_id))[:1]
    running = cluster.running
    if job.array_job_id:
        yield from (cluster.jobs[each] for each in cluster.tasks.get(job.array_job_id, {}).values() if each in running)


def _from_database(call: Call, spec: jobid_spec.JobIdSpec) -> list[Explanation]:
    """Return what is stored of a job that has left memory."""
    jobs = read_jobs(call.core.database, spec.job_id)
    tasks = spec.tasks
    if tasks is not None:
        jobs = [job for job in jobs if job.array_task_id is not None and array_spec.contains(tasks, job.array_task_id)]
    if not jobs:
        raise NotFound(f"job {jobid_spec.format_spec(spec)} is not known", "invalid_job")
    if len(jobs) > EXPLAINED_MAX:
        raise InvalidRequest(f"job {spec.job_id} has {len(jobs)} tasks, name at most {EXPLAINED_MAX} of them")
    empty = Snapshot(0, 0.0, (), {}, ())
    policy, plan = call.core.engine.policy, call.core.passes.plan
    return answer_all([Question(empty, policy, plan, job, name_of(job)) for job in jobs])
