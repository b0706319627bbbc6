"""What agents report: step results, clean nodes, drains.  A repeated report changes nothing."""

from msgspec.structs import replace

from sluice import hostlist
from sluice.errors import NotPermitted
from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import OUT_OF_MEMORY_SIGNAL, Ending, Hold, JobState, StepState
from sluice.model.step import Step
from sluice.steps.results import merge_result
from sluice.wire.messages import Done, NodeClean, Report, StepResult
from sluicectld.permissions import Verb
from sluicectld.state.events import JobRevised, StepRevised

from .components import leader_of, whole_job
from .drain import drain_node, hold_node, release_node
from .endings import clean_node, end_job, end_steps_on
from .failures import note_outcome
from .leftovers import forget_leftover
from .managed_steps import take_early_result, take_step
from .managers import pass_on
from .preempt import end_preempted
from .prepare import give_back, take_prepared
from .step_states import with_state
from .turn import Turn


def handle_report(turn: Turn, command: Report) -> Done:
    """Take every item that is about a current attempt; ignore what is known already."""
    _check_nodes(turn, command)
    # First of all: what is free because of a result should not be given away where there is trouble.
    for trouble in command.troubles:
        if trouble.reason:
            hold_node(turn, trouble.node, trouble.cause, trouble.reason)
        else:
            release_node(turn, trouble.node, trouble.cause)
    # Before the results: with a prolog's failure comes that nothing of the job is left there.
    for prepared in command.prepared:
        take_prepared(turn, prepared)
    # Before the results, among which a script's may be that ends the job.
    for step in command.steps:
        take_step(turn, step)
    for result in command.results:
        _take_result(turn, result)
    for clean in command.clean:
        _take_clean(turn, clean)
    for node, reason in command.drains:
        drain_node(turn, node, reason)
    return Done()


def _check_nodes(turn: Turn, command: Report) -> None:
    """An agent speaks for its own node alone."""
    turn.caller.require(Verb.REPORT)
    own = turn.caller.agent_of
    if own == "*":
        return
    named = {result.node for result in command.results} | {clean.node for clean in command.clean}
    named |= {node for node, _ in command.drains} | {prepared.node for prepared in command.prepared}
    named |= {trouble.node for trouble in command.troubles}
    foreign = named - {own}
    if foreign:
        raise NotPermitted(f"the agent of node {own!r} may not report of {hostlist.fold(sorted(foreign))}")


def _take_result(turn: Turn, result: StepResult) -> None:
    if result.is_node_clean:
        forget_leftover(turn, result.node, (result.job_id, result.attempt))
    job = turn.cluster.jobs.get(result.job_id)
    if job is None or job.attempt != result.attempt:
        return
    step = turn.cluster.steps.get(job.id, {}).get(result.step_id)
    if step is not None and result.node in step.running_nodes:
        turn.cluster.batch.tails += [(job.id, job.attempt, tail) for tail in result.tails]
        _merge_result(turn, job, step, result)
        if result.step_id >= 0:
            pass_on(turn, job, [result])
    elif job.steps_on and result.step_id >= 0:
        take_early_result(turn, job, result)
    job = turn.job(job.id)
    if result.step_id == BATCH_STEP and job.state in (JobState.RUNNING, JobState.SUSPENDED):
        _end_batch_job(turn, job, result)
    elif result.is_node_clean:
        _clean(turn, result.job_id, result.node, result.attempt)


def _merge_result(turn: Turn, job: Job, step: Step, result: StepResult) -> None:
    """Add one node's result to the step; the last one decides its state."""
    # No pass is due: what a step gives back is its job's, until that ends.
    merged = with_state(job, merge_result(step, result, turn.now_at))
    turn.emit(StepRevised(at=turn.now_at, step=merged))
    if merged.reason_text:
        _complete_reason(turn, job, merged)
    if merged.state is StepState.OUT_OF_MEMORY:
        _revise_end(turn, turn.job(job.id), merged)


def _complete_reason(turn: Turn, job: Job, step: Step) -> None:
    """srun has told how its job ended before the step's node has told why."""
    for each in whole_job(turn.cluster, leader_of(turn, job)):
        if each.state is JobState.OUT_OF_MEMORY and not each.reason_text:
            told = replace(turn.job(each.id), reason_text=step.reason_text)
            turn.emit(JobRevised(at=turn.now_at, job=told, what="reason"))


def _revise_end(turn: Turn, job: Job, step: Step) -> None:
    """The script has failed before another node could tell that its step was out of memory: as if told in time.

    Who waits for the job need not be judged again: neither end is a success.
    """
    is_failure = job.state is JobState.FAILED and job.reason is Reason.NON_ZERO_EXIT_CODE
    if not is_failure or not job.spec.is_batch or not job.is_completing or job.is_requeued:
        return
    revised = replace(
        job,
        state=JobState.OUT_OF_MEMORY,
        exit_code=0,
        exit_signal=OUT_OF_MEMORY_SIGNAL,
        reason=Reason.OUT_OF_MEMORY,
        reason_text=step.reason_text,
    )
    turn.emit(JobRevised(at=turn.now_at, job=revised, what="reason"))


def _end_batch_job(turn: Turn, job: Job, result: StepResult) -> None:
    """The batch script has ended: so has the job."""
    clean = frozenset((result.node,)) if result.is_node_clean else frozenset()
    if result.reason == Reason.PROLOG.value:
        give_back(turn, job, result.reason_text, clean)
        return
    if job.preemption is not None and job.state is JobState.RUNNING and (result.exit_code or result.exit_signal):
        # Told to end, it ended before its time; only one that succeeded has done its work.
        end_preempted(turn, job, clean, result.exit_code, result.exit_signal)
        return
    is_requeued = _wants_requeue(turn, job, result)
    result = _after_lack_of_memory(turn, job, result)
    if is_requeued and result.exit_code in turn.settings.requeue_exit_hold:
        turn.emit(JobRevised(at=turn.now_at, job=replace(job, hold=Hold.USER, is_special_exit=True), what="requeue"))
    state, reason, text = _final_state(result)
    note_outcome(turn, job, state, result)
    end_job(
        turn,
        turn.job(job.id),
        state,
        Ending.FINISHED,
        exit_code=result.exit_code,
        exit_signal=result.exit_signal,
        reason=reason,
        reason_text=result.reason_text or text,
        clean_nodes=clean,
        is_requeued=is_requeued,
    )


def _after_lack_of_memory(turn: Turn, job: Job, result: StepResult) -> StepResult:
    """Return the script's result; of one that failed after a step out of memory, that memory was the reason.

    A limit is the job's as much as the step's: 22.05 on cgroup v1 hears of it in the batch step too.
    """
    steps = turn.cluster.steps.get(job.id, {}).values()
    own = (each for each in steps if each.attempt == job.attempt)
    step = next((each for each in own if each.state is StepState.OUT_OF_MEMORY), None)
    if step is None or result.reason or not (result.exit_code or result.exit_signal):
        return result
    return replace(
        result,
        exit_code=0,
        exit_signal=OUT_OF_MEMORY_SIGNAL,
        reason=Reason.OUT_OF_MEMORY.value,
        reason_text=step.reason_text,
    )


def _wants_requeue(turn: Turn, job: Job, result: StepResult) -> bool:
    codes = (*turn.settings.requeue_exit, *turn.settings.requeue_exit_hold)
    if result.reason or result.exit_signal or result.exit_code not in codes:
        return False
    return job.spec.can_requeue is not False and job.attempt < turn.settings.batch_requeues_max


def _final_state(result: StepResult) -> tuple[JobState, Reason, str]:
    """Return how the job ended by its script's result, and why in words where the agent gave none."""
    if result.reason == Reason.OUT_OF_MEMORY.value:
        return JobState.OUT_OF_MEMORY, Reason.OUT_OF_MEMORY, ""
    if result.reason:
        known = Reason.__members__.values()
        reason = next((each for each in known if each.value == result.reason), Reason.JOB_LAUNCH_FAILURE)
        return JobState.FAILED, reason, result.reason
    if result.exit_signal:
        # So 22.05 calls it (observed); newer ones say RaisedSignal.
        return JobState.FAILED, Reason.JOB_LAUNCH_FAILURE, f"the script was ended by signal {result.exit_signal}"
    if result.exit_code:
        return JobState.FAILED, Reason.NON_ZERO_EXIT_CODE, ""
    return JobState.COMPLETED, Reason.NONE, ""


def _take_clean(turn: Turn, clean: NodeClean) -> None:
    if clean.problem:
        drain_node(turn, clean.node, clean.problem)
    forget_leftover(turn, clean.node, (clean.job_id, clean.attempt))
    _clean(turn, clean.job_id, clean.node, clean.attempt)


def _clean(turn: Turn, job_id: int, node: str, attempt: int) -> None:
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.attempt != attempt:
        return
    if node in job.completing_nodes:
        is_failure = job.ending is Ending.NODE_FAILURE
        clean_node(turn, job_id, node, StepState.NODE_FAIL if is_failure else StepState.CANCELLED)
    elif node in job.lost_nodes:
        end_steps_on(turn, job, (node,), StepState.NODE_FAIL)
