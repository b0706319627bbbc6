"""From a launch to the units that a job and each of its tasks have, their variables, and the fence around them.

Whether devices are fenced is the launch's to say.  The fence is around the job, whose tasks reach each other's GPUs as
NCCL's peers want; with --gpu-bind it is around each task.  A program counts its GPUs accordingly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from typing import NamedTuple

from sluice import cpuset, gpu_bind
from sluice.errors import InvalidRequest
from sluice.gpu_bind import GpuBind
from sluice.model.allocation import GresGrant
from sluice.model.reason import Reason
from sluice.model.step import Step, StepNode
from sluiced.gpu.bind import bind_gpus
from sluiced.gpu.device import NodeDevices, Unit
from sluiced.gpu.environment import visible_devices
from sluiced.gpu.fence import Fence, compute_fence
from sluiced.gpu.shards import SHARE_NAMES, gpus_of
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure

#: Of a GPU that no file and no library describes: nobody knows whose it is.
_ANY_ENV = ("nvidia", "amd", "intel", "opencl")


class TaskGpus(NamedTuple):
    """What a task has.  fence: around it alone, None where the job's is its own."""

    units: tuple[Unit, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    fence: Fence | None = None


def job_fence(launch: StepLaunch) -> Fence:
    """Return the fence around the launch's job on this node."""
    return compute_fence(launch.devices, _units(launch.devices, _granted(launch)))


def measured_gpus(launch: StepLaunch, uuids: Collection[str]) -> tuple[tuple[str, bool], ...]:
    """Return which of these GPUs the step holds on this node, and whether it has the whole or a part of each."""
    step = launch.tasks.step if launch.tasks is not None else None
    part = next((each for each in step.nodes if each.node == launch.node), None) if step is not None else None
    gres = part.gres if part is not None else _granted(launch)
    whole = {unit.number for unit in _gpus(launch.devices, [each for each in gres if each.name == "gpu"])}
    held = [unit for unit in _gpus(launch.devices, gres) if unit.uuid in uuids]
    return tuple((unit.uuid, unit.number in whole) for unit in held)


def plan_batch(launch: StepLaunch) -> dict[str, str]:
    """Return what a batch script's environment tells of its GPUs."""
    units = _gpus(launch.devices, _granted(launch))
    return visible_devices(units, units if launch.is_fenced else None)


def plan_tasks(launch: StepLaunch, step: Step, part: StepNode, cores: Sequence[Set[int]]) -> list[TaskGpus]:
    """Return what the tasks have, by local id.  Raises LaunchFailure for a binding that cannot be.

    cores: of each task, as gres.conf numbers them.
    """
    job_gpus = _gpus(launch.devices, _granted(launch))
    own = _gpus(launch.devices, part.gres)
    bind = _bind_of(step)
    try:
        shares = bind_gpus(own, cores, bind)
    except InvalidRequest as error:
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, f"node {launch.node}: {error.message}") from None
    is_walled = bool(step.spec.gpu_bind) and bind.kind not in ("", "none")
    return [_task(launch, part, own, job_gpus, units, is_walled) for units in shares]


def plan_node(launch: StepLaunch, part: StepNode) -> TaskGpus:
    """Return what one process has that starts the step's tasks on this node itself: all of the step's GPUs."""
    own = _gpus(launch.devices, part.gres)
    return _task(launch, part, own, _gpus(launch.devices, _granted(launch)), tuple(own), False)


def _task(
    launch: StepLaunch, part: StepNode, own: list[Unit], job_gpus: list[Unit], units: tuple[Unit, ...], is_walled: bool
) -> TaskGpus:
    has_wall = is_walled and launch.is_fenced
    fenced = units if has_wall else job_gpus if launch.is_fenced else None
    variables = visible_devices(units, fenced)
    if own:
        variables["SLURM_STEP_GPUS"] = ",".join(str(unit.number) for unit in own)
        variables["SLURM_GPUS_ON_NODE"] = str(len(own))
    elif job_gpus:
        # The step does without the job's GPUs: what its environment inherits must not say otherwise.
        variables |= {name: "" for name in visible_devices(job_gpus, None)} | {"SLURM_GPUS_ON_NODE": "0"}
    fence = compute_fence(launch.devices, [*units, *_others(launch.devices, part.gres)]) if has_wall else None
    return TaskGpus(units, tuple(variables.items()), fence)


def _bind_of(step: Step) -> GpuBind:
    """Return how a step's GPUs go to its tasks: --gpus-per-task gives each its own unless something else is said."""
    spec = step.spec
    bind = gpu_bind.parse(spec.gpu_bind) if spec.gpu_bind else GpuBind()
    each = sum(request.count for request in spec.gres_per_task if request.name == "gpu")
    if not bind.kind and each:
        return GpuBind("per_task", each, is_verbose=bind.is_verbose)
    return bind


def _granted(launch: StepLaunch) -> tuple[GresGrant, ...]:
    grant = launch.job.allocation.grant_on(launch.node) if launch.job.allocation else None
    return grant.gres if grant is not None else ()


def _gpus(devices: NodeDevices, gres: Iterable[GresGrant]) -> list[Unit]:
    """Return the GPUs that are granted, or of which a part is, by number."""
    grants = list(gres)
    numbers = [number for each in grants if each.name == "gpu" for number in cpuset.numbers(cpuset.parse(each.units))]
    types = {number: each.type for each in grants for number in cpuset.numbers(cpuset.parse(each.units))}
    for each in grants:
        if each.name in SHARE_NAMES:
            numbers += gpus_of(each.units, each.name, devices.shares)
    known = {unit.number: unit for unit in devices.units if unit.name == "gpu"}
    return [known.get(number) or _plain(number, types.get(number, "")) for number in sorted(set(numbers))]


def _plain(number: int, kind: str) -> Unit:
    return Unit(name="gpu", type=kind, number=number, ordinal=number, env=_ANY_ENV)


def _others(devices: NodeDevices, gres: Iterable[GresGrant]) -> list[Unit]:
    """Return the units of other names that are granted."""
    wanted = {(each.name, number) for each in gres for number in cpuset.numbers(cpuset.parse(each.units))}
    return [unit for unit in devices.units if unit.name != "gpu" and (unit.name, unit.number) in wanted]


def _units(devices: NodeDevices, gres: tuple[GresGrant, ...]) -> list[Unit]:
    return [*_gpus(devices, gres), *_others(devices, gres)]
