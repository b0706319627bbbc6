"""validate(cluster): walk the invariants of the state; AssertionError with the story if one is broken.

For tests, simulations and `sluice verify`: it looks at everything, so it costs as much as there is.
"""

from sluice import cpuset
from sluice.model.allocation import NodeGrant
from sluice.model.states import ENDED_STATES, Hold, JobState, StepState
from sluicectld.scheduler.layout import compute_idle

from . import resources
from .cluster import Cluster
from .tally import ArrayTally

_RUNNING_STATES = frozenset({JobState.RUNNING, JobState.SUSPENDED})


def validate(cluster: Cluster) -> None:
    """Raise AssertionError unless tables and indexes tell the same story."""
    _validate_nodes(cluster)
    _validate_jobs(cluster)
    _validate_indexes(cluster)
    _validate_arrays(cluster)
    _validate_components(cluster)
    _validate_steps(cluster)


def _validate_nodes(cluster: Cluster) -> None:
    assert cluster.free.keys() == cluster.nodes.keys(), "the nodes and what is free on them disagree"
    holders: dict[str, list[tuple[int, NodeGrant]]] = {name: [] for name in cluster.nodes}
    for job in cluster.jobs.values():
        for grant in resources.held_grants(job):
            assert grant.node in holders, f"job {job.id} holds a part of {grant.node}, which is no node"
            holders[grant.node].append((job.id, grant))
    for name, found in holders.items():
        known = cluster.job_ids_by_node.get(name, set())
        assert known == {job_id for job_id, _ in found}, f"node {name}: jobs {found}, its index has {known}"
        expected = compute_idle(cluster.nodes[name])
        taken = alone = 0
        for job_id, grant in sorted(found, key=lambda entry: entry[0]):
            cpus = cpuset.parse(grant.cpus)
            allocation = cluster.jobs[job_id].allocation
            is_sharing = allocation is not None and allocation.is_sharing
            others = alone if is_sharing else taken
            assert not others & cpus, f"node {name}: job {job_id} holds CPUs that another has: {grant.cpus}"
            taken |= cpus
            alone |= 0 if is_sharing else cpus
            expected = resources.take(expected, grant, cluster.jobs[job_id])
        free = cluster.free[name]
        assert sorted(free.uids) == sorted(expected.uids), f"node {name}: users {free.uids}, expected {expected.uids}"
        for field in (
            "node",
            "free_cpus",
            "free_memory_mib",
            "gres",
            "job_count",
            "exclusive_job",
            "exclusive_uid",
            "shared",
        ):
            have, wanted = getattr(free, field), getattr(expected, field)
            assert have == wanted, f"node {name}: {field} is {have}, the jobs there leave {wanted}"


def _validate_jobs(cluster: Cluster) -> None:
    for job in cluster.jobs.values():
        story = f"job {job.id} is {job.state}"
        is_running = job.state in _RUNNING_STATES
        assert (job.id in cluster.running) == is_running, f"{story}: the running index disagrees"
        assert not is_running or (job.allocation is not None and job.started_at is not None), f"{story} with nothing"
        assert not is_running or job.pending_array is None, f"{story} and is an array"
        assert not job.completing_nodes or job.state in ENDED_STATES, f"{story} and completing"
        assert not job.is_in_epilog or job.state in ENDED_STATES, f"{story} and in its epilog"
        assert not job.is_requeued or job.is_completing, f"{story}, requeued and clean, but not back in the queue"
        assert (job.ended_at is not None) == job.is_ended, f"{story} and ended at {job.ended_at}"
        if job.state is JobState.PENDING:
            assert job.allocation is None, f"{story} and holds {job.allocation}"
            assert job.started_at is None, f"{story} and started at {job.started_at}"
            assert job.hold is Hold.NONE or job.priority == 0, f"{story}, held, and has priority {job.priority}"
        if job.id in cluster.ready:
            assert job.state is JobState.PENDING, f"{story} and ready"
            assert not job.is_held_back, f"{story}, held and ready"
            assert cluster.ready[job.id] is job, f"{story}: ready holds an older record"


def _validate_indexes(cluster: Cluster) -> None:
    waiting: dict[int, set[int]] = {}
    names: dict[tuple[str, int], set[int]] = {}
    counts = dict.fromkeys(JobState, 0)
    for job in cluster.jobs.values():
        counts[job.state] += 1
        if not job.is_ended or job.is_requeued:
            names.setdefault((job.spec.name, job.spec.uid), set()).add(job.id)
        if job.state is JobState.PENDING:
            for term in job.dependency.terms:
                waiting.setdefault(term.job_id, set()).add(job.id)
    assert cluster.dependents == waiting, f"dependents are {waiting}, the index has {cluster.dependents}"
    assert cluster.active_by_name == names, f"names are {names}, the index has {cluster.active_by_name}"
    assert cluster.states_count == counts, f"states are {counts}, the index has {cluster.states_count}"
    leaving = {
        job.id
        for job in cluster.jobs.values()
        if job.preemption is not None and (job.state in _RUNNING_STATES or job.completing_nodes)
    }
    assert cluster.leaving.keys() == leaving, f"leaving are {leaving}, the index has {cluster.leaving.keys()}"
    completing = {job.id for job in cluster.jobs.values() if job.preemption is None and job.completing_nodes}
    assert cluster.completing.keys() == completing, f"completing are {completing}, the index has {cluster.completing}"
    stray = (cluster.ready.keys() | cluster.running.keys() | cluster.revised.keys()) - cluster.jobs.keys()
    assert not stray, f"jobs {stray} are in an index and not in memory"


def _validate_arrays(cluster: Cluster) -> None:
    tasks: dict[int, dict[int, int]] = {}
    running: dict[int, int] = {}
    tallies: dict[int, ArrayTally] = {}
    for job in cluster.jobs.values():
        if not job.array_job_id:
            continue
        tallies.setdefault(job.array_job_id, ArrayTally()).add(job)
        if job.array_task_id is not None:
            siblings = tasks.setdefault(job.array_job_id, {})
            assert job.array_task_id not in siblings, f"task {job.array_job_id}_{job.array_task_id} exists twice"
            siblings[job.array_task_id] = job.id
            if job.state in _RUNNING_STATES:
                running[job.array_job_id] = running.get(job.array_job_id, 0) + 1
    assert dict(cluster.tasks) == tasks, f"tasks are {tasks}, the index has {dict(cluster.tasks)}"
    assert cluster.running_tasks == running, f"running tasks are {running}, the index has {cluster.running_tasks}"
    assert cluster.tallies.keys() == tallies.keys(), "arrays and their tallies disagree"
    for array_id, tally in tallies.items():
        have, wanted = cluster.tallies[array_id], tally
        for field in ("records", "begun", "ended", "successes"):
            assert getattr(have, field) == getattr(wanted, field), f"array {array_id}: {field} of its tally is wrong"


def _validate_components(cluster: Cluster) -> None:
    found: dict[int, list[int]] = {}
    for job in sorted(cluster.jobs.values(), key=lambda job: job.id):
        assert not job.components, f"job {job.id} keeps its components"
        if job.is_component:
            found.setdefault(job.het_job_id, []).append(job.id)
            assert job.id == job.het_job_id + job.het_offset, f"job {job.id} is {job.het_job_id}+{job.het_offset}"
    assert cluster.components == found, f"components are {found}, the index has {cluster.components}"
    for leader_id, job_ids in found.items():
        components = [cluster.jobs[job_id] for job_id in job_ids]
        attempts = {job.attempt: job.id for job in components if job.state in _RUNNING_STATES}
        assert len(attempts) <= 1, f"heterogeneous job {leader_id}: components run in several attempts: {attempts}"
        is_waiting = any(job.state is JobState.PENDING for job in components)
        assert not (attempts and is_waiting), f"heterogeneous job {leader_id} has started in part"


def _validate_steps(cluster: Cluster) -> None:
    for job_id, steps in cluster.steps.items():
        job = cluster.jobs[job_id]
        for step in steps.values():
            story = f"step {job_id}.{step.step_id} is {step.state}"
            assert step.attempt == job.attempt, f"{story} of attempt {step.attempt}, its job is at {job.attempt}"
            assert (step.state is StepState.RUNNING) == bool(step.running_nodes), f"{story} on {step.running_nodes}"
            if job.is_ended and not job.completing_nodes:
                assert step.state is not StepState.RUNNING, f"{story}, its job is {job.state} and clean"
