"""The process that looks at what steps have of GPUs: its rounds, its files, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pynvml  # type: ignore[import-untyped]
import pytest

from sluice.model.step import GpuUsage
from sluiced.gpu.sampler import Sampler, Watched, read_tally
from tests.nodeagent.gpu.fake_nvml import FakeNvml, Gpu, Process, error

GPU = Gpu(uuid="GPU-a", processes=(("GPU-a", Process(os.getpid(), 3000, util_percent=(40,))),))
OWN = os.getpid()


def watched(folder: Path, name: str = "0", **fields: object) -> Watched:
    known = {"path": str(folder / f"{name}.gpu"), "daemon": OWN, "group": "none", "gpus": (("GPU-a", True),)}
    return msgspec.convert(known | fields, Watched)


def find_below(pid: int, daemons: Mapping[int, str], groups: Mapping[str, str]) -> str | None:
    return daemons.get(pid)


def had(step: Watched) -> GpuUsage:
    return read_tally(step.path).usage()


def test_what_a_step_had_is_in_its_file_after_each_round(tmp_path: Path) -> None:
    sampler, step = Sampler(FakeNvml([GPU]), find_below), watched(tmp_path)
    sampler.watch([step], 0.0)

    sampler.do_round(1.0)

    assert (had(step).memory_peak_bytes, had(step).util_mean_percent) == (3000, 40.0)
    assert os.listdir(tmp_path) == ["0.gpu"]


def test_rounds_come_quickly_at_first_and_then_slower(tmp_path: Path) -> None:
    sampler = Sampler(FakeNvml([GPU]), find_below)
    assert sampler.wait_s(0.0) is None
    sampler.watch([watched(tmp_path)], 0.0)
    waits, now_at = [], 0.0

    for _ in range(7):
        wait_s = sampler.wait_s(now_at)
        assert wait_s is not None
        waits.append(round(wait_s, 3))
        now_at += wait_s
        sampler.do_round(now_at)

    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_the_next_process_goes_on_with_what_is_in_the_file(tmp_path: Path) -> None:
    step = watched(tmp_path)
    first = Sampler(FakeNvml([GPU]), find_below)
    first.watch([step], 0.0)
    first.do_round(1.0)
    resting = GPU._replace(processes=(("GPU-a", Process(OWN, 1000)),))
    second = Sampler(FakeNvml([resting]), find_below)

    second.watch([step], 10.0)
    second.do_round(11.0)

    assert (had(step).memory_peak_bytes, had(step).memory_mean_bytes, had(step).util_mean_percent) == (3000, 2000, 20.0)


def test_a_step_whose_daemon_is_another_one_goes_on_as_well(tmp_path: Path) -> None:
    """The one that was given the step first has died before it began."""
    sampler, step = Sampler(FakeNvml([GPU]), find_below), watched(tmp_path)
    sampler.watch([watched(tmp_path, daemon=OWN + 1)], 0.0)
    sampler.do_round(1.0)
    assert had(step).memory_peak_bytes == 0

    sampler.watch([step], 1.5)
    sampler.do_round(3.0)

    assert had(step).memory_peak_bytes == 3000


def test_the_library_is_held_only_while_there_are_steps(tmp_path: Path) -> None:
    nvml = FakeNvml([GPU])
    sampler = Sampler(nvml, find_below)

    sampler.watch([watched(tmp_path)], 0.0)
    assert nvml.open_count == 1
    sampler.watch([watched(tmp_path), watched(tmp_path, "1")], 1.0)
    assert nvml.open_count == 1
    sampler.watch([], 2.0)

    assert (nvml.open_count, sampler.wait_s(2.0)) == (0, None)


def test_a_process_that_has_just_ended_is_its_steps(tmp_path: Path) -> None:
    """The driver tells of its last work when nobody can find it any more."""
    child = subprocess.Popen(["sleep", "60"])
    nvml = FakeNvml([GPU._replace(processes=(("GPU-a", Process(child.pid, 10, util_percent=(1,))),))])
    sampler, step = Sampler(nvml, find_below), watched(tmp_path, daemon=child.pid)
    sampler.watch([step], 0.0)
    sampler.do_round(1.0)
    child.kill()
    child.wait()
    step_after = Process(child.pid, 10, util_percent=(90,), sampled_us=2_000_000)
    nvml.gpus[0] = GPU._replace(processes=(("GPU-a", step_after),))

    sampler.do_round(2.0)

    assert had(step).util_peak_percent == 90.0


def test_a_gpu_that_is_lost_leaves_what_is_known(tmp_path: Path) -> None:
    nvml = FakeNvml([GPU])
    sampler, step = Sampler(nvml, find_below), watched(tmp_path)
    sampler.watch([step], 0.0)
    sampler.do_round(1.0)
    nvml.gpus[0] = GPU._replace(is_lost=True)

    sampler.do_round(2.0)

    assert had(step).memory_peak_bytes == 3000


def test_a_step_whose_files_are_gone_stops_nobody(tmp_path: Path) -> None:
    sampler, step = Sampler(FakeNvml([GPU]), find_below), watched(tmp_path)
    gone = watched(tmp_path / "gone", daemon=1)
    sampler.watch([gone, step], 0.0)

    sampler.do_round(1.0)

    assert had(step).memory_peak_bytes == 3000
    assert had(gone) == GpuUsage()


def test_a_driver_that_does_not_answer_ends_it(tmp_path: Path) -> None:
    sampler = Sampler(FakeNvml(failure=error(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)), find_below)

    with pytest.raises(pynvml.NVMLError, match="Driver Not Loaded"):
        sampler.watch([watched(tmp_path)], 0.0)


def test_it_ends_with_its_input() -> None:
    command = [sys.executable, "-P", "-m", "sluiced.gpu.sampler"]

    ended = subprocess.run(command, input=b"[]\n", capture_output=True, timeout=60, cwd="/")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b".", b"")
