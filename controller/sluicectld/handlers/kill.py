"""scancel: end jobs, parts of arrays and steps, or send them a signal; and the end of an interactive allocation."""

from collections.abc import Callable

from msgspec.structs import replace

from sluice import array_spec, jobid_spec
from sluice.errors import InvalidRequest, NotFound, NotPermitted
from sluice.model.base import BATCH_STEP, SPECIAL_STEP_NAMES
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import OUT_OF_MEMORY_SIGNAL, Ending, JobState, StepState
from sluice.model.step import Step
from sluice.wire.messages import (
    Done,
    EndStep,
    FinishAllocation,
    JobFilter,
    KilledJobs,
    KillJobs,
    KillOutcome,
    SignalJob,
)
from sluicectld.permissions import Verb
from sluicectld.state.events import JobRevised, StepRevised

from . import components
from .dependents import cancel_tasks, wake_dependents
from .endings import end_job, end_order
from .select import jobs_of_id, passing_test, select_jobs
from .turn import Turn

_PASSED_OVER = ("ended", "not_running")
_STEP_IDS = {name: number for number, name in SPECIAL_STEP_NAMES.items()}


def handle_kill(turn: Turn, command: KillJobs) -> KilledJobs:
    """Return what became of each id; without ids, of each job that passes the filters."""
    wanted = _filter(command)
    # All read before the first is ended: a malformed one must leave the others alone.
    specs = [spec for text in command.ids for spec in jobid_spec.parse_list(text)]
    if specs:
        passes = passing_test(wanted)
        outcomes = [outcome for spec in specs for outcome in _kill_id(turn, command, spec, passes)]
        return KilledJobs(outcomes=tuple(outcomes))
    if wanted == JobFilter():
        raise InvalidRequest("no job is named, by id or filter")
    found = select_jobs(turn.cluster, wanted)
    passing = sorted(job.id for job in found if not job.is_ended or job.is_requeued)
    outcomes = []
    for job_id in passing:
        job = turn.job(job_id)
        if job.is_component and job.is_ended and not job.is_requeued:
            # Its leader has passed, too.
            continue
        outcomes.append(_kill_job(turn, command, job, None, str(job_id)))
    return KilledJobs(outcomes=tuple(outcomes))


def _filter(command: KillJobs) -> JobFilter:
    return JobFilter(
        users=command.users,
        names=command.names,
        partitions=command.partitions,
        accounts=command.accounts,
        qos=command.qos,
        states=command.states,
        nodes=command.nodes,
        reservations=command.reservations,
    )


def _kill_id(
    turn: Turn, command: KillJobs, spec: jobid_spec.JobIdSpec, passes: Callable[[Job], bool]
) -> list[KillOutcome]:
    text = jobid_spec.format_spec(spec)
    found = jobs_of_id(turn.cluster, spec)
    if not found:
        return [KillOutcome(id=text, code="unknown", message="Invalid job id specified")]
    if spec.step is not None:
        return [_kill_step(turn, command, found[0][0], spec.step, text)]
    named = [(job.id, tasks) for job, tasks in found if passes(job)]
    if not named and all(job.is_ended and not job.is_requeued for job, _ in found):
        # What a filter wanted of one that is over it could never be (observed in 22.05).
        return [_over(text)]
    # One answer where it is the same of many tasks.
    outcomes = list(dict.fromkeys(_kill_job(turn, command, turn.job(job_id), tasks, text) for job_id, tasks in named))
    # An array with ended tasks, or with some that cannot get a signal yet, is no error as long as something was done.
    told = [outcome for outcome in outcomes if outcome.code not in _PASSED_OVER]
    return told or sorted(outcomes, key=lambda outcome: outcome.code == "ended")[:1]


def _kill_job(turn: Turn, command: KillJobs, job: Job, tasks: array_spec.Ranges | None, text: str) -> KillOutcome:
    try:
        turn.require(Verb.SIGNAL if command.signal else Verb.CANCEL, job)
    except NotPermitted as refusal:
        return KillOutcome(id=text, code="not_permitted", message=refusal.message)
    if _is_kill_of_what_is_left(command, job):
        _kill_what_is_left(turn, job)
        if not job.is_requeued or command.full:
            return KillOutcome(id=text)
    if job.is_ended and not job.is_requeued:
        return _over(text)
    if command.signal and not _is_plain_kill(command):
        return _signal_job(turn, command, job, text)
    if components.is_inseparable(job):
        return KillOutcome(id=text, code="component", message=components.ALONE)
    if tasks is not None:
        cancel_tasks(turn, job, tasks, turn.caller.uid)
    else:
        cancel_job(turn, job, turn.caller.uid)
    return KillOutcome(id=text)


def _over(text: str) -> KillOutcome:
    return KillOutcome(id=text, code="ended", message="Job/step already completing or completed")


def _is_plain_kill(command: KillJobs) -> bool:
    """scancel -s KILL without further say ends the job."""
    return command.signal == 9 and not command.batch_only and not command.full


def _is_kill_of_what_is_left(command: KillJobs, job: Job) -> bool:
    """Is a job to be killed whose processes have been asked to end and have not yet?"""
    return command.signal == 9 and not command.batch_only and job.is_ended and bool(job.completing_nodes)


def _kill_what_is_left(turn: Turn, job: Job) -> None:
    """Let nothing of KillWait be waited for: whoever asks again means it (22.05 refuses the id)."""
    assert job.ending is not None, f"job {job.id} is {job.state}, but nobody knows why"
    for node in job.completing_nodes:
        turn.effects.append(end_order(turn, job, node, job.ending, job.cancelled_by, kill_wait_s=0.0))


def cancel_job(turn: Turn, job: Job, by_uid: int) -> None:
    """End a job because somebody asked; a requeued one that is not yet clean stays ended."""
    if job.is_ended:
        for each in components.whole_job(turn.cluster, job):
            if each.is_requeued:
                _cancel_requeue(turn, each, by_uid)
        return
    end_job(turn, job, JobState.CANCELLED, Ending.CANCEL, by_uid=by_uid)


def _cancel_requeue(turn: Turn, job: Job, by_uid: int) -> None:
    ended = replace(job, is_requeued=False, state=JobState.CANCELLED, cancelled_by=by_uid)
    turn.emit(JobRevised(at=turn.now_at, job=ended, what="cancel"))
    wake_dependents(turn, ended)


def _signal_job(turn: Turn, command: KillJobs, job: Job, text: str) -> KillOutcome:
    if job.state not in (JobState.RUNNING, JobState.SUSPENDED):
        return KillOutcome(id=text, code="not_running", message="Job is pending execution")
    for node in job.nodes:
        is_first = node == job.nodes[0]
        turn.effects.append(
            SignalJob(
                node=node,
                epoch=turn.cluster.epoch,
                job_id=job.id,
                attempt=job.attempt,
                signal=command.signal,
                to_batch=is_first and (command.batch_only or command.full),
                to_steps=not command.batch_only,
                full=command.full,
            )
        )
    return KillOutcome(id=text)


def _kill_step(turn: Turn, command: KillJobs, job: Job, step_text: str, text: str) -> KillOutcome:
    try:
        turn.require(Verb.CANCEL, job)
    except NotPermitted as refusal:
        return KillOutcome(id=text, code="not_permitted", message=refusal.message)
    step_id = _STEP_IDS[step_text] if step_text in _STEP_IDS else int(step_text)
    step = turn.cluster.steps.get(job.id, {}).get(step_id)
    if step is None:
        return KillOutcome(id=text, code="unknown", message="Invalid job id specified")
    if step.state is not StepState.RUNNING:
        return _over(text)
    if command.signal and not _is_plain_kill(command):
        _signal_step(turn, command.signal, job, step)
    else:
        end_step(turn, job, step, None if command.is_failure else turn.caller.uid)
    return KillOutcome(id=text)


def _signal_step(turn: Turn, signal: int, job: Job, step: Step) -> None:
    for node in step.running_nodes:
        turn.effects.append(
            SignalJob(
                node=node,
                epoch=turn.cluster.epoch,
                job_id=job.id,
                attempt=job.attempt,
                signal=signal,
                step_id=step.step_id,
                to_batch=step.step_id == BATCH_STEP,
            )
        )


def end_step(turn: Turn, job: Job, step: Step, by_uid: int | None) -> None:
    """Order the end of a step on every node where it runs.  by_uid: who cancels it; None: it has failed."""
    if by_uid is not None:
        turn.emit(StepRevised(at=turn.now_at, step=replace(step, cancelled_by=by_uid)))
    for node in step.running_nodes:
        turn.effects.append(
            EndStep(
                node=node,
                epoch=turn.cluster.epoch,
                job_id=job.id,
                attempt=job.attempt,
                step_id=step.step_id,
                kill_wait_s=float(turn.settings.kill_wait_s),
                ending=Ending.CANCEL,
            )
        )


def handle_finish_allocation(turn: Turn, command: FinishAllocation) -> Done:
    """The command of an interactive job is done: its exit code is the job's."""
    job = turn.cluster.jobs.get(command.job_id)
    if job is None:
        raise NotFound(f"job {command.job_id} is not known", "invalid_job")
    turn.require(Verb.FINISH_ALLOCATION, job)
    if job.is_ended:
        return Done()
    if job.state is JobState.PENDING:
        cancel_job(turn, job, turn.caller.uid)
        return Done()
    if job.spec.is_batch:
        raise InvalidRequest(f"job {job.id} runs a script and ends with it")
    state, reason = _final_state(command)
    code, number = command.exit_code, command.exit_signal
    text = _step_text(turn, job) if state is JobState.OUT_OF_MEMORY else ""
    end_job(turn, job, state, Ending.FINISHED, reason=reason, reason_text=text, exit_code=code, exit_signal=number)
    return Done()


def _step_text(turn: Turn, job: Job) -> str:
    """Return what a node has told of the end of one of the job's steps."""
    parts = components.whole_job(turn.cluster, job)
    texts = (step.reason_text for part in parts for step in turn.cluster.steps.get(part.id, {}).values())
    return next(filter(None, texts), "")


def _final_state(command: FinishAllocation) -> tuple[JobState, Reason]:
    if command.exit_signal == OUT_OF_MEMORY_SIGNAL:
        return JobState.OUT_OF_MEMORY, Reason.OUT_OF_MEMORY
    if command.exit_code or command.exit_signal:
        return JobState.FAILED, Reason.NON_ZERO_EXIT_CODE
    return JobState.COMPLETED, Reason.NONE
