"""What one job or step may use on a node: from its grant, cgroup.conf and the machine to numbers.  Pure.

Memory is what was granted times AllowedRAMSpace, never above MaxRAMPercent of the machine's, which is also what a
job gets that was granted none in particular; never below MinRAMSpace.  Memory and swap space together follow the same
rule with AllowedSwapSpace on top.  Source: CONTRACT section 16.4, and cgroup.conf as Slurm documents it.
"""

from __future__ import annotations

from typing import NamedTuple

from sluice import cpuset
from sluice.model.allocation import NodeGrant
from sluice.model.confinement import CgroupSettings
from sluice.model.step import StepNode

_MIB = 1024 * 1024


class Machine(NamedTuple):
    """What the limits are cut to.  cpus: mask of those that groups may use."""

    memory_mib: int
    cpus: int


class Limits(NamedTuple):
    """Of one group; None and "" are no limit of its own."""

    memory_bytes: int | None = None
    #: Together with memory_bytes; never below it.
    memory_and_swap_bytes: int | None = None
    #: A kernel list.
    cpus: str = ""
    processes: int | None = None


def compute_job_limits(grant: NodeGrant, settings: CgroupSettings, machine: Machine) -> Limits:
    """Return what the job's steps may use together on this node."""
    return Limits(
        *_compute_memory(grant.memory_mib, settings, machine),
        cpus=cpuset.format(cpuset.parse(grant.cpus) & machine.cpus) if settings.constrain_cores else "",
        processes=settings.processes_max or None,
    )


def compute_step_limits(
    part: StepNode, is_exact: bool, job: Limits, settings: CgroupSettings, machine: Machine
) -> Limits:
    """Return what one step may use beside its job's limits: less memory if it asked for less, its own CPUs if exact."""
    memory, with_swap = _compute_memory(part.memory_mib, settings, machine) if part.memory_mib else (None, None)
    own = cpuset.parse(part.cpus) & cpuset.parse(job.cpus) if is_exact else 0
    return Limits(
        _if_below(memory, job.memory_bytes),
        _if_below(with_swap, job.memory_and_swap_bytes),
        cpus=cpuset.format(own) or job.cpus,
    )


def unmet_cores(grant: NodeGrant, settings: CgroupSettings, machine: Machine) -> str:
    """Return why a job cannot be confined to its cores, "" where it can or need not be."""
    granted = cpuset.parse(grant.cpus)
    if not settings.constrain_cores or not granted or granted & machine.cpus:
        return ""
    return f"ConstrainCores: CPUs {grant.cpus} were granted, groups here may use {cpuset.format(machine.cpus)}"


def _compute_memory(granted_mib: int, settings: CgroupSettings, machine: Machine) -> tuple[int | None, int | None]:
    """Return (memory, memory and swap space) in bytes."""
    memory = with_swap = None
    if settings.constrain_ram_space:
        memory = _bound(granted_mib, settings.allowed_ram_space_percent, settings.max_ram_percent, settings, machine)
    if settings.constrain_swap_space:
        ram_percent = settings.allowed_ram_space_percent if settings.constrain_ram_space else 100.0
        percent = ram_percent + settings.allowed_swap_space_percent
        with_swap = max(_bound(granted_mib, percent, settings.max_swap_percent, settings, machine), memory or 0)
        # No kernel bounds the sum and lets memory alone grow beyond it.
        memory = memory or with_swap
    return memory, with_swap


def _bound(granted_mib: int, percent: float, max_percent: float, settings: CgroupSettings, machine: Machine) -> int:
    highest = machine.memory_mib * max_percent / 100
    wanted = granted_mib * percent / 100 if granted_mib else highest
    return int(max(min(wanted, highest), settings.min_ram_space_mib) * _MIB)


def _if_below(own: int | None, of_job: int | None) -> int | None:
    return own if own is not None and of_job is not None and own < of_job else None
