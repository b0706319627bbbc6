"""Requests of srun inside an allocation: a step's resources, and the credential that launches it."""

import socket

from sluice.errors import NotFound, RequestError
from sluice.model.step import Step
from sluice.wire.messages import CreateStep, LocateJob, StepAddress, StepCreated, StepWaits
from sluice.wire.step_credential import StepGrant, mint_step_credential
from sluicectld.handlers.components import described
from sluicectld.handlers.steps import StepBusy

from .call import Call
from .jobs import started


def answer_create(call: Call, request: CreateStep) -> None:
    """Answer with the step; while it has to wait, tell why once, and try again whenever a step ends."""
    is_told = False

    def attempt() -> bool:
        nonlocal is_told
        if not call.connection.is_open:
            # Its srun is gone, and would not launch it.
            return True
        try:
            call.core.run(request, call.caller, call.responder, lambda step: _created(call, step))
        except StepBusy as busy:
            if request.spec.is_immediate:
                call.responder.error(busy)
                return True
            if not is_told:
                is_told = True
                told = StepWaits(request_id=call.id, reason="Requested nodes are busy", text=busy.message)
                call.connection.notify("StepWaits", told)
            return False
        except RequestError as refusal:
            call.responder.error(refusal)
        return True

    call.core.waiting.add(request.job_id, call.responder, attempt)


def _created(call: Call, step: Step) -> StepCreated:
    core = call.core
    cluster = core.engine.cluster
    job = cluster.jobs[step.job_id]
    nodes = cluster.nodes
    settings = core.config.settings
    return StepCreated(
        step=step,
        addresses=tuple(
            StepAddress(node=node, address=nodes[node.node].address, port=nodes[node.node].port) for node in step.nodes
        ),
        credential=_mint(call, step),
        job=described(cluster, job),
        cluster=settings.cluster_name,
        mpi_default=settings.mpi_default,
        kill_wait_s=float(settings.kill_wait_s),
        srun_prolog=settings.srun_prolog,
        srun_epilog=settings.srun_epilog,
    )


def _mint(call: Call, step: Step) -> str:
    """Return what lets its bearer launch this step on its nodes."""
    job = call.core.engine.cluster.jobs[step.job_id]
    grant = StepGrant(
        uid=job.spec.uid,
        gid=job.spec.gid,
        user=job.spec.user,
        job_id=step.job_id,
        attempt=step.attempt,
        step_id=step.step_id,
        nodes=tuple(node.node for node in step.nodes),
    )
    return mint_step_credential(call.core.key, grant, socket.gethostname(), call.core.clock.now())


def answer_locate(call: Call, request: LocateJob) -> None:
    """Answer with a job's allocation."""
    job = call.core.engine.cluster.jobs.get(request.job_id)
    if job is None:
        raise NotFound(f"job {request.job_id} is not known", "invalid_job")
    call.core.ask(call.responder, lambda: started(call, job))
