"""How GPUs are, as the library and the kernel's log tell it: what takes one out of use, and the evidence for it."""

from __future__ import annotations

import os

import pynvml  # type: ignore[import-untyped]
import pytest

from sluiced.gpu.health import read_ailments
from sluiced.gpu.xids import Xid, find_xids, place_of, read_xids
from tests.nodeagent.gpu.fake_nvml import FakeNvml, Gpu, Instance, error

_FALLEN = "NVRM: Xid (PCI:0000:07:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
_PLACE = (0, 7, 0)


def ailments(*gpus: Gpu, log: tuple[str, ...] = ()) -> list[str]:
    return read_ailments([gpu.uuid for gpu in gpus], FakeNvml(gpus), find_xids(log))


def test_well_gpus_say_nothing() -> None:
    """Nor do errors that were corrected by a reset, which the log still has."""
    log = ("NVRM: Xid (PCI:0000:07:00): 48, pid=1, name=x, DBE",)

    assert ailments(Gpu(recovery_action=0, uncorrected_errors=1), log=log) == []


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        (Gpu(recovery_action=1), "the driver asks for a reset of the GPU"),
        (Gpu(recovery_action=2), "the driver asks for a reboot of the machine"),
        (
            Gpu(recovery_action=0, remapped_rows=(0, 1, 1, 0)),
            "1 memory rows wait to be remapped: the GPU needs a reset",
        ),
        (
            Gpu(recovery_action=1, uncorrected_errors=2),
            "the driver asks for a reset of the GPU (2 uncorrected memory errors)",
        ),
        (Gpu(is_lost=True), "it does not answer: GPU is lost"),
    ],
    ids=["a reset", "a reboot", "memory rows", "with its evidence", "lost"],
)
def test_a_gpu_that_cannot_be_used_says_why(gpu: Gpu, said: str) -> None:
    assert ailments(Gpu(uuid="GPU-well", bus="00000000:08:00.0"), gpu) == [f"GPU 1 (GPU-0): {said}"]


def test_an_xid_counts_where_the_driver_has_no_word_of_its_own() -> None:
    assert ailments(Gpu(), log=(_FALLEN,)) == ["GPU 0 (GPU-0): it needs a reset (Xid 79: GPU has fallen off the bus)"]
    assert ailments(Gpu(), log=(_FALLEN, "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.86")) == []
    assert ailments(Gpu(), log=("NVRM: Xid (PCI:0000:07:00): 31, pid=7, name=python, Ch 8: MMU Fault",)) == [], (
        "a program's own mistake"
    )
    assert ailments(Gpu(bus="00000000:09:00.0"), log=(_FALLEN,)) == [], "another one's"


def test_a_gpu_that_is_not_found_any_more_is_named_by_what_is_known() -> None:
    assert read_ailments(["GPU-gone"], FakeNvml([])) == ["GPU GPU-gone: it does not answer: Not Found"]


def test_instances_of_one_gpu_are_as_ill_as_it_is() -> None:
    parts = (Instance("3g.20gb", "MIG-1", 1), Instance("1g.5gb", "MIG-5", 5))
    nvml = FakeNvml([Gpu(is_divided=True, instances=parts, recovery_action=1)])

    assert read_ailments(["MIG-1", "MIG-5"], nvml) == ["GPU 0 (GPU-0): the driver asks for a reset of the GPU"]
    assert nvml.open_count == 0


def test_a_library_that_does_not_start_is_what_is_wrong() -> None:
    """Half of an update of the driver leaves the other version loaded."""
    nvml = FakeNvml([Gpu()], failure=error(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH))

    assert read_ailments(["GPU-0"], nvml) == ["NVML: RM has detected an NVML/RM version mismatch."]


def test_the_last_xid_of_each_gpu_counts() -> None:
    log = (
        "4,100,5,-;NVRM: Xid (PCI:0000:07:00): 31, pid=7, name=python, Ch 8: MMU Fault",
        f"4,101,6,-;{_FALLEN}",
        "4,102,7,-;NVRM: Xid (PCI:0000:c8:00): 13, Graphics Exception",
        "6,103,8,-;usb 1-1: new device",
    )

    assert find_xids(log) == {
        _PLACE: Xid(79, "GPU has fallen off the bus"),
        (0, 0xC8, 0): Xid(13, "Graphics Exception"),
    }


def test_the_library_writes_a_place_with_more_digits() -> None:
    assert place_of("00000000:07:00.0") == _PLACE
    assert place_of("") is None


def test_this_machines_log_is_read_to_its_end() -> None:
    if not os.access("/dev/kmsg", os.R_OK):
        pytest.skip("the kernel's log cannot be read by this user")
    assert isinstance(read_xids(), dict)


def test_a_log_that_cannot_be_read_has_nothing() -> None:
    assert read_xids("/none/such") == {}
