"""What the nodes of a step had of their GPUs, put together."""

from __future__ import annotations

from sluice.model.request import StepSpec
from sluice.model.step import GpuUsage, Step, Usage
from sluice.steps.results import merge_result
from sluice.wire.messages import StepResult


def merged(*gpus: GpuUsage) -> GpuUsage:
    nodes = tuple(f"n{number}" for number in range(len(gpus)))
    step = Step(job_id=1, step_id=0, spec=StepSpec(name="x"), running_nodes=nodes)
    for node, gpu in zip(nodes, gpus, strict=True):
        step = merge_result(step, StepResult(node=node, job_id=1, attempt=0, step_id=0, usage=Usage(gpu=gpu)), 1.0)
    return step.usage.gpu


def on_node(memory: int, mean: int, util: float | None, util_mean: float | None) -> GpuUsage:
    return GpuUsage(
        nodes=1,
        memory_peak_bytes=memory,
        memory_total_bytes=memory,
        memory_mean_bytes=mean,
        util_peak_percent=util,
        util_mean_percent=util_mean,
    )


def test_the_peak_is_the_largest_and_the_rest_are_sums() -> None:
    assert merged(on_node(30, 10, 90.0, 50.0), on_node(20, 15, 100.0, 20.0)) == GpuUsage(
        nodes=2,
        memory_peak_bytes=30,
        memory_total_bytes=50,
        memory_mean_bytes=25,
        util_peak_percent=100.0,
        util_mean_percent=70.0,
    )


def test_a_node_that_did_not_look_changes_nothing() -> None:
    one = on_node(30, 10, 90.0, 50.0)

    assert merged(GpuUsage(), one) == one
    assert merged(one, GpuUsage()) == one


def test_a_node_whose_gpus_cannot_tell_their_work_adds_none() -> None:
    both = merged(on_node(30, 10, 90.0, 50.0), on_node(20, 15, None, None))

    assert (both.util_peak_percent, both.util_mean_percent) == (90.0, 50.0)
    assert merged(on_node(1, 1, None, None), on_node(1, 1, None, None)).util_peak_percent is None
