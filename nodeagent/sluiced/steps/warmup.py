"""Doing once in the fork server what every step daemon would otherwise do for the first time.

Measured: a first pass through decoding, users, environment and file names costs 10 ms more than the second (types are
analysed, libraries of the name service are opened, byte code is specialised); a fork inherits all of it.
"""

from __future__ import annotations

import os

import msgspec

from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.request import JobSpec, StepSpec
from sluice.model.states import Ending
from sluice.model.step import Step, StepNode
from sluice.wire.messages import AgentConfig, StepResult, TaskLaunch
from sluiced import spool
from sluiced.cgroup import detect
from sluiced.stdio.relay import Relay
from sluiced.steps import descendants
from sluiced.steps.launch import EndOrder, StepLaunch, decode_order, encode_order
from sluiced.steps.setup import prepare_step
from sluiced.steps.usage import UsageMeter
from sluiced.steps.user import load_user
from sluiced.steps.wireup import Wireup

_ROUNDS = 3


def warm_up() -> None:
    """Walk through what comes before a step's first fork and after its last wait, without a step."""
    descendants.load_libc()
    for _ in range(_ROUNDS):
        for step_id in (BATCH_STEP, 0):
            launch = spool.decode_launch(msgspec.msgpack.encode(sample_launch(step_id)))
            detect.find_tree(launch.config.cgroup)
            user = load_user(launch.job.spec.uid, launch.job.spec.gid, launch.job.spec.user)
            preparation = prepare_step(launch, user, Relay(None, 1), Wireup())
            preparation.close_task_ends()
            for file in preparation.files.values():
                os.close(file.fd)
        meter = UsageMeter("n1")
        meter.sample(os.getpid(), 0)
        result = StepResult(node="n1", job_id=1, attempt=0, step_id=0, usage=meter.usage())
        msgspec.msgpack.encode(result)
    decode_order(encode_order(EndOrder(ending=Ending.CANCEL, kill_wait_s=1.0)))


def sample_launch(step_id: int) -> StepLaunch:
    """Return a launch of this process's own user that needs nothing."""
    spec = JobSpec(name="x", uid=os.geteuid(), gid=os.getegid(), user="root", std_out="none", work_dir="/")
    allocation = Allocation(grants=(NodeGrant(node="n1", cpus="0", cpu_count=1),), tasks_per_node=(1,))
    job = Job(id=1, spec=spec, allocation=allocation, partition="x")
    launch = StepLaunch(
        node="n1",
        job=job,
        step_id=step_id,
        boot_id="x",
        config=AgentConfig(version=0, digest="", cluster="x"),
        environment=(b"PATH=/bin",),
    )
    if step_id == BATCH_STEP:
        return launch
    step = Step(job_id=1, step_id=0, spec=StepSpec(name="x"), nodes=(StepNode(node="n1", ntasks=1, ranks="0"),))
    tasks = TaskLaunch(
        credential="", job=job, step=step, node="n1", argv=("true",), std_in="none", std_out="none", std_err="none"
    )
    return msgspec.structs.replace(launch, tasks=tasks)
