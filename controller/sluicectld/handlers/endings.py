"""How a job ends: its final state at once, its nodes as they become clean, its dependents (dependents.py) at once.

A running job that ends keeps the resources of each node until that node reports that nothing of it is left.  A requeued
job goes back to the queue when all of its nodes are clean.
"""

from collections.abc import Collection
from typing import TypedDict, Unpack

from msgspec.structs import replace

from sluice import hook_env
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import Ending, JobState, StepState
from sluice.model.step import Step
from sluice.wire.messages import Done, EndJob, EndStep
from sluicectld.state.commands import EpilogEnded
from sluicectld.state.effects import Program, RunProgram
from sluicectld.state.events import JobEnded, JobEpilogEnded, JobRequeued, JobRevised, NodeCleaned, StepRevised
from sluicectld.state.timers import Due

from .components import coming_back_with, ending_with, leader_of
from .dependents import wake_dependents
from .managers import tell_manager
from .turn import Turn


class How(TypedDict, total=False):
    """What else is to be told of an end, as JobEnded has it."""

    exit_code: int
    exit_signal: int
    reason: Reason
    reason_text: str
    by_uid: int | None
    is_requeued: bool
    failed_node: str


def end_job(
    turn: Turn,
    job: Job,
    state: JobState,
    ending: Ending,
    *,
    clean_nodes: frozenset[str] = frozenset(),
    kill_wait_s: float | None = None,
    **how: Unpack[How],
) -> None:
    """End a pending or running job, and those that end with it.

    clean_nodes: already reported clean, or lost and not waited for.  kill_wait_s: None for KillWait.
    """
    # What a node still runs that was lost before, and does not answer, is ended when it registers.
    clean_nodes |= frozenset(node for node in job.lost_nodes if not turn.cluster.nodes[node].is_responding)
    if clean_nodes:
        step_state = StepState.NODE_FAIL if ending is Ending.NODE_FAILURE else StepState.CANCELLED
        end_steps_on(turn, job, clean_nodes, step_state)
    _emit_end(turn, job, state, ending, clean_nodes, kill_wait_s, how)
    turn.is_pass_due = True
    if not how.get("is_requeued"):
        wake_dependents(turn, job)
    _finish(turn, job.id)
    for other in ending_with(turn, job):
        if turn.job(other.id).is_ended:
            # Of three that wait, the second has ended the third already.
            continue
        # A lost node is lost to all; one that has reported this job's end may have others' processes left.
        lost = clean_nodes.intersection(other.nodes) if ending is Ending.NODE_FAILURE else frozenset()
        failed_node = how.get("failed_node", "")
        theirs: How = {**how, "failed_node": failed_node if failed_node in other.nodes else ""}
        end_job(turn, other, state, ending, clean_nodes=lost, kill_wait_s=kill_wait_s, **theirs)


def _emit_end(
    turn: Turn,
    job: Job,
    state: JobState,
    ending: Ending,
    clean_nodes: frozenset[str],
    kill_wait_s: float | None,
    how: How,
) -> None:
    """Have it ended, and what ends it done on its nodes and here."""
    completing = tuple(node for node in job.nodes if node not in clean_nodes)
    has_epilog = job.allocation is not None and bool(turn.settings.epilog_controller)
    turn.emit(
        JobEnded(
            at=turn.now_at,
            job_id=job.id,
            state=state,
            ending=ending,
            completing_nodes=completing,
            has_epilog=has_epilog,
            **how,
        )
    )
    for node in completing:
        turn.effects.append(end_order(turn, turn.job(job.id), node, ending, how.get("by_uid"), kill_wait_s))
    if has_epilog:
        turn.effects.append(RunProgram(Program.EPILOG, turn.job(job.id)))


def end_order(
    turn: Turn, job: Job, node: str, ending: Ending, by_uid: int | None = None, kill_wait_s: float | None = None
) -> EndJob:
    """Return the order that ends the job's processes on one node."""
    return EndJob(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=job.id,
        attempt=job.attempt,
        ending=ending,
        kill_wait_s=float(turn.settings.kill_wait_s) if kill_wait_s is None else kill_wait_s,
        by_uid=by_uid or 0,
        ended_at=turn.now_at,
        variables=_epilog_variables(turn, job, node),
        text=job.reason_text or (f"by uid {by_uid}" if by_uid is not None else ""),
    )


def _epilog_variables(turn: Turn, job: Job, node: str) -> dict[str, str]:
    """Return what an epilog sees that runs where nothing of the job ever did."""
    if not turn.settings.epilog:
        return {}
    known = hook_env.job_variables(job, turn.settings.cluster_name, node)
    return known | hook_env.ended_variables(job.exit_code, job.exit_signal, job.derived_exit_code)


def unlaunched_order(turn: Turn, step: Step, node: str, may_come: bool = False) -> EndStep:
    """Return the order that ends a step on a node where no srun has launched it, and none is about to.

    may_come: its srun may come back soon to an agent that was restarted.
    """
    return EndStep(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=step.job_id,
        attempt=step.attempt,
        step_id=step.step_id,
        kill_wait_s=float(turn.settings.kill_wait_s),
        only_unlaunched=True,
        may_come=may_come,
    )


def clean_node(turn: Turn, job_id: int, node: str, step_state: StepState = StepState.CANCELLED) -> None:
    """The node has nothing left of the job; steps that never reported from it have ended there as step_state."""
    end_steps_on(turn, turn.job(job_id), (node,), step_state)
    turn.emit(NodeCleaned(at=turn.now_at, job_id=job_id, node=node))
    turn.is_pass_due = True
    _finish(turn, job_id)


def handle_epilog_ended(turn: Turn, command: EpilogEnded) -> Done:
    """The controller's epilog of a run has ended."""
    job = turn.cluster.jobs.get(command.job_id)
    if job is not None and job.attempt == command.attempt and job.is_in_epilog:
        turn.emit(JobEpilogEnded(at=turn.now_at, job_id=job.id))
        _finish(turn, job.id)
    return Done()


def end_steps_on(turn: Turn, job: Job, nodes: Collection[str], state: StepState) -> None:
    """Nothing runs on the nodes any more: end the parts of steps that they have not reported."""
    for step in list(turn.cluster.steps.get(job.id, {}).values()):
        left = tuple(node for node in step.running_nodes if node not in nodes)
        if len(left) == len(step.running_nodes):
            continue
        gone = tuple(node for node in step.running_nodes if node not in left)
        if state is StepState.NODE_FAIL and step.step_id >= 0:
            # Nobody knows how its tasks there have ended: not well.
            lost = (*step.lost_nodes, *(node for node in gone if node not in step.lost_nodes))
            step = replace(step, lost_nodes=lost, exit_code=max(step.exit_code, 1))
        tell_manager(turn, job, step, gone)
        if left:
            turn.emit(StepRevised(at=turn.now_at, step=replace(step, running_nodes=left)))
        else:
            # An extern step is not cut short by the end of its job: it is there until then.
            is_done = step.step_id == EXTERN_STEP and state is StepState.CANCELLED
            step_ended(turn, step, StepState.COMPLETED if is_done else state, step.exit_code, step.exit_signal)


def step_ended(turn: Turn, step: Step, state: StepState, exit_code: int, exit_signal: int) -> None:
    """End a step that no node will report any more."""
    ended = replace(
        step, state=state, running_nodes=(), exit_code=exit_code, exit_signal=exit_signal, ended_at=turn.now_at
    )
    turn.emit(StepRevised(at=turn.now_at, step=ended))


def _finish(turn: Turn, job_id: int) -> None:
    """Once nothing of it is left: back to the queue, or forgotten after MinJobAge."""
    job = turn.job(job_id)
    if not job.is_over:
        return
    if job.is_requeued:
        requeue(turn, job, _requeue_begin_at(turn))
    else:
        turn.timers.add(turn.now_at + turn.settings.min_job_age_s, Due.FORGET, job_id)


def requeue(turn: Turn, job: Job, begin_at: float | None = None) -> None:
    """Put a clean job back into the queue; who had given it up waits for it again."""
    turn.emit(JobRequeued(at=turn.now_at, job_id=job.id, begin_at=begin_at))
    turn.timers.add_deadline(turn.job(job.id))
    wake_dependents(turn, job)
    turn.is_pass_due = True
    for other in coming_back_with(turn, job):
        if other.is_completing:
            turn.emit(JobRevised(at=turn.now_at, job=replace(other, is_requeued=True), what="requeue"))
        else:
            requeue(turn, other, begin_at)


def _requeue_begin_at(turn: Turn) -> float | None:
    delay = turn.settings.scheduler_parameters.get("requeue_delay", "")
    if not delay.isdecimal() or int(delay) == 0:
        return None
    turn.timers.add(turn.now_at + int(delay), Due.PASS)
    return turn.now_at + int(delay)


def requeue_or_fail(turn: Turn, job: Job, node: str, text: str, lost_nodes: frozenset[str]) -> None:
    """A node of a running job failed: back to the queue if it may, with all components; else NODE_FAIL."""
    leader = leader_of(turn, job)
    may = leader.spec.is_batch and may_requeue(turn, leader) and not leader.is_ended
    end_job(
        turn,
        leader if may else job,
        JobState.NODE_FAIL,
        Ending.NODE_FAILURE,
        reason=Reason.NODE_DOWN,
        reason_text=text,
        clean_nodes=lost_nodes,
        is_requeued=may,
        failed_node=node,
    )


def may_requeue(turn: Turn, job: Job) -> bool:
    if job.spec.can_requeue is not None:
        return job.spec.can_requeue
    return turn.settings.job_requeue
