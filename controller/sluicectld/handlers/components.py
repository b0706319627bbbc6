"""Heterogeneous jobs: what is done to one component concerns others.

The components are jobs that start together.  The first one leads: it runs the script, its end is everybody's, and what
is asked of its id is asked of all.  Another one may end alone while it runs; a waiting one may not, for without it the
others would never start.  They go back to the queue together, those that had ended before as well.

Source: Slurm's heterogeneous job guide and scancel(1); what they leave open is as Slurm 22.05 was seen to do it.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from sluice import array_spec
from sluice.errors import InvalidRequest, RequestError
from sluice.model.job import Job
from sluice.model.request import JobSpec
from sluice.model.states import JobState
from sluicectld.state.cluster import Cluster
from sluicectld.state.effects import Launch

from .turn import Turn

#: A job's id, and the pending tasks that are meant of an array.
Named = tuple[int, array_spec.Ranges | None]

#: What is asked of an individual component is refused with this.
#: Components of one job at most.
COMPONENTS_MAX = 128
ALONE = "Operation not permitted on individual component of heterogeneous job"


def check_components(specs: Sequence[JobSpec]) -> None:
    """Raise InvalidRequest unless the specs can be the components of one job."""
    if not 2 <= len(specs) <= COMPONENTS_MAX:
        raise InvalidRequest(
            f"a heterogeneous job of {len(specs)} components requested, it has 2 to {COMPONENTS_MAX}", "het_size"
        )
    if any(spec.array for spec in specs):
        raise InvalidRequest("a heterogeneous job cannot be an array: submit one without --array", "invalid_array")


def ending_with(turn: Turn, job: Job) -> list[Job]:
    """Return the components that end because *job* does.  job: as it was before its end."""
    if not (job.is_leader or (job.is_component and job.state is JobState.PENDING)):
        return []
    return [other for other in turn.cluster.components_of(job) if other.id != job.id and not other.is_ended]


def coming_back_with(turn: Turn, job: Job) -> list[Job]:
    """Return the ended components that go back to the queue because *job* does and do not do so already."""
    if not job.is_leader:
        return []
    return [other for other in turn.cluster.components_of(job) if other.is_ended and not other.is_requeued]


def leader_of(turn: Turn, job: Job) -> Job:
    """Return the job that decides whether this one is requeued: its leader, itself when it is no component."""
    return turn.job(job.het_job_id) if job.is_component else job


def described(cluster: Cluster, job: Job) -> Job:
    """Return the job with its components, as those need it who describe all of them to its programs."""
    return replace(job, components=cluster.components_of(job)) if job.is_component else job


def launch_of(cluster: Cluster, job: Job) -> Launch:
    """Return the order that starts a job's script."""
    return Launch(job.nodes[0], described(cluster, job))


def pending_siblings(cluster: Cluster, job: Job) -> list[Job]:
    """Return the other components that wait with a waiting job."""
    return [each for each in cluster.components_of(job) if each.id != job.id and each.state is JobState.PENDING]


def whole_job(cluster: Cluster, job: Job) -> tuple[Job, ...]:
    """Return the job, or all components of the one that it leads."""
    return cluster.components_of(job) if job.is_leader else (job,)


def without_led(cluster: Cluster, found: list[Named]) -> list[Named]:
    """Return the named jobs without components whose leader is named too."""
    named = {job_id for job_id, _ in found}
    return [each for each in found if not _is_led(cluster.jobs[each[0]], named)]


def _is_led(job: Job, named: set[int]) -> bool:
    return job.is_component and not job.is_leader and job.het_job_id in named


def require_whole(job: Job, code: str = "component") -> None:
    """Raise RequestError for a component that does not lead: such things are done to the whole job."""
    if job.is_component and not job.is_leader:
        raise RequestError(f"job {job.id} is component {job.het_job_id}+{job.het_offset} of a heterogeneous job", code)


def is_inseparable(job: Job) -> bool:
    """May it not be ended alone?  A waiting component may not, the leader is the whole job."""
    return job.is_component and not job.is_leader and job.state is JobState.PENDING
