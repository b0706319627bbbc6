"""What a step's group is asked for where the kernel numbers CPUs otherwise than grants do."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sluice.config.node_setup import NodeSetup
from sluice.model.confinement import CgroupSettings
from sluice.wire.messages import AgentConfig
from sluiced.binding import plan
from sluiced.cgroup import detect
from sluiced.cgroup.interface import GroupName, NoGroup, Wants
from sluiced.cgroup.limits import Machine
from sluiced.steps.warmup import sample_launch
from tests.nodeagent.binding.trees import make_cpus


class _Tree:
    def __init__(self) -> None:
        self.asked = Wants()

    def make_step(self, name: GroupName, wants: Wants) -> NoGroup:
        self.asked = wants
        return NoGroup()


def test_cores_are_confined_by_the_kernels_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU n and n+4 are threads of one core, and the sockets take turns: the first two cores are 0, 2, 4 and 6."""
    tree = _Tree()
    monkeypatch.setattr(plan, "machine", lambda: make_cpus(2, 2, 2, is_interleaved=True))
    monkeypatch.setattr(detect, "find_tree", lambda settings: tree)
    monkeypatch.setattr(detect, "read_machine", lambda settings: Machine(1000, 0xFF))
    setup = NodeSetup(cpus=8, sockets=2, cores_per_socket=2, threads_per_core=2)
    config = AgentConfig(
        version=1, digest="", cluster="x", cgroup=CgroupSettings(constrain_cores=True), nodes={"n1": setup}
    )
    launch = sample_launch(0)
    assert launch.job.allocation is not None
    grant = replace(launch.job.allocation.grants[0], cpus="0-3", cpu_count=4)
    job = replace(launch.job, allocation=replace(launch.job.allocation, grants=(grant,)))

    detect.step_group(replace(launch, job=job, config=config))

    assert tree.asked.job.cpus == "0,2,4,6"
