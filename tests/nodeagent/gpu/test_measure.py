"""A machine's resources by its configuration, with device nodes made for the test in place of GPUs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sluice.config.node_setup import NodeSetup
from sluice.config.records import GresLine
from sluice.model.request import GresRequest
from sluiced.gpu.measure import Devices, measure_units


def make_node(path: Path, minor: int) -> str:
    """Make a device like /dev/null, or a plain file where this user may not."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    except PermissionError:
        path.touch()
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    return tuple(make_node(tmp_path / f"nvidia{number}", 3) for number in range(2))


def _setup(count: int, *lines: GresLine, is_believed: bool = False) -> NodeSetup:
    return NodeSetup(cpus=2, gres=(("gpu", "", count),), gres_lines=lines, is_believed=is_believed)


def test_device_nodes_that_are_there_count(files: tuple[str, ...]) -> None:
    measured = measure_units(_setup(2, GresLine(name="gpu", files=files)))

    assert measured.gres == (GresRequest(name="gpu", count=2),)
    assert [(unit.number, unit.ordinal, unit.vendor) for unit in measured.devices.units] == [
        (0, 0, "nvidia"),
        (1, 1, "nvidia"),
    ]
    assert measured.problems == ()


def test_one_that_is_missing_does_not_unless_the_configuration_is_believed(files: tuple[str, ...]) -> None:
    line = GresLine(name="gpu", files=(*files, "/nowhere/nvidia2"))

    measured, believed = (measure_units(_setup(3, line, is_believed=word)) for word in (False, True))

    assert measured.gres == (GresRequest(name="gpu", count=2),)
    assert believed.gres == (GresRequest(name="gpu", count=3),)
    assert measured.problems == believed.problems
    assert measured.problems[0] == "gres.conf: /nowhere/nvidia2 does not exist"


def test_a_library_that_is_asked_for_and_not_there_is_told(files: tuple[str, ...]) -> None:
    if os.path.exists("/dev/nvidiactl"):
        pytest.skip("this machine has NVIDIA's driver")
    measured = measure_units(_setup(2, GresLine(auto_detect="nvml")))

    assert measured.gres == (GresRequest(name="gpu", count=0),)
    assert measured.problems[0] == "gres/gpu: 0 found, configuration says 2"
    assert measured.problems[1].startswith("NVML: ")


def test_devices_are_looked_for_again_when_the_configuration_changes(files: tuple[str, ...]) -> None:
    devices = Devices("n1", _setup(1, GresLine(name="gpu", files=files)))

    assert not devices.set_up(_setup(1, GresLine(name="gpu", files=files)))
    assert devices.set_up(_setup(2, GresLine(name="gpu", files=files)))
    assert len(devices.measured.devices.units) == 2
