"""Requests of agents that manage steps, and the way to them."""

from sluice.model.job import Job
from sluice.wire.credentials import LIFETIME_S, Claims, mint, new_nonce
from sluice.wire.framing import node_audience
from sluice.wire.messages import ManagedJob, ManageSteps, NodeAddress, StepsAt
from sluicectld.handlers.components import described
from sluicectld.handlers.steps import bounds_of

from .call import Call


def answer_manage(call: Call, request: ManageSteps) -> None:
    """Answer with what the agent needs to manage the job's steps."""
    call.core.run(request, call.caller, call.responder, lambda job: _managed(call, job))


def _managed(call: Call, job: Job) -> ManagedJob:
    settings = call.core.config.settings
    bounds = bounds_of(settings)
    return ManagedJob(
        job=described(call.core.engine.cluster, job),
        addresses=tuple(_address(call, name) for name in job.nodes),
        tasks_per_node_max=bounds.tasks_per_node_max,
        steps_per_job_max=bounds.steps_per_job_max,
        cluster=settings.cluster_name,
        mpi_default=settings.mpi_default,
        kill_wait_s=float(settings.kill_wait_s),
        srun_prolog=settings.srun_prolog,
        srun_epilog=settings.srun_epilog,
    )


def steps_at(call: Call, job: Job) -> StepsAt | None:
    """Return where the job's steps are managed, with a credential of the caller's; None: here."""
    if not job.steps_on:
        return None
    place = _address(call, job.steps_on)
    caller = call.caller
    claims = Claims(
        uid=caller.uid, gid=caller.gid, user=caller.user, host=place.node, audience=node_audience(place.node)
    )
    credential = mint(call.core.key, claims, call.core.clock.now(), LIFETIME_S, new_nonce())
    return StepsAt(node=place.node, address=place.address, port=place.port, credential=credential)


def _address(call: Call, name: str) -> NodeAddress:
    node = call.core.engine.cluster.nodes[name]
    return NodeAddress(node=name, address=node.address or node.hostname, port=node.port)
