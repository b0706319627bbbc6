"""Between a job's start and its first program: the controller's prolog, then those of its nodes (PrologFlags=Alloc).

Without Alloc a node runs its prolog when the first program comes to it; here that matters only when it fails.  With
Contain every node has the job's extern step from then on, for what comes to the job by other ways than srun.  The
script is launched once its own node is ready, or with DeferBatch once all are; with NoHold it is launched at once, and
waits on the node.  A prolog that fails is not the job's fault: the job goes back to the queue.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from sluice import hook_env
from sluice.config.settings import Settings
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.request import StepSpec
from sluice.model.states import Ending, Hold, JobState
from sluice.model.step import Step, StepNode
from sluice.wire.messages import Done, NodePrepared, PrepareJob
from sluicectld.state.commands import PrologEnded
from sluicectld.state.effects import Program, RunProgram
from sluicectld.state.events import JobPrepared, JobRevised, StepBegan

from .components import launch_of
from .endings import end_job, may_requeue
from .turn import Turn


def has_prolog(settings: Settings) -> bool:
    """Is there a prolog that the controller runs?"""
    return bool(settings.prolog_controller)


def awaited_nodes(settings: Settings, nodes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the nodes whose prolog and extern step a job waits for that gets *nodes*."""
    if not _is_ordered(settings) or "NoHold" in settings.prolog_flags:
        return ()
    # A script may at once log in on its other nodes, and srun at once forward X11.  A job of one node does neither, and
    # its node is told of the extern step first.
    is_needed = bool(settings.prolog) or len(nodes) > 1 or "X11" in settings.prolog_flags
    return nodes if is_needed else ()


def _is_ordered(settings: Settings) -> bool:
    return "Alloc" in settings.prolog_flags and (bool(settings.prolog) or _is_contained(settings))


def _is_contained(settings: Settings) -> bool:
    return "Contain" in settings.prolog_flags


def begin(turn: Turn, job: Job) -> None:
    """The job has started: do what comes before its script, and its script when nothing does."""
    if _is_contained(turn.settings):
        turn.emit(StepBegan(at=turn.now_at, step=_extern_step(turn, job)))
    if job.is_in_prolog:
        turn.effects.append(RunProgram(Program.PROLOG, job))
    else:
        _prepare_nodes(turn, job)


def handle_prolog_ended(turn: Turn, command: PrologEnded) -> Done:
    """The controller's prolog of a job has ended; one of a run that is over by now changes nothing."""
    job = turn.cluster.jobs.get(command.job_id)
    if job is None or job.attempt != command.attempt or not job.is_in_prolog:
        return Done()
    if command.problem:
        give_back(turn, job, f"PrologSlurmctld failed: {command.problem}")
        return Done()
    turn.emit(JobPrepared(at=turn.now_at, job_id=job.id))
    _prepare_nodes(turn, turn.job(job.id))
    return Done()


def take_prepared(turn: Turn, prepared: NodePrepared) -> None:
    """A node's prolog has ended."""
    job = turn.cluster.jobs.get(prepared.job_id)
    if job is None or job.attempt != prepared.attempt or job.is_ended or prepared.node not in job.nodes:
        return
    if prepared.problem:
        give_back(turn, job, f"{prepared.problem} (on node {prepared.node})")
        return
    if prepared.node not in job.preparing_nodes:
        return
    was_held = not may_launch(turn.settings, job)
    turn.emit(JobPrepared(at=turn.now_at, job_id=job.id, node=prepared.node))
    job = turn.job(job.id)
    if was_held and may_launch(turn.settings, job):
        _launch(turn, job)


def may_launch(settings: Settings, job: Job) -> bool:
    """Has everything happened that comes before the job's script?"""
    if job.is_in_prolog:
        return False
    if "DeferBatch" in settings.prolog_flags:
        return not job.preparing_nodes
    return job.nodes[0] not in job.preparing_nodes


def prepare_order(turn: Turn, job: Job, node: str) -> PrepareJob:
    """Return the order to run a node's prolog, and to start the job's extern step there if it has one."""
    return PrepareJob(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=job.id,
        attempt=job.attempt,
        variables=node_variables(turn, job, node),
        job=_as_seen_by(job, node) if has_extern(turn, job, node) else None,
    )


def has_extern(turn: Turn, job: Job, node: str) -> bool:
    """Does the job's extern step run on the node, or should it?"""
    step = turn.cluster.steps.get(job.id, {}).get(EXTERN_STEP)
    return step is not None and node in step.running_nodes


def _as_seen_by(job: Job, node: str) -> Job:
    """Return the job with what it was granted on one node: the orders to all of them must not grow as their square."""
    assert job.allocation is not None, f"job {job.id} has started"
    grants = tuple(grant for grant in job.allocation.grants if grant.node == node)
    return replace(job, allocation=replace(job.allocation, grants=grants))


def _extern_step(turn: Turn, job: Job) -> Step:
    """Return the step that stands for what is started on the job's nodes by others than srun; a task a node."""
    assert job.allocation is not None, f"job {job.id} has started"
    nodes = tuple(
        StepNode(
            node=grant.node,
            ntasks=1,
            ranks=str(index),
            cpus=grant.cpus,
            cpu_count=grant.cpu_count,
            memory_mib=grant.memory_mib,
        )
        for index, grant in enumerate(job.allocation.grants)
    )
    return Step(
        job_id=job.id,
        step_id=EXTERN_STEP,
        attempt=job.attempt,
        spec=StepSpec(name="extern"),
        nodes=nodes,
        running_nodes=tuple(node.node for node in nodes),
        started_at=turn.now_at,
    )


def node_variables(turn: Turn, job: Job, node: str) -> dict[str, str]:
    """Return what prolog and epilog on a node see of a job."""
    return hook_env.job_variables(job, turn.settings.cluster_name, node)


def _prepare_nodes(turn: Turn, job: Job) -> None:
    if _is_ordered(turn.settings):
        turn.effects += [prepare_order(turn, job, node) for node in job.nodes]
    if may_launch(turn.settings, job):
        _launch(turn, job)


def _launch(turn: Turn, job: Job) -> None:
    if job.spec.is_batch:
        turn.effects.append(launch_of(turn.cluster, job))


def give_back(turn: Turn, job: Job, text: str, clean_nodes: frozenset[str] = frozenset()) -> None:
    """A prolog failed: a batch job goes back, held unless the site says otherwise; another one ends."""
    is_forced = "ForceRequeueOnFail" in turn.settings.prolog_flags
    is_requeued = job.spec.is_batch and (is_forced or may_requeue(turn, job))
    is_last_try = job.attempt >= turn.settings.batch_requeues_max
    if is_requeued and (is_last_try or not _is_released(turn.settings.scheduler_parameters)):
        turn.emit(JobRevised(at=turn.now_at, job=replace(job, hold=Hold.ADMIN), what="prolog failed"))
    end_job(
        turn,
        turn.job(job.id),
        JobState.FAILED,
        Ending.REQUEUE if is_requeued else Ending.NODE_FAILURE,
        reason=Reason.PROLOG if not is_requeued else Reason.JOB_LAUNCH_FAILURE,
        reason_text=text,
        clean_nodes=clean_nodes,
        is_requeued=is_requeued,
    )


def _is_released(parameters: Mapping[str, str]) -> bool:
    return "nohold_on_prolog_fail" in parameters
