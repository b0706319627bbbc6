"""A job of two nodes with two CPUs each, whose steps are managed; its steps and their results."""

from __future__ import annotations

from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.request import JobSpec, StepSpec
from sluice.model.states import JobState
from sluice.model.step import Step
from sluice.wire.messages import ManagedJob, NodeAddress, StepResult
from sluiced.manager.book import StepBook

NODES = ("n1", "n2")


def managed(next_step_id: int = 0, steps_max: int = 1000) -> ManagedJob:
    grants = tuple(NodeGrant(node=node, cpus="0-1", cpu_count=2) for node in NODES)
    job = Job(
        id=7,
        spec=JobSpec(name="j", uid=1, gid=1, user="ann", work_dir="/", given=frozenset()),
        state=JobState.RUNNING,
        allocation=Allocation(grants=grants, tasks_per_node=(2, 2)),
        next_step_id=next_step_id,
    )
    addresses = tuple(NodeAddress(node=node, address="127.0.0.1", port=1) for node in NODES)
    return ManagedJob(job=job, addresses=addresses, tasks_per_node_max=100, steps_per_job_max=steps_max)


def spec(ntasks: int = 1, **fields: object) -> StepSpec:
    return StepSpec(name="s", ntasks=ntasks, min_nodes=1, **fields)  # type: ignore[arg-type]


def result(step: Step, node: str, exit_code: int = 0) -> StepResult:
    return StepResult(node=node, job_id=7, attempt=0, step_id=step.step_id, exit_code=exit_code, ended_at=2.0)


def end(book: StepBook, step: Step) -> None:
    for node in step.running_nodes:
        book.take(result(step, node), 2.0)
