"""Configured counts, gres.conf and what was found become the units of a node, or the reasons why not."""

from __future__ import annotations

import pytest

from sluice import gres_spec
from sluice.config.records import GresLine
from sluice.model.request import GresRequest
from sluiced.gpu.device import Device
from sluiced.gpu.units import Measured, compute_units, wanted_readers


def _configured(text: str) -> tuple[GresRequest, ...]:
    return tuple(GresRequest(name=name, type=kind, count=count) for name, kind, count in gres_spec.parse(text))


def _nvidia(count: int, kind: str = "nvidia_a100-sxm4-40gb", first: int = 0) -> list[Device]:
    return [
        Device(vendor="nvidia", type=kind, ordinal=n, uuid=f"GPU-{n}", files=(f"/dev/nvidia{n}",), cpus="0-3")
        for n in range(first, first + count)
    ]


def _units(gres: str, *lines: GresLine, found: list[Device] | None = None, missing: tuple[str, ...] = ()) -> Measured:
    return compute_units(_configured(gres), lines, found or (), lambda path: path not in missing, found is not None)


def _shown(measured: Measured) -> list[tuple[str, str, int, str]]:
    return [(unit.name, unit.type, unit.number, ",".join(unit.files)) for unit in measured.devices.units]


def test_without_gres_conf_only_counts_are_kept() -> None:
    measured = _units("gpu:a100:2,license_dongle:3")

    assert measured.devices.units == ()
    assert measured.gres == _configured("gpu:a100:2,license_dongle:3")
    assert measured.problems == ()


def test_files_are_units_through_types_in_order() -> None:
    measured = _units(
        "gpu:a100:2,gpu:h100:1",
        GresLine(name="gpu", type="a100", files=("/dev/nvidia0", "/dev/nvidia1"), cores="0-3"),
        GresLine(name="gpu", type="h100", files=("/dev/nvidia2",)),
    )

    assert _shown(measured) == [
        ("gpu", "a100", 0, "/dev/nvidia0"),
        ("gpu", "a100", 1, "/dev/nvidia1"),
        ("gpu", "h100", 2, "/dev/nvidia2"),
    ]
    assert [unit.cores for unit in measured.devices.units] == ["0-3", "0-3", ""]
    assert measured.problems == ()


def test_a_file_that_is_not_there_is_missed_by_name() -> None:
    line = GresLine(name="gpu", files=("/dev/nvidia0", "/dev/nvidia1"))
    measured = _units("gpu:2", line, missing=("/dev/nvidia1",))

    assert measured.gres == _configured("gpu:1")
    assert measured.problems == (
        "gres.conf: /dev/nvidia1 does not exist",
        "gres/gpu: 1 found, configuration says 2",
    )


def test_several_files_are_one_unit() -> None:
    measured = _units("nic:1", GresLine(name="nic", multiple_files=("/dev/uverbs0", "/dev/issm0")))

    assert _shown(measured) == [("nic", "", 0, "/dev/uverbs0,/dev/issm0")]


def test_what_is_only_counted_has_no_units() -> None:
    measured = _units("bandwidth:1000,gpu:2", GresLine(name="bandwidth", count=1000, flags=("CountOnly",)))

    assert measured.devices.units == ()
    assert measured.gres == _configured("bandwidth:1000,gpu:2")


def test_found_gpus_go_to_the_entries_whose_types_are_part_of_their_names() -> None:
    found = [*_nvidia(2), *_nvidia(2, "nvidia_h100_80gb_hbm3", first=2)]
    measured = _units("gpu:h100:2,gpu:a100:2", found=found)

    assert _shown(measured) == [
        ("gpu", "h100", 0, "/dev/nvidia2"),
        ("gpu", "h100", 1, "/dev/nvidia3"),
        ("gpu", "a100", 2, "/dev/nvidia0"),
        ("gpu", "a100", 3, "/dev/nvidia1"),
    ]
    assert measured.problems == ()


def test_a_type_that_nothing_has_is_told_with_those_that_there_are() -> None:
    measured = _units("gpu:v100:2", found=_nvidia(2))

    assert measured.gres == _configured("gpu:v100:0")
    assert measured.problems == (
        "gres/gpu:v100: 0 found, configuration says 2; of other types there are nvidia_a100-sxm4-40gb",
    )


def test_configuration_may_narrow_what_was_found() -> None:
    measured = _units("gpu:1", found=_nvidia(4))

    assert _shown(measured) == [("gpu", "nvidia_a100-sxm4-40gb", 0, "/dev/nvidia0")]
    assert measured.problems == ()


def test_a_line_says_more_of_a_gpu_that_was_found() -> None:
    line = GresLine(name="gpu", type="big", files=("/dev/nvidia1",), cores="4-7", flags=("env_uuid",))
    measured = _units("gpu:big:1,gpu:a100:1", line, found=_nvidia(2))

    big, plain = measured.devices.units
    assert (big.type, big.uuid, big.cores, big.is_named_by_uuid) == ("big", "GPU-1", "4-7", True)
    assert (plain.type, plain.number, plain.uuid) == ("a100", 1, "GPU-0")


def test_a_file_that_is_none_of_the_gpus_is_told() -> None:
    measured = _units("gpu:2", GresLine(name="gpu", files=("/dev/nvidia7",)), found=_nvidia(1))

    assert measured.problems[0] == "gres.conf: /dev/nvidia7 is none of the GPUs that were found"
    assert measured.gres == _configured("gpu:1")


def test_a_gpu_that_is_ill_does_not_count() -> None:
    well, ill = _nvidia(2)
    from msgspec.structs import replace

    measured = _units("gpu:2", found=[well, replace(ill, ailment="the GPU needs a reset")])

    assert measured.gres == _configured("gpu:1")
    assert measured.problems[0] == "GPU 1 (GPU-1): the GPU needs a reset"


@pytest.mark.parametrize(
    ("flags", "is_found", "expected"),
    [
        ((), False, ("nvidia", "amd", "intel", "opencl")),
        ((), True, ("nvidia",)),
        (("nvidia_gpu_env", "opencl_env"), False, ("nvidia", "opencl")),
        (("no_gpu_env",), True, ()),
    ],
)
def test_flags_say_whose_variables_are_set(flags: tuple[str, ...], is_found: bool, expected: tuple[str, ...]) -> None:
    line = GresLine(name="gpu", files=("/dev/nvidia0",), flags=flags)

    (unit,) = _units("gpu:1", line, found=_nvidia(1) if is_found else None).devices.units

    assert unit.env == expected


def test_shards_are_spread_over_the_gpus() -> None:
    measured = _units("gpu:2,shard:5", GresLine(name="gpu", files=("/dev/nvidia0", "/dev/nvidia1")))

    assert [(share.name, share.numbers, share.gpu) for share in measured.devices.shares] == [
        ("shard", "0-2", 0),
        ("shard", "3-4", 1),
    ]
    assert measured.gres == _configured("gpu:2,shard:5")


def test_shards_stand_where_their_lines_say() -> None:
    measured = _units(
        "gpu:2,shard:12",
        GresLine(name="gpu", files=("/dev/nvidia0", "/dev/nvidia1")),
        GresLine(name="shard", count=4, files=("/dev/nvidia0",)),
        GresLine(name="shard", count=8, files=("/dev/nvidia1",)),
    )

    assert [(share.numbers, share.gpu) for share in measured.devices.shares] == [("0-3", 0), ("4-11", 1)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ()),
        (("off",), ()),
        (("nvml",), ("nvml",)),
        (("nvidia",), ("nvidia_proc",)),
        (("nvml", "off"), ()),
        (("rsmi",), ("amd",)),
        (("full",), ("nvml", "amd", "intel")),
    ],
)
def test_the_last_autodetect_counts(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert wanted_readers(GresLine(auto_detect=word) for word in words) == expected
