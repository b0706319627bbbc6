"""From a launch to bindings: what the configuration says, what is told, and what stays as it is (a mask of 0)."""

from __future__ import annotations

import os
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.config.node_setup import NodeSetup
from sluice.model.request import StepSpec
from sluice.model.step import Step, StepNode
from sluice.wire.messages import AgentConfig
from sluiced.binding import plan
from sluiced.binding.apply import bind_self
from sluiced.binding.plan import TaskBinding, bind_batch, bind_tasks
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.warmup import sample_launch
from tests.nodeagent.binding.trees import make_cpus

#: Two sockets of two cores of two threads.
SETUP = NodeSetup(cpus=8, sockets=2, cores_per_socket=2, threads_per_core=2)


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "machine", lambda: make_cpus(2, 2, 2))


def _launch(setup: NodeSetup = SETUP, **config: Any) -> StepLaunch:
    values: dict[str, Any] = {"task_plugins": ("affinity", "cgroup"), "nodes": {"n1": setup}} | config
    launch = replace(sample_launch(0), config=AgentConfig(version=1, digest="", cluster="x", **values))
    assert launch.job.allocation is not None
    grant = replace(launch.job.allocation.grants[0], cpus="0-7", cpu_count=8)
    return replace(launch, job=replace(launch.job, allocation=replace(launch.job.allocation, grants=(grant,))))


def _bindings(launch: StepLaunch, ntasks: int = 2, cpus: str = "0-7", **spec: Any) -> list[TaskBinding]:
    part = StepNode(node="n1", ntasks=ntasks, cpus=cpus)
    return bind_tasks(launch, Step(job_id=1, step_id=0, spec=StepSpec(name="x", **spec), nodes=(part,)), part)


def _masks(launch: StepLaunch, **spec: Any) -> list[str]:
    return [f"{binding.mask:X}" for binding in _bindings(launch, **spec)]


@pytest.mark.parametrize(
    ("setup", "config", "expected"),
    [
        ({}, {}, ["F", "F0"]),
        ({"cpu_bind": "core"}, {}, ["3", "30"]),
        ({"cpu_bind": "off"}, {}, ["0", "0"]),
        ({}, {"partition_cpu_bind": {"x": "thread"}}, ["1", "10"]),
        ({"cpu_bind": "core"}, {"partition_cpu_bind": {"x": "thread"}}, ["3", "30"]),
        ({}, {"task_parameters": {"cores": ""}}, ["3", "30"]),
        ({}, {"task_parameters": {"none": ""}}, ["0", "0"]),
        ({}, {"task_parameters": {"autobind": "threads"}}, ["F", "F0"]),
    ],
    ids=["as many sockets as tasks", "the node", "the node: off", "the partition", "the node before the partition",
         "TaskPluginParam", "TaskPluginParam: none", "autobind only where nothing matches"],
)  # fmt: skip
def test_the_configuration_binds_what_says_nothing(
    setup: dict[str, Any], config: dict[str, Any], expected: list[str]
) -> None:
    assert _masks(_launch(replace(SETUP, **setup), **config)) == expected


def test_autobind_binds_where_nothing_matches() -> None:
    launch = _launch(task_parameters={"autobind": "Threads"})

    assert _masks(launch, ntasks=3) == ["1", "10", "2"]
    assert _masks(_launch(), ntasks=3) == ["FF", "FF", "FF"]


def test_a_step_is_bound_within_its_own_cpus() -> None:
    assert _masks(_launch(), cpus="4-7", cpu_bind="cores") == ["30", "C0"]


def test_without_the_plugin_nothing_is_bound_and_who_asks_is_told() -> None:
    launch = _launch(task_plugins=("cgroup",))

    silent, asking = _bindings(launch), _bindings(launch, cpu_bind="cores", mem_bind="local")

    assert [binding.mask for binding in silent + asking] == [0, 0, 0, 0]
    assert [binding.notes for binding in silent] == [(), ()]
    assert asking[0].notes == (
        "--cpu-bind=cores does nothing here: TaskPlugin=task/cgroup has no task/affinity",
        "--mem-bind=local does nothing here: TaskPlugin=task/cgroup has no task/affinity",
    )
    assert bind_batch(launch).mask == 0
    assert bind_batch(_launch()).mask == 0xFF


def test_a_map_that_cannot_be_fails_the_launch() -> None:
    with pytest.raises(LaunchFailure, match="allocated CPUs are: 0x0F"):
        _bindings(_launch(), cpus="0-3", cpu_bind="map_cpu:4")


def test_a_node_that_is_configured_larger_than_the_machine_shows_masks_and_sets_none() -> None:
    launch = _launch(replace(SETUP, cpus=16, cores_per_socket=4))
    (binding,) = _bindings(launch, ntasks=1, cpus="0-1", cpu_bind="verbose,cores")
    before = os.sched_getaffinity(0)

    lines = bind_self(binding, "n1", 5, 0)

    assert lines == [f"cpu-bind=MASK - n1, task  5  0 [{os.getpid()}]: mask 0x3 set FAILED"]
    assert os.sched_getaffinity(0) == before


def test_none_on_a_node_of_its_own_says_so() -> None:
    (binding,) = _bindings(_launch(), ntasks=1, cpu_bind="verbose,none")

    assert bind_self(binding, "n1", 0, 0) == [f"cpu-bind=NONE - n1, task  0  0 [{os.getpid()}]: mask 0x0"]


def test_variables_tell_what_was_done() -> None:
    binding = _bindings(_launch(), cpu_bind="verbose,cores", mem_bind="prefer,local")[1]

    assert dict(binding.variables) == {
        "SLURM_CPU_BIND": "verbose,mask_cpu:0x03,0x30",
        "SLURM_CPU_BIND_LIST": "0x03,0x30",
        "SLURM_CPU_BIND_TYPE": "mask_cpu:",
        "SLURM_CPU_BIND_VERBOSE": "verbose",
        "SLURM_MEM_BIND": "quiet,prefer,local",
        "SLURM_MEM_BIND_LIST": "",
        "SLURM_MEM_BIND_TYPE": "local",
        "SLURM_MEM_BIND_VERBOSE": "quiet",
        "SLURM_MEM_BIND_PREFER": "prefer",
    }


def test_an_interactive_steps_shell_is_not_told_its_masks() -> None:
    """Every srun in it would take them for its own."""
    assert dict(_bindings(_launch(), is_interactive=True)[0].variables) == {}
