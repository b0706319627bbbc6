"""Who may open what, and how programs count what they can open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiced.gpu.device import NodeDevices, Unit
from sluiced.gpu.environment import visible_devices
from sluiced.gpu.fence import compute_fence


def _gpu(number: int, **fields: object) -> Unit:
    values = {"files": (f"/dev/nvidia{number}",), "vendor": "nvidia", "env": ("nvidia",), "ordinal": number} | fields
    return Unit(name="gpu", type="", number=number, **values)  # type: ignore[arg-type]


FOUR = NodeDevices(units=tuple(_gpu(number) for number in range(4)))


def test_a_job_opens_its_gpus_and_the_control_devices() -> None:
    fence = compute_fence(FOUR, FOUR.units[1:3])

    assert fence.allowed[:3] == ("/dev/nvidia1", "/dev/nvidia2", "/dev/nvidiactl")
    assert "/dev/nvidia-uvm" in fence.allowed
    assert fence.withheld == ("/dev/nvidia0", "/dev/nvidia3")


def test_a_job_without_gpus_opens_none_of_them() -> None:
    fence = compute_fence(FOUR, ())

    assert fence.allowed == ()
    assert fence.withheld == tuple(f"/dev/nvidia{number}" for number in range(4))


def test_an_instance_opens_its_gpu_and_no_other_instance() -> None:
    parts = tuple(
        _gpu(n, ordinal=0, files=("/dev/nvidia0", f"/dev/nvidia-caps/nvidia-cap{cap}"), is_mig=True)
        for n, cap in enumerate((12, 21))
    )

    fence = compute_fence(NodeDevices(units=parts), parts[:1])

    assert "/dev/nvidia0" in fence.allowed
    assert fence.withheld == ("/dev/nvidia-caps/nvidia-cap21",)


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), max_size=6), st.integers(0, 63))
def test_every_file_of_every_unit_is_on_one_side(files: list[set[int]], granted: int) -> None:
    """allowed ∪ withheld ⊇ files of the units, allowed ∩ withheld = ∅."""
    units = tuple(_gpu(n, files=tuple(f"/dev/x{file}" for file in sorted(own))) for n, own in enumerate(files))

    fence = compute_fence(NodeDevices(units=units), [unit for unit in units if granted >> unit.number & 1])

    every = {path for unit in units for path in unit.files}
    assert every <= {*fence.allowed, *fence.withheld}
    assert not {*fence.allowed} & {*fence.withheld}


@pytest.mark.parametrize(
    ("units", "fenced", "expected"),
    [
        ((1, 3), None, "1,3"),
        ((1, 3), (1, 3), "0,1"),
        ((3,), (1, 3), "1"),
        ((3,), (3,), "0"),
        ((3, 1), (3, 1), "1,0"),
    ],
    ids=["no fence", "the job's fence", "a task inside of the job's fence", "its own fence", "in any order"],
)
def test_gpus_are_counted_as_the_library_counts_them(
    units: tuple[int, ...], fenced: tuple[int, ...] | None, expected: str
) -> None:
    around = None if fenced is None else [FOUR.units[number] for number in fenced]

    variables = visible_devices([FOUR.units[number] for number in units], around)

    assert variables == {"CUDA_VISIBLE_DEVICES": expected}


def test_every_vendor_has_a_variable_of_its_own() -> None:
    unit = _gpu(2, env=("nvidia", "amd", "intel", "opencl"))

    assert visible_devices([unit], None) == {
        "CUDA_VISIBLE_DEVICES": "2",
        "ROCR_VISIBLE_DEVICES": "2",
        "ZE_AFFINITY_MASK": "2",
        "GPU_DEVICE_ORDINAL": "2",
    }


def test_instances_are_called_by_their_uuids() -> None:
    unit = _gpu(0, uuid="MIG-5", is_mig=True, is_named_by_uuid=True)

    assert visible_devices([unit], [unit]) == {"CUDA_VISIBLE_DEVICES": "MIG-5"}
