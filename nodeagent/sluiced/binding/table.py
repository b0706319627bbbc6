"""What `srun -v` tells of each task: the CPUs that it may run on, and its GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from sluice import cpuset
from sluiced.binding.plan import TaskBinding
from sluiced.gpu.plan import TaskGpus


def binding_table(
    node: str, ranks: Sequence[int], bindings: Sequence[TaskBinding], gpus: Sequence[TaskGpus]
) -> list[str]:
    """Return a line for each task: "srun: n1: task  0: cpus 0-1, gpus 0 (CUDA_VISIBLE_DEVICES=0)"."""
    return [
        f"srun: {node}: task {rank:2d}: {_cpus(binding)}{_gpus(own)}"
        for rank, binding, own in zip(ranks, bindings, gpus, strict=True)
    ]


def _cpus(binding: TaskBinding) -> str:
    if not binding.mask:
        return "cpus not bound"
    made_up = "" if binding.is_real else " of a node that is configured larger than this machine: not bound"
    return f"cpus {cpuset.format(binding.mask)}{made_up}"


def _gpus(gpus: TaskGpus) -> str:
    if not gpus.units:
        return ""
    numbers = cpuset.format(sum(1 << unit.number for unit in gpus.units))
    variables = [f"{name}={value}" for name, value in gpus.variables if not name.startswith("SLURM_")]
    told = f" ({' '.join(variables)})" if variables else ""
    walled = ", fenced" if gpus.fence is not None else ""
    return f", gpus {numbers}{told}{walled}"
