"""Requests of srun, sattach and sbcast: a step's resources, and the credentials for the agents of its nodes."""

import socket
from collections.abc import Callable, Iterable
from typing import Any

from sluice import jobid_spec
from sluice.errors import NotFound, RequestError
from sluice.model.base import BATCH_STEP, EXTERN_STEP, SPECIAL_STEP_NAMES, step_name
from sluice.model.job import Job
from sluice.model.states import JobState, StepState
from sluice.model.step import Step, StepNode
from sluice.steps.grant import StepBusy, shape_of
from sluice.steps.whole import as_one
from sluice.wire.messages import (
    AttachStep,
    CreateHetStep,
    CreateStep,
    FilesGranted,
    HetStepCreated,
    LocateJob,
    Message,
    SendFiles,
    StepAddress,
    StepCreated,
    StepWaits,
)
from sluice.wire.step_credential import StepGrant, grant_access, grant_launch, mint_step_credential
from sluicectld.handlers import select
from sluicectld.handlers.components import described
from sluicectld.permissions import Verb

from .call import Call
from .jobs import started


def answer_create(call: Call, request: CreateStep) -> None:
    """Answer with the step, once there is room for it."""
    _answer_when_free(call, request, request.job_id, request.spec.is_immediate, lambda step: _created(call, step))


def answer_create_het(call: Call, request: CreateHetStep) -> None:
    """Answer with the steps of all components, once there is room in each."""
    is_immediate = any(part.spec.is_immediate for part in request.parts)
    first = call.core.engine.cluster.jobs.get(request.parts[0].job_id) if request.parts else None
    waits_for = (first.het_job_id or first.id) if first is not None else 0
    _answer_when_free(
        call,
        request,
        waits_for,
        is_immediate,
        lambda steps: HetStepCreated(parts=tuple(_created(call, step) for step in as_one(steps))),
    )


def _answer_when_free(
    call: Call, request: CreateStep | CreateHetStep, job_id: int, is_immediate: bool, reply: Callable[[Any], Message]
) -> None:
    """Answer now, or whenever a step of the job ends; why it has to wait is told once."""
    is_told = False
    # Of the caller too: whoever may not make steps is told so, busy or not.
    shape = job_id, (call.caller.uid, _shape(request))
    tokens = call.core.engine.cluster.step_tokens

    def attempt() -> bool:
        nonlocal is_told
        if not call.connection.is_open:
            # Its srun is gone, and would not launch it.
            return True
        known = call.core.waiting.busy
        try:
            is_repeated = request.token in tokens.get(job_id, {})
            if shape in known and not is_immediate and not is_repeated:
                raise StepBusy(known[shape])
            call.core.run(request, call.caller, call.responder, reply)
        except StepBusy as busy:
            if is_immediate:
                call.responder.error(busy)
                return True
            known[shape] = busy.message
            if not is_told:
                is_told = True
                told = StepWaits(request_id=call.id, reason="Requested nodes are busy", text=busy.message)
                call.connection.notify("StepWaits", told)
            return False
        except RequestError as refusal:
            call.responder.error(refusal)
        return True

    call.core.waiting.add(job_id, call.responder, attempt)


def _shape(request: CreateStep | CreateHetStep) -> object:
    """Return what says whether there is room: equal for requests that differ in program and sender alone."""
    if isinstance(request, CreateHetStep):
        return tuple((part.job_id, shape_of(part.spec)) for part in request.parts)
    return shape_of(request.spec)


def _created(call: Call, step: Step, is_to_launch: bool = True) -> StepCreated:
    core = call.core
    cluster = core.engine.cluster
    job = described(cluster, cluster.jobs[step.job_id])
    settings = core.config.settings
    grant = grant_launch(job, step) if is_to_launch else grant_access(job, step.step_id, (n.node for n in step.nodes))
    return StepCreated(
        step=step,
        addresses=_addresses(call, step.nodes),
        credential=_mint(call, grant),
        job=job,
        cluster=settings.cluster_name,
        mpi_default=settings.mpi_default,
        kill_wait_s=float(settings.kill_wait_s),
        srun_prolog=settings.srun_prolog,
        srun_epilog=settings.srun_epilog,
    )


def _addresses(call: Call, parts: Iterable[StepNode]) -> tuple[StepAddress, ...]:
    nodes = call.core.engine.cluster.nodes
    return tuple(StepAddress(node=part, address=nodes[part.node].address, port=nodes[part.node].port) for part in parts)


def _mint(call: Call, grant: StepGrant) -> str:
    return mint_step_credential(call.core.key, grant, socket.gethostname(), call.core.clock.now())


def answer_locate(call: Call, request: LocateJob) -> None:
    """Answer with a job's allocation."""
    job = call.core.engine.cluster.jobs.get(request.job_id)
    if job is None:
        raise NotFound(f"job {request.job_id} is not known", "invalid_job")
    call.core.ask(call.responder, lambda: started(call, job))


def answer_attach(call: Call, request: AttachStep) -> None:
    """Answer with a running step and what lets the caller attach to it."""
    job, step_id = _find_named(call, request.id)
    call.caller.require(Verb.ATTACH_STEP, job.spec.uid)
    if step_id is None or step_id == BATCH_STEP:
        raise RequestError(
            f"{request.id!r}: it is attached to steps; a batch script's streams are files", "invalid_job"
        )
    step = _find_running(call, job, step_id)
    call.core.ask(call.responder, lambda: _created(call, step, is_to_launch=False))


def answer_send_files(call: Call, request: SendFiles) -> None:
    """Answer with the nodes of a running job, or of a step, and what lets the caller send files there."""
    job, step_id = _find_named(call, request.id)
    call.caller.require(Verb.SEND_FILES, job.spec.uid)
    if job.state is not JobState.RUNNING or job.allocation is None:
        raise RequestError(f"job {job.id} is {job.state.value}", "already_done" if job.is_ended else "not_running")
    if step_id is None:
        parts = tuple(StepNode(node=node, ntasks=0) for node in job.allocation.nodes)
    else:
        parts = _find_running(call, job, step_id).nodes
    granted = FilesGranted(
        job_id=job.id,
        attempt=job.attempt,
        addresses=_addresses(call, parts),
        credential=_mint(call, grant_access(job, EXTERN_STEP, (part.node for part in parts))),
    )
    call.core.ask(call.responder, lambda: granted)


def _find_named(call: Call, text: str) -> tuple[Job, int | None]:
    """Return the one job that a user's id names, and its step.  Raises InvalidRequest or NotFound."""
    spec = jobid_spec.parse(text)
    found = [job for job, _ in select.jobs_of_id(call.core.engine.cluster, spec)]
    # Of several, the one that has the id itself: a heterogeneous job's leader, an array's last task.
    found = [job for job in found if job.id == spec.job_id] or found
    if not found:
        raise NotFound(f"job {text.partition('.')[0]} is not known", "invalid_job")
    if len(found) != 1:
        raise NotFound(f"{text!r} names {len(found)} jobs, one is needed", "invalid_job")
    step_ids = {name: number for number, name in SPECIAL_STEP_NAMES.items()}
    return found[0], None if spec.step is None else step_ids.get(spec.step) or int(spec.step)


def _find_running(call: Call, job: Job, step_id: int) -> Step:
    step = call.core.engine.cluster.steps.get(job.id, {}).get(step_id)
    if step is None:
        raise NotFound(f"step {job.id}.{step_name(step_id)} is not known", "invalid_job")
    if step.state is not StepState.RUNNING:
        raise RequestError(f"step {job.id}.{step_name(step_id)} has ended", "already_done")
    return step
