"""--signal: what the job's processes are sent before its limit, once on each node.

A node whose agent is away at that moment is sent it when the agent is back.  Where the agent is not yet known to be
away it is lost: a repetition could reach steps that have begun meanwhile and do not expect it.
"""

from sluice.model.job import Job
from sluice.model.states import Ending, JobState
from sluice.wire.messages import SignalJob
from sluicectld.state.events import JobWarned

from .turn import Turn


def warn_before_limit(turn: Turn, job: Job, end_at: float) -> None:
    """Send the signal to the nodes that it is for.  end_at: when the job is ended for its limit."""
    warn = job.spec.warn_signal
    assert warn is not None, f"job {job.id} asked for no signal"
    nodes = job.nodes[:1] if warn.to_batch_only else job.nodes
    missed = tuple([node for node in nodes if not turn.cluster.nodes[node].is_responding])
    turn.emit(JobWarned(at=turn.now_at, job_id=job.id, missed_nodes=missed))
    turn.effects += [_order(turn, job, node, end_at) for node in nodes if node not in missed]


def missed_warning(turn: Turn, job: Job, node: str, end_at: float | None) -> list[SignalJob]:
    """Return what a node that is back has missed, and count it as sent."""
    if job.state is not JobState.RUNNING or node not in job.unwarned_nodes or end_at is None:
        return []
    left = tuple([each for each in job.unwarned_nodes if each != node])
    turn.emit(JobWarned(at=turn.now_at, job_id=job.id, missed_nodes=left))
    return [_order(turn, job, node, end_at)]


def _order(turn: Turn, job: Job, node: str, end_at: float) -> SignalJob:
    warn = job.spec.warn_signal
    assert warn is not None, f"job {job.id} asked for no signal"
    return SignalJob(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=job.id,
        attempt=job.attempt,
        signal=warn.number,
        to_batch=warn.to_batch_only,
        to_steps=not warn.to_batch_only,
        reason=Ending.TIME_LIMIT.value,
        deadline_at=end_at,
        is_exact=True,
    )
