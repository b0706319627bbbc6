"""--gpu-bind: which of the step's GPUs on a node each of its tasks has.  Pure.

    nothing said  all of them; with --gpus-per-task so many each, as per_task says
    per_task:N    N to each task, those near its CPUs first, nobody's twice
    single:N      one to each task; N tasks share one; those near its CPUs first
    closest       all that are near the task's CPUs; all of them where none is
    map_gpu:...   the i-th of the step's GPUs, by local id; mask_gpu:... several

A unit is near a task if gres.conf's Cores has one of its cores, or says nothing.

Source: CONTRACT section 2.3; srun's manual.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from sluice import cpuset
from sluice.errors import InvalidRequest
from sluice.gpu_bind import GpuBind
from sluiced.gpu.device import Unit


def bind_gpus(units: Sequence[Unit], cores: Sequence[Set[int]], bind: GpuBind) -> list[tuple[Unit, ...]]:
    """Return each task's units.  Raises InvalidRequest for what the step does not have.

    units: of the step, in order.  cores: of each task, as gres.conf numbers them.
    """
    if bind.kind in ("", "none") or not units:
        return [tuple(units)] * len(cores)
    if bind.kind == "closest":
        return [tuple(unit for unit in units if _is_near(unit, own)) or tuple(units) for own in cores]
    if bind.kind == "single":
        return _share_out(units, cores, 1, bind.size)
    if bind.kind == "per_task":
        return _share_out(units, cores, bind.size, 1)
    return [_by_list(units, bind, local_id) for local_id in range(len(cores))]


def _is_near(unit: Unit, cores: Set[int]) -> bool:
    return not unit.cores or bool(set(cpuset.numbers(cpuset.parse(unit.cores))) & cores)


def _share_out(units: Sequence[Unit], cores: Sequence[Set[int]], size: int, tasks_max: int) -> list[tuple[Unit, ...]]:
    """Give each task *size* units that have less than tasks_max tasks: near ones, and of these those in use first."""
    if size * len(cores) > tasks_max * len(units):
        raise InvalidRequest(
            f"{len(cores)} tasks of {size} GPUs, {tasks_max} tasks on one, are more than the step has on the node: "
            f"{len(units)}",
            "gpu_bind",
        )
    tasks = dict.fromkeys(range(len(units)), 0)
    shares = []
    for own in cores:
        free = [place for place in tasks if tasks[place] < tasks_max]
        free.sort(key=lambda place: (not _is_near(units[place], own), tasks[place] == 0, place))
        taken = sorted(free[:size])
        for place in taken:
            tasks[place] += 1
        shares.append(tuple(units[place] for place in taken))
    return shares


def _by_list(units: Sequence[Unit], bind: GpuBind, local_id: int) -> tuple[Unit, ...]:
    value = bind.values[local_id % len(bind.values)]
    places = [value] if bind.kind == "map_gpu" else cpuset.numbers(value)
    if not places or places[-1] >= len(units):
        last = len(units) - 1
        raise InvalidRequest(f"--gpu-bind: GPU {places[-1:] or 'none'} wanted, the step has 0 to {last}", "gpu_bind")
    return tuple(units[place] for place in places)
