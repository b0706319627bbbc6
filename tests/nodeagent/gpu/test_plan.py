"""What tasks are told of their GPUs, inside fences of each kind."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.model.allocation import GresGrant
from sluice.model.request import GresRequest, StepSpec
from sluice.model.step import Step, StepNode
from sluiced.gpu.device import NodeDevices, Share, Unit
from sluiced.gpu.plan import TaskGpus, job_fence, measured_gpus, plan_batch, plan_tasks
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.warmup import sample_launch

DEVICES = NodeDevices(
    units=(
        *(
            Unit(
                name="gpu",
                type="a100",
                number=number,
                ordinal=number,
                files=(f"/dev/nvidia{number}",),
                vendor="nvidia",
                env=("nvidia",),
            )
            for number in range(4)
        ),
        Unit(name="nic", type="", number=0, ordinal=0, files=("/dev/uverbs0",)),
    ),
    shares=(Share(name="shard", numbers="0-3", gpu=0), Share(name="shard", numbers="4-7", gpu=1)),
)


def _gpus(units: str, count: int) -> GresGrant:
    return GresGrant(name="gpu", type="a100", units=units, count=count)


def _launch(is_fenced: bool = False, gres: tuple[GresGrant, ...] = (_gpus("1-3", 3),)) -> StepLaunch:
    launch = sample_launch(0)
    assert launch.job.allocation is not None
    grant = replace(launch.job.allocation.grants[0], gres=gres)
    job = replace(launch.job, allocation=replace(launch.job.allocation, grants=(grant,)))
    return replace(launch, job=job, devices=DEVICES, is_fenced=is_fenced)


def _plan(
    launch: StepLaunch, ntasks: int = 1, gres: tuple[GresGrant, ...] | None = None, **spec: Any
) -> list[TaskGpus]:
    assert launch.job.allocation is not None
    own = launch.job.allocation.grants[0].gres if gres is None else gres
    part = StepNode(node="n1", ntasks=ntasks, gres=own)
    step = Step(job_id=1, step_id=0, spec=StepSpec(name="x", **spec), nodes=(part,))
    return plan_tasks(launch, step, part, [frozenset()] * ntasks)


def _visible(tasks: list[TaskGpus]) -> list[str]:
    return [dict(task.variables)["CUDA_VISIBLE_DEVICES"] for task in tasks]


@pytest.mark.parametrize(
    ("is_fenced", "fields", "expected"),
    [
        (False, {}, ["1,2,3", "1,2,3"]),
        (True, {}, ["0,1,2", "0,1,2"]),
        (False, {"gpu_bind": "map_gpu:0,2"}, ["1", "3"]),
        (True, {"gpu_bind": "map_gpu:0,2"}, ["0", "0"]),
        (True, {"gpu_bind": "none"}, ["0,1,2", "0,1,2"]),
        # Each its own by --gpus-per-task, but no walls between them: peers reach each other's memory.
        (True, {"gres_per_task": (GresRequest(name="gpu", count=1),)}, ["0", "1"]),
    ],
)
def test_tasks_count_the_gpus_that_they_can_open(is_fenced: bool, fields: dict[str, Any], expected: list[str]) -> None:
    assert _visible(_plan(_launch(is_fenced), 2, **fields)) == expected


def test_only_a_task_behind_walls_has_a_fence_of_its_own() -> None:
    (walled, _) = _plan(_launch(True), 2, gpu_bind="per_task:1")

    assert walled.fence is not None
    assert walled.fence.allowed[0] == "/dev/nvidia1"
    assert walled.fence.withheld == ("/dev/nvidia0", "/dev/nvidia2", "/dev/nvidia3", "/dev/uverbs0")
    assert _plan(_launch(False), 1, gpu_bind="per_task:1")[0].fence is None
    assert _plan(_launch(True), 1, gres_per_task=(GresRequest(name="gpu", count=1),))[0].fence is None


def test_a_job_is_fenced_from_all_that_it_was_not_given() -> None:
    fence = job_fence(_launch(gres=(_gpus("1", 1), GresGrant(name="nic", units="0", count=1))))

    assert fence.allowed[:2] == ("/dev/nvidia1", "/dev/uverbs0")
    assert fence.withheld == ("/dev/nvidia0", "/dev/nvidia2", "/dev/nvidia3")


def test_a_part_of_a_gpu_is_told_as_the_gpu() -> None:
    launch = _launch(gres=(GresGrant(name="shard", units="5-6", count=2),))

    assert plan_batch(launch) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert job_fence(launch).withheld[0] == "/dev/nvidia0"


def test_a_step_without_the_jobs_gpus_is_told_that_it_has_none() -> None:
    (task,) = _plan(_launch(), 1, gres=())

    assert dict(task.variables) == {"CUDA_VISIBLE_DEVICES": "", "SLURM_GPUS_ON_NODE": "0"}


def test_a_job_without_gpus_is_told_nothing() -> None:
    assert _plan(_launch(gres=()))[0].variables == ()
    assert plan_batch(_launch(gres=())) == {}


def test_the_steps_gpus_are_told_with_the_nodes_numbers() -> None:
    (task,) = _plan(_launch(True), 1, gres=(_gpus("2-3", 2),))

    variables = dict(task.variables)
    assert (variables["SLURM_STEP_GPUS"], variables["SLURM_GPUS_ON_NODE"]) == ("2,3", "2")
    assert variables["CUDA_VISIBLE_DEVICES"] == "1,2"


def test_gpus_that_nobody_described_have_their_numbers_alone() -> None:
    launch = replace(_launch(), devices=NodeDevices())

    assert plan_batch(launch) == {
        "CUDA_VISIBLE_DEVICES": "1,2,3",
        "ROCR_VISIBLE_DEVICES": "1,2,3",
        "ZE_AFFINITY_MASK": "1,2,3",
        "GPU_DEVICE_ORDINAL": "1,2,3",
    }
    assert job_fence(launch).withheld == ()


def test_a_binding_to_what_is_not_there_fails_the_launch() -> None:
    with pytest.raises(LaunchFailure, match="node n1: --gpu-bind"):
        _plan(_launch(), 1, gpu_bind="map_gpu:3")


def _measurable(**fields: Any) -> StepLaunch:
    """Return a launch on a node whose GPUs have UUIDs."""
    units = tuple(replace(unit, uuid=f"GPU-{unit.number}" if unit.name == "gpu" else "") for unit in DEVICES.units)
    return replace(_launch(), devices=replace(DEVICES, units=units), **fields)


def test_a_batch_script_is_measured_on_the_jobs_gpus_that_can_be_asked() -> None:
    launch = _measurable(tasks=None)

    assert measured_gpus(launch, ["GPU-0", "GPU-1", "GPU-2"]) == (("GPU-1", True), ("GPU-2", True))
    assert measured_gpus(launch, []) == ()


def test_a_step_is_measured_on_its_own_gpus_of_which_it_may_have_parts() -> None:
    shard = GresGrant(name="shard", units="4-5", count=2)
    part = StepNode(node="n1", ntasks=1, gres=(_gpus("3", 1), shard))
    tasks = _launch().tasks
    assert tasks is not None
    launch = _measurable(tasks=replace(tasks, step=replace(tasks.step, nodes=(part,))))

    assert measured_gpus(launch, ["GPU-1", "GPU-3"]) == (("GPU-1", False), ("GPU-3", True))
