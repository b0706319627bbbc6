"""What NVIDIA's library tells becomes devices.  No GPU is on the machines that run these tests, so that a double of
the library answers; bench/gpu_machine.py is the same on a machine that has one.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pynvml  # type: ignore[import-untyped]
import pytest

from sluiced.gpu.nvml import read_nvml, type_of
from tests.nodeagent.gpu.fake_nvml import FakeNvml, Gpu, Instance, error, functions


def test_the_double_has_the_librarys_names_and_arguments() -> None:
    real, fake = functions(pynvml), functions(FakeNvml())

    assert list(real) == list(fake)
    for name, function in real.items():
        assert _required(function) == _required(fake[name]), name


def _required(function: Any) -> list[str]:
    parameters = inspect.signature(inspect.unwrap(function)).parameters.values()
    return [each.name for each in parameters if each.default is inspect.Parameter.empty]


def test_a_gpu_is_read_whole() -> None:
    nvml = FakeNvml([Gpu(uuid="GPU-a", minor=3, cpus=0xF0)])

    found = read_nvml(8, nvml)

    (device,) = found.devices
    assert (device.type, device.ordinal, device.uuid) == ("nvidia_a100-sxm4-40gb", 0, "GPU-a")
    assert (device.files, device.memory_mib, device.cpus) == (("/dev/nvidia3",), 40960, "4-7")
    assert found.problem == ""
    assert nvml.open_count == 0


def test_affinity_on_a_large_machine_takes_several_words() -> None:
    (device,) = read_nvml(256, FakeNvml([Gpu(cpus=0xFF << 120)])).devices

    assert device.cpus == "120-127"


def test_the_instances_of_a_divided_gpu_stand_for_it(tmp_path: Path) -> None:
    capabilities = tmp_path / "driver/nvidia/capabilities/gpu0/mig"
    for path, minor in (("gi1", 12), ("gi1/ci0", 13), ("gi5", 48), ("gi5/ci0", 49)):
        (capabilities / path).mkdir(parents=True, exist_ok=True)
        (capabilities / path / "access").write_text(f"DeviceFileMinor: {minor}\nDeviceFileMode: 444\n")
    parts = (Instance("3g.20gb", "MIG-1", 1, 0, 20096), Instance("1g.5gb", "MIG-5", 5, 0, 4864))

    found = read_nvml(4, FakeNvml([Gpu(is_divided=True, instances=parts), Gpu(uuid="GPU-1", minor=1)]), str(tmp_path))

    assert [(device.type, device.uuid, device.is_mig) for device in found.devices] == [
        ("nvidia_a100-sxm4-40gb_3g.20gb", "MIG-1", True),
        ("nvidia_a100-sxm4-40gb_1g.5gb", "MIG-5", True),
        ("nvidia_a100-sxm4-40gb", "GPU-1", False),
    ]
    assert found.devices[1].files == (
        "/dev/nvidia0",
        "/dev/nvidia-caps/nvidia-cap48",
        "/dev/nvidia-caps/nvidia-cap49",
    )
    assert found.devices[0].memory_mib == 20096


def test_a_divided_gpu_without_instances_is_told() -> None:
    found = read_nvml(4, FakeNvml([Gpu(is_divided=True)]))

    assert found.devices == ()
    assert found.problem == "GPU 0: MIG is on, but it has no instances"


def test_links_are_counted_to_each_other_gpu() -> None:
    first = Gpu(uuid="a", bus="00000000:07:00.0", links=(1, 1, 2))
    second = Gpu(uuid="b", minor=1, bus="00000000:0B:00.0", links=(0, 0))
    third = Gpu(uuid="c", minor=2, bus="00000000:48:00.0", links=(0,))

    found = read_nvml(4, FakeNvml([first, second, third]))

    assert [device.links for device in found.devices] == [(-1, 2, 1), (2, -1, 0), (1, 0, -1)]


def test_links_to_a_switch_reach_every_gpu() -> None:
    gpus = [Gpu(uuid=str(n), minor=n, bus=f"00000000:{n:02}:00.0", links=(-1,) * 12) for n in range(3)]

    assert read_nvml(4, FakeNvml(gpus)).devices[1].links == (12, -1, 12)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((1, 0, 0, 0), ""),
        (None, ""),
        ((0, 2, 1, 0), "2 memory rows wait to be remapped: the GPU needs a reset"),
        ((0, 0, 0, 1), "a memory row could not be remapped: the GPU needs to be replaced"),
    ],
)
def test_memory_rows_tell_of_health(rows: tuple[int, int, int, int] | None, expected: str) -> None:
    assert read_nvml(4, FakeNvml([Gpu(remapped_rows=rows)])).devices[0].ailment == expected


def test_a_gpu_that_has_fallen_off_the_bus_leaves_the_others() -> None:
    found = read_nvml(4, FakeNvml([Gpu(is_lost=True), Gpu(uuid="GPU-1", minor=1)]))

    assert [device.uuid for device in found.devices] == ["GPU-1"]
    assert found.problem == "GPU 0: GPU is lost"


def test_a_machine_without_the_library_says_so() -> None:
    found = read_nvml(4, FakeNvml(failure=error(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)))

    assert found.devices == ()
    assert found.problem == (
        "NVML: NVML Shared Library Not Found: the driver's libnvidia-ml.so.1 is needed for AutoDetect=nvml"
    )


def test_this_machine_answers_with_devices_or_a_reason() -> None:
    found = read_nvml(4)

    assert found.devices or found.problem


def test_types_are_product_names_in_lower_case() -> None:
    assert type_of("NVIDIA H100 80GB HBM3") == "nvidia_h100_80gb_hbm3"
    assert type_of("Tesla T4") == "tesla_t4"
