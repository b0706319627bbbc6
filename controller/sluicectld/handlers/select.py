"""Which jobs a user's ids and filters name, among those in memory."""

from collections.abc import Callable, Iterable, Iterator

from sluice import array_spec, jobid_spec, license_spec
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluice.wire.messages import JobFilter
from sluicectld.state.arrays import has_pending, is_last
from sluicectld.state.cluster import Cluster
from sluicectld.state.events import TaskSplit

from .dependents import judge_dependency
from .turn import Turn

#: A job's id, and the pending tasks that are meant of an array; None: all of it.
Named = tuple[int, array_spec.Ranges | None]


def jobs_of_id(cluster: Cluster, spec: jobid_spec.JobIdSpec) -> list[tuple[Job, array_spec.Ranges | None]]:
    """Return (job, pending tasks meant or None for all of it) for one id; empty when nothing has it."""
    if spec.component is not None:
        component = cluster.jobs.get(spec.job_id + spec.component)
        is_known = component is not None and component.het_job_id == spec.job_id
        return [(component, None)] if component is not None and is_known else []
    if spec.tasks is None:
        return [(job, None) for job in cluster.jobs_named(spec.job_id)]
    found: list[tuple[Job, array_spec.Ranges | None]] = []
    known = cluster.tasks.get(spec.job_id, {})
    found += [(cluster.jobs[job_id], None) for index, job_id in known.items() if array_spec.contains(spec.tasks, index)]
    for part_id in (spec.job_id, *cluster.cancelled_parts.get(spec.job_id, ())):
        part = cluster.jobs.get(part_id)
        if part is not None and part.pending_array is not None:
            meant = array_spec.intersect(part.pending_array.ranges, spec.tasks)
            if meant:
                found.append((part, None if meant == part.pending_array.ranges else meant))
    return found


def named_jobs(cluster: Cluster, ids: Iterable[str], others: JobFilter) -> list[Named]:
    """Return the distinct jobs that any of the ids or, if it has any, the filter names.  Raises InvalidRequest."""
    specs = [spec for text in ids for spec in jobid_spec.parse_list(text)]
    found = [(job.id, tasks) for spec in specs for job, tasks in jobs_of_id(cluster, spec)]
    if others != JobFilter():
        found += [(job.id, None) for job in select_jobs(cluster, others)]
    return list(dict.fromkeys(found))


def split_off(turn: Turn, job: Job, tasks: array_spec.Ranges | None) -> Iterator[Job]:
    """Yield the job or, where only some pending tasks of an array are meant, each of them as a job of its own."""
    if tasks is None:
        yield job
        return
    for task_id in array_spec.iterate(tasks):
        if not has_pending(turn.job(job.id), task_id):
            continue
        new_id = job.id if is_last(turn.job(job.id)) else turn.cluster.next_job_id
        turn.emit(TaskSplit(at=turn.now_at, job_id=job.id, task_id=task_id, new_id=new_id))
        judge_dependency(turn, new_id)
        yield turn.job(new_id)


def jobs_of_ids(cluster: Cluster, ids: Iterable[str]) -> Iterator[Job]:
    """Return the distinct jobs that any of the ids names, in order of the ids."""
    seen = set()
    for text in ids:
        for spec in jobid_spec.parse_list(text):
            for job, _ in jobs_of_id(cluster, spec):
                if job.id not in seen:
                    seen.add(job.id)
                    yield job


def select_jobs(cluster: Cluster, wanted: JobFilter) -> Iterator[Job]:
    """Return the jobs in memory that pass every filter."""
    candidates: Iterable[Job] = jobs_of_ids(cluster, wanted.ids) if wanted.ids else cluster.jobs.values()
    return filter(passing_test(wanted), candidates)


def passing_test(wanted: JobFilter) -> Callable[[Job], bool]:
    """Return the test whether a job passes every filter but the ids."""
    tests = _tests(wanted)
    return lambda job: all(test(job) for test in tests)


def _tests(wanted: JobFilter) -> list[Callable[[Job], bool]]:
    tests: list[Callable[[Job], bool]] = []
    if wanted.users:
        users = frozenset(wanted.users)
        tests.append(lambda job: job.spec.user in users or str(job.spec.uid) in users)
    if wanted.states:
        states = frozenset(state.upper() for state in wanted.states)
        tests.append(lambda job: not states.isdisjoint(state_words(job)))
    if wanted.names:
        names = frozenset(wanted.names)
        tests.append(lambda job: job.spec.name in names)
    if wanted.partitions:
        partitions = frozenset(wanted.partitions)
        tests.append(lambda job: not partitions.isdisjoint(_partitions_of(job)))
    if wanted.accounts:
        accounts = frozenset(wanted.accounts)
        tests.append(lambda job: job.spec.account in accounts)
    if wanted.qos:
        qos = frozenset(wanted.qos)
        tests.append(lambda job: job.spec.qos in qos)
    if wanted.nodes:
        nodes = frozenset(wanted.nodes)
        tests.append(lambda job: not nodes.isdisjoint(job.nodes))
    if wanted.reservations:
        reservations = frozenset(wanted.reservations)
        tests.append(lambda job: not reservations.isdisjoint((job.reservation, *job.spec.reservation.split(","))))
    if wanted.licenses:
        licenses = frozenset(wanted.licenses)
        tests.append(lambda job: not licenses.isdisjoint(license_spec.names(job.spec.licenses)))
    return tests


def _partitions_of(job: Job) -> tuple[str, ...]:
    return job.spec.partitions if job.state is JobState.PENDING else (job.partition,)


def state_words(job: Job) -> set[str]:
    """Return every word by which a state filter may mean the job."""
    words = {job.state.value}
    if job.is_configuring:
        words.add("CONFIGURING")
    if job.is_completing:
        words.add("COMPLETING")
    if job.is_requeued:
        words.add("REQUEUED")
    if job.state is JobState.PENDING and job.is_special_exit:
        words.add("SPECIAL_EXIT")
    if job.state is JobState.PENDING and job.reason is Reason.RESERVATION_DELETED:
        words.add("RESV_DEL_HOLD")
    return words
