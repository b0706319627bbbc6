"""CreateHetStep: one step over components of a heterogeneous job, granted in all of them or in none.

Each component has a step of its own, with its own CPUs and ranks from 0; what makes them one is their number, which is
the next that is free in all of them, and their ports, which are the same.
"""

from msgspec.structs import replace

from sluice.errors import InvalidRequest
from sluice.model.step import Step
from sluice.wire.messages import CreateHetStep
from sluicectld.permissions import Verb

from .step_ports import lease_common_ports
from .steps import begin_step, find_job, known_step, make_step
from .turn import Turn


def handle_create_het_step(turn: Turn, command: CreateHetStep) -> tuple[Step, ...]:
    """Return the steps, in the order of the parts.  Raises StepBusy when they have to wait, RequestError."""
    jobs = [find_job(turn, part.job_id) for part in command.parts]
    for job in jobs:
        turn.require(Verb.CREATE_STEP, job)
    leaders = {job.het_job_id for job in jobs}
    if len({job.id for job in jobs}) < len(jobs) or len(leaders) != 1 or 0 in leaders:
        names = ", ".join(str(job.id) for job in jobs) or "none"
        raise InvalidRequest(f"a step over jobs {names} requested, which are not components of one job", "invalid_job")
    known = [step for job in jobs if (step := known_step(turn, job, command.token)) is not None]
    if len(known) == len(jobs):
        return tuple(known)
    step_id = max(job.next_step_id for job in jobs)
    steps = [
        make_step(turn, job, part.spec, command.token, step_id) for job, part in zip(jobs, command.parts, strict=True)
    ]
    nodes = tuple(node for step in steps for node in step.nodes)
    ports = lease_common_ports(turn, jobs, steps[0].spec, nodes)
    whole = tuple(replace(step, ports=ports) for step in steps)
    for step in whole:
        begin_step(turn, step)
    return whole
