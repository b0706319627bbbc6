"""What is read of the processes on a GPU, whatever the driver can tell."""

from __future__ import annotations

from sluiced.gpu.processes import GpuReader, Look
from tests.nodeagent.gpu.fake_nvml import FakeNvml, Gpu, Instance, Process


def reader_of(*gpus: Gpu) -> GpuReader:
    nvml = FakeNvml(gpus)
    nvml.nvmlInit()
    return GpuReader(nvml)


def gpu_with(*processes: Process, **of_gpu: object) -> Gpu:
    return Gpu(uuid="GPU-a", processes=tuple(("GPU-a", process) for process in processes))._replace(**of_gpu)


def look(gpu: Gpu, uuid: str = "GPU-a") -> Look | None:
    return reader_of(gpu).look(uuid)


def test_memory_and_work_are_told_by_process() -> None:
    gpu = gpu_with(Process(7, 4096, util_percent=(80,)), Process(8, 1024))

    assert look(gpu) == Look({7: 4096, 8: 1024}, {7: 80.0})


def test_a_process_that_computes_and_draws_counts_once() -> None:
    assert look(gpu_with(Process(7, 4096, draws=True))) == Look({7: 4096}, {}, None, 0.0)


def test_samples_since_the_last_look_are_averaged_and_read_once() -> None:
    reader = reader_of(gpu_with(Process(7, 4096, util_percent=(20, 40))))

    first, second = reader.look("GPU-a"), reader.look("GPU-a")

    assert first is not None
    assert second is not None
    assert (first.util_percent, second.util_percent) == ({7: 30.0}, {})


def test_a_sample_that_cannot_be_is_left_out() -> None:
    found = look(gpu_with(Process(7, 0, util_percent=(4_000_000_000,)), Process(0, 0, util_percent=(50,))))

    assert found is not None
    assert found.util_percent == {}


def test_where_processes_have_no_figures_those_of_the_whole_are_read() -> None:
    gpu = gpu_with(Process(7, None), used_bytes=5000, util_percent=60, tells_util_of_processes=False)

    assert look(gpu) == Look({7: None}, None, 5000, 60.0)


def test_an_instance_tells_memory_and_no_work() -> None:
    instance = Instance("3g.20gb", "MIG-1", 1)
    gpu = Gpu(is_divided=True, instances=(instance,), processes=(("MIG-1", Process(7, 4096)),))

    assert look(gpu, "MIG-1") == Look({7: 4096})


def test_a_gpu_that_is_lost_tells_nothing() -> None:
    assert look(gpu_with(Process(7, 4096), is_lost=True)) is None


def test_a_gpu_that_is_not_there_tells_nothing() -> None:
    assert look(gpu_with(), "GPU-b") is None
