"""What the nodes of a step report of it, put together."""

from msgspec.structs import replace

from sluice.model.step import GpuUsage, Step, Usage
from sluice.wire.messages import StepResult


def merge_result(step: Step, result: StepResult, now_at: float) -> Step:
    """Return the step with one node's result added; nothing changes when that node has reported."""
    if result.node not in step.running_nodes:
        return step
    return replace(
        step,
        running_nodes=tuple(node for node in step.running_nodes if node != result.node),
        exit_code=max(step.exit_code, result.exit_code),
        exit_signal=max(step.exit_signal, result.exit_signal),
        reason_text=step.reason_text or (result.reason_text if result.reason else ""),
        usage=_add_usage(step.usage, result.usage),
        ended_at=max(step.ended_at or 0.0, result.ended_at or now_at),
    )


def result_of(step: Step, node: str, now_at: float) -> StepResult:
    """Return what stands for the report of a node that will not make one."""
    return StepResult(
        node=node,
        job_id=step.job_id,
        attempt=step.attempt,
        step_id=step.step_id,
        started_at=step.started_at,
        ended_at=step.ended_at or now_at,
        exit_code=step.exit_code,
        exit_signal=step.exit_signal,
    )


def _add_usage(one: Usage, other: Usage) -> Usage:
    larger = one if one.max_rss_kib >= other.max_rss_kib else other
    return Usage(
        user_s=one.user_s + other.user_s,
        system_s=one.system_s + other.system_s,
        max_rss_kib=larger.max_rss_kib,
        max_rss_node=larger.max_rss_node,
        max_rss_task=larger.max_rss_task,
        total_rss_kib=one.total_rss_kib + other.total_rss_kib,
        max_vmsize_kib=max(one.max_vmsize_kib, other.max_vmsize_kib),
        disk_read_bytes=one.disk_read_bytes + other.disk_read_bytes,
        disk_written_bytes=one.disk_written_bytes + other.disk_written_bytes,
        gpu=_add_gpu_usage(one.gpu, other.gpu),
    )


def _add_gpu_usage(one: GpuUsage, other: GpuUsage) -> GpuUsage:
    if not one.nodes or not other.nodes:
        return one if one.nodes else other
    peaks = [peak for peak in (one.util_peak_percent, other.util_peak_percent) if peak is not None]
    means = [mean for mean in (one.util_mean_percent, other.util_mean_percent) if mean is not None]
    return GpuUsage(
        nodes=one.nodes + other.nodes,
        memory_peak_bytes=max(one.memory_peak_bytes, other.memory_peak_bytes),
        memory_total_bytes=one.memory_total_bytes + other.memory_total_bytes,
        memory_mean_bytes=one.memory_mean_bytes + other.memory_mean_bytes,
        util_peak_percent=max(peaks, default=None),
        util_mean_percent=sum(means) if means else None,
    )
