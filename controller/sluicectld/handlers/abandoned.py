"""Allocations whose command is gone: salloc and srun hold a connection as long as they live (clients.py).

One that still waits in the queue is cancelled soon after its connection broke: a living command asks again every
second.  After a restart of the controller its absence tells nothing, for it may be stopped: the request keeps its place
in the queue, starts nothing until its command is back, and is cancelled after a grace of days or after InactiveLimit
(22.05 keeps it, and lets it fail if its turn comes meanwhile; observed).  One that was granted while nobody was there
to take it is given back within seconds.

salloc's is ended after InactiveLimit, whatever runs in it, as TIMEOUT (22.05, documented and observed); without a limit
it stays, for its steps and shells may go on.  srun's own is of use to its one step alone, which ends with its srun:
once none runs, it is ended as CANCELLED after a short grace, limit or not (22.05 does so at once, by a helper of srun).
"""

from collections.abc import Iterable

from msgspec.structs import replace

from sluice.absence import RETURN_GRACE_S
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import Ending, JobState, StepState
from sluice.model.step import Step
from sluice.wire.messages import Done
from sluicectld.state.commands import EndAbandoned, ExpectCommands
from sluicectld.state.events import JobRevised

from .components import whole_job
from .endings import end_job
from .turn import Turn

#: How long an srun may be without a connection while no step of its job runs: it comes back after a restart of the
#: controller, and its last report may come before its own word.
SRUN_GRACE_S = 30.0
#: How long a request whose connection broke keeps its place in the queue.
QUEUE_GRACE_S = 30.0
#: How long a grant waits for a command that was not there when it was made: it may be about to ask, or to come back.
TAKE_GRACE_S = 10.0


def is_held(job: Job) -> bool:
    """Does the job live by a command that holds it?  Of a heterogeneous job the leader does."""
    spec = job.spec
    if spec.is_batch or spec.origin not in ("salloc", "srun") or "no-shell" in spec.given:
        return False
    return not job.is_component or job.is_leader


def handle_abandoned(turn: Turn, command: EndAbandoned) -> Done:
    """End the jobs that have been without their command for too long."""
    for job_id, gone_at in command.gone_at_by_job.items():
        job = turn.cluster.jobs.get(job_id)
        if job is None or not is_held(job):
            continue
        if job.state is JobState.PENDING:
            _judge_waiting(turn, job, gone_at)
        elif job.state is JobState.RUNNING:
            _judge_running(turn, job, gone_at)
    return Done()


def handle_expect(turn: Turn, command: ExpectCommands) -> Done:
    """Let pending jobs wait for their commands, or no longer; their age counts on."""
    what = "command away" if command.is_away else "command back"
    for job_id in command.job_ids:
        job = turn.cluster.jobs.get(job_id)
        for each in whole_job(turn.cluster, job) if job is not None else ():
            if each.state is JobState.PENDING and each.awaits_command != command.is_away:
                turn.emit(JobRevised(at=turn.now_at, job=replace(each, awaits_command=command.is_away), what=what))
                turn.is_pass_due = True
    return Done()


def _judge_waiting(turn: Turn, job: Job, gone_at: float) -> None:
    if not job.awaits_command:
        if turn.now_at - gone_at >= QUEUE_GRACE_S:
            _cancel(turn, job, "nobody waits for the allocation")
        return
    if turn.now_at - gone_at >= max(QUEUE_GRACE_S, turn.settings.inactive_limit_s or RETURN_GRACE_S):
        _cancel(turn, job, "it has not come back since the controller started")


def _judge_running(turn: Turn, job: Job, gone_at: float) -> None:
    steps = _steps_of(turn, job)
    assert job.started_at is not None, f"job {job.id} runs, but since when"
    if gone_at <= job.started_at and not steps:
        if turn.now_at - job.started_at >= TAKE_GRACE_S:
            _cancel(turn, job, "nobody has taken the allocation")
    elif job.spec.origin == "srun":
        _judge_srun(turn, job, gone_at, steps)
    else:
        _judge_salloc(turn, job, gone_at)


def _steps_of(turn: Turn, job: Job) -> list[Step]:
    """Return the steps of all components, but for the extern step, which lasts as long as the job."""
    parts = [turn.cluster.steps.get(each.id, {}) for each in whole_job(turn.cluster, job)]
    return [step for part in parts for step in part.values() if step.step_id != EXTERN_STEP]


def _judge_salloc(turn: Turn, job: Job, gone_at: float) -> None:
    limit_s = turn.settings.inactive_limit_s
    partition = turn.cluster.partitions.get(job.partition)
    is_exempt = partition is not None and partition.root_only
    if not limit_s or is_exempt or turn.now_at - _since(job, gone_at, ()) < limit_s:
        return
    text = f"its salloc on {job.spec.submit_host} is gone, and InactiveLimit={limit_s} s is over"
    end_job(turn, job, JobState.TIMEOUT, Ending.CANCEL, reason=Reason.INACTIVE_LIMIT, reason_text=text)


def _judge_srun(turn: Turn, job: Job, gone_at: float, steps: list[Step]) -> None:
    if any(step.state is StepState.RUNNING for step in steps):
        # Its srun holds the connections to the step's nodes; when they break, the step ends.
        return
    if turn.now_at - _since(job, gone_at, steps) >= SRUN_GRACE_S:
        _cancel(turn, job, "no step runs")


def _cancel(turn: Turn, job: Job, why: str) -> None:
    text = f"its {job.spec.origin} on {job.spec.submit_host} is gone, and {why}"
    end_job(turn, job, JobState.CANCELLED, Ending.CANCEL, reason_text=text)


def _since(job: Job, gone_at: float, steps: Iterable[Step]) -> float:
    """Return since when nobody has used the allocation."""
    return max(gone_at, job.started_at or 0.0, *(step.ended_at or 0.0 for step in steps))
