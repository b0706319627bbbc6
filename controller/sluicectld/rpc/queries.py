"""Questions that memory answers: jobs, steps, nodes, partitions, configuration, statistics."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from sluice import SLURM_VERSION, hostlist, timepoint
from sluice.config import show
from sluice.errors import NotFound
from sluice.model.job import Job
from sluice.model.states import JobState, StepState
from sluice.model.step import Step
from sluice.wire.messages import (
    ConfigView,
    JobViews,
    NodeViews,
    PartitionViews,
    QueryConfig,
    QueryJobs,
    QueryNodes,
    QueryPartitions,
    QueryStatistics,
    QuerySteps,
    Statistics,
    StepView,
    StepViews,
)
from sluicectld.core import Core
from sluicectld.handlers.select import jobs_of_ids, select_jobs

from . import views
from .call import Call
from .reservations import by_node
from .statistics import counters

logger = logging.getLogger(__name__)

#: Jobs in one piece of a streamed reply.
_PIECE = 500


def answer_jobs(call: Call, request: QueryJobs) -> None:
    """Stream the jobs of the filter; between pieces the loop does other work."""
    core = call.core
    cluster = core.engine.cluster
    ids = request.filter.ids
    if len(ids) == 1 and next(jobs_of_ids(cluster, ids), None) is None:
        raise NotFound(f"job {ids[0]} is not known", "invalid_job")
    jobs = list(select_jobs(cluster, request.filter))
    core.after_commit(call.responder, lambda: _start_stream(call, jobs))


def _start_stream(call: Call, jobs: list[Job]) -> None:
    if len(jobs) <= _PIECE:
        call.responder.reply(_piece(call.core, iter(jobs)))
        return
    task = call.core.loop.create_task(_stream_jobs(call, jobs))
    call.core.tasks.add(task)
    task.add_done_callback(call.core.tasks.discard)


async def _stream_jobs(call: Call, jobs: list[Job]) -> None:
    rest = iter(jobs)
    for _ in range(0, len(jobs) - _PIECE, _PIECE):
        call.responder.part(_piece(call.core, rest))
        await call.connection.wait_drained()
        await asyncio.sleep(0)
    call.responder.reply(_piece(call.core, rest))


def _piece(core: Core, jobs: Iterator[Job]) -> JobViews:
    now_at = core.clock.now()
    plan = core.passes.plan
    core.job_views.prune(core.engine.cluster)
    revised = core.engine.cluster.revised
    encoded = tuple(core.job_views.view(job, plan, now_at, revised) for job in islice(jobs, _PIECE))
    return JobViews(jobs=encoded, now_at=now_at)


def answer_steps(call: Call, request: QuerySteps) -> None:
    """Answer with the running steps of the jobs of the filter."""
    core = call.core

    def answer() -> StepViews:
        steps = [
            _step_view(job, step)
            for job in select_jobs(core.engine.cluster, request.filter)
            if job.state in (JobState.RUNNING, JobState.SUSPENDED)
            for step in core.engine.cluster.steps.get(job.id, {}).values()
            if step.state is StepState.RUNNING
        ]
        return StepViews(steps=tuple(steps), now_at=core.clock.now())

    core.ask(call.responder, answer)


def _step_view(job: Job, step: Step) -> StepView:
    return StepView(
        step=step,
        nodes=hostlist.fold(node.node for node in step.nodes),
        partition=job.partition,
        user=job.spec.user,
        uid=job.spec.uid,
        job_name=job.spec.name,
        array_job_id=job.array_job_id,
        array_task_id=job.array_task_id,
    )


def answer_nodes(call: Call, request: QueryNodes) -> None:
    """Answer with nodes and their use; an unknown name is refused."""
    core = call.core

    def answer() -> NodeViews:
        cluster = core.engine.cluster
        names = hostlist.expand(request.names) if request.names else list(cluster.nodes)
        unknown = [name for name in names if name not in cluster.nodes]
        if unknown:
            raise NotFound(f"node {hostlist.fold(unknown)} is not in the configuration", "invalid_node")
        partitions: dict[str, list[str]] = defaultdict(list)
        for partition in cluster.partitions.values():
            for name in partition.nodes:
                partitions[name].append(partition.name)
        now_at = core.clock.now()
        reserved = by_node(tuple(cluster.reservations.values()), now_at)
        planned = {name for start in core.passes.plan.planned.values() for name in start.nodes}
        return NodeViews(
            nodes=tuple(
                views.node_view(
                    cluster,
                    cluster.nodes[name],
                    tuple(partitions[name]),
                    planned,
                    core.agents.loads.get(name),
                    reserved.get(name),
                )
                for name in names
            ),
            now_at=now_at,
        )

    core.ask(call.responder, answer)


def answer_partitions(call: Call, request: QueryPartitions) -> None:
    """Answer with all partitions, or the named one."""
    core = call.core

    def answer() -> PartitionViews:
        partitions = core.engine.cluster.partitions
        if not request.name:
            return PartitionViews(partitions=tuple(partitions.values()), now_at=core.clock.now())
        if request.name not in partitions:
            raise NotFound(f"partition {request.name!r} does not exist", "invalid_partition")
        return PartitionViews(partitions=(partitions[request.name],), now_at=core.clock.now())

    core.ask(call.responder, answer)


def answer_config(call: Call, request: QueryConfig) -> None:
    """Answer with the configuration in force, as scontrol show config prints it."""
    core = call.core

    def answer() -> ConfigView:
        reported = {
            "BOOT_TIME": timepoint.format_local(core.started_at),
            "HASH_VAL": "Match",
            "NEXT_JOB_ID": str(core.engine.cluster.next_job_id),
            "SLURM_VERSION": SLURM_VERSION,
        }
        return ConfigView(settings=tuple(show.config_entries(core.config, reported)), now_at=core.clock.now())

    core.ask(call.responder, answer)


def answer_statistics(call: Call, request: QueryStatistics) -> None:
    """Answer with counters and seconds by name."""
    call.core.ask(call.responder, lambda: Statistics(counters=counters(call.core)))
