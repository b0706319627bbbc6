"""The agent's side of what steps have of GPUs: when the process that looks is started, told, given up, started anew."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.model.allocation import GresGrant
from sluice.model.step import GpuUsage, Usage
from sluiced import spool as spools
from sluiced.gpu.device import NodeDevices, Unit
from sluiced.gpu.sampler import write_tally
from sluiced.gpu.tally import Tally
from sluiced.site import gpu_meter
from sluiced.site.gpu_meter import GpuMeter
from sluiced.spool import Spool, StepKey
from sluiced.steps.launch import StepLaunch
from sluiced.steps.warmup import sample_launch

KEY = StepKey(1, 0, -5)
GPU = Unit(name="gpu", type="", number=0, ordinal=0, uuid="GPU-0", vendor="nvidia")
USED = Usage(user_s=1.0)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(str(tmp_path / "spool"))
    yield spool
    spool.close()


@pytest.fixture
def make_sampler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in the place of the process that looks."""
    program = tmp_path / "python"
    monkeypatch.setattr(gpu_meter.sys, "executable", str(program))

    def make(script: str) -> None:
        program.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        program.chmod(0o755)

    return make


def launch_with(*units: Unit) -> StepLaunch:
    launch = sample_launch(KEY.step_id)
    assert launch.job.allocation is not None
    gres = tuple(GresGrant(name=unit.name, units=str(unit.number), count=1) for unit in units)
    grant = replace(launch.job.allocation.grants[0], gres=gres)
    job = replace(launch.job, allocation=replace(launch.job.allocation, grants=(grant,)))
    return replace(launch, job=job, devices=NodeDevices(units=units), tasks=None)


def claim(spool: Spool, launch: StepLaunch, key: StepKey = KEY) -> None:
    """Have a step that this process is the daemon of."""
    spool.make_job(key.job)
    spool.write_launch(key, launch)
    assert spools.claim(spool.step_path(key))


def play(meter: GpuMeter, story: Callable[[], Awaitable[None]]) -> None:
    """Run a story beside the meter."""

    async def run() -> None:
        running = asyncio.create_task(meter.run())
        try:
            async with asyncio.timeout(30):
                await story()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    asyncio.run(run())


async def until(is_so: Callable[[], Any]) -> None:
    while not is_so():
        await asyncio.sleep(0.01)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_process_is_told_of_a_step_with_gpus_and_of_its_end(
    spool: Spool, make_sampler: Callable[[str], None], tmp_path: Path
) -> None:
    make_sampler("while read line; do echo $line >> told; echo -n .; done")
    claim(spool, launch_with(GPU))
    meter, told = GpuMeter("n1", spool, lambda: ["GPU-0"]), tmp_path / "told"

    async def story() -> None:
        meter.begin(KEY)
        await until(lambda: lines(told))
        meter.end(KEY, USED)
        await until(lambda: len(lines(told)) == 2)

    play(meter, story)

    (step,), none = lines(told)
    assert step["path"] == spool.gpu_path(KEY)
    assert step["gpus"] == [["GPU-0", True]]
    assert step["group"].endswith("/job_1.0/step_batch")
    assert none == []


def test_a_step_without_gpus_is_not_looked_at(
    spool: Spool, make_sampler: Callable[[str], None], tmp_path: Path
) -> None:
    make_sampler("while read line; do echo $line >> told; echo -n .; done")
    other = StepKey(1, 0, 0)
    claim(spool, launch_with(), other)
    claim(spool, launch_with(GPU))
    meter, told = GpuMeter("n1", spool, lambda: ["GPU-0"]), tmp_path / "told"

    async def story() -> None:
        meter.begin(other)
        meter.begin(KEY)
        await until(lambda: lines(told))

    play(meter, story)

    assert [[step["path"] for step in steps] for steps in lines(told)] == [[spool.gpu_path(KEY)]]


def test_what_was_seen_is_in_the_usage_of_an_ended_step(spool: Spool) -> None:
    claim(spool, launch_with(GPU))
    write_tally(spool.gpu_path(KEY), Tally(memory_peak_bytes=7, seconds=1.0))
    meter = GpuMeter("n1", spool, lambda: ["GPU-0"])

    assert meter.end(KEY, USED) == replace(USED, gpu=GpuUsage(nodes=1, memory_peak_bytes=7, memory_total_bytes=7))


def test_a_step_that_was_not_looked_at_has_the_usage_that_it_had(spool: Spool) -> None:
    assert GpuMeter("n1", spool, lambda: ["GPU-0"]).end(KEY, USED) == USED
    assert GpuMeter("n1", spool, lambda: []).end(KEY, USED) == USED


def test_a_driver_that_hangs_is_given_up_and_asked_again(
    spool: Spool,
    make_sampler: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(gpu_meter, "_DEADLINE_S", 0.2)
    monkeypatch.setattr(gpu_meter, "_PAUSE_S", 0.0)
    make_sampler("echo >> starts; exec sleep 100")
    claim(spool, launch_with(GPU))
    meter, starts = GpuMeter("n1", spool, lambda: ["GPU-0"]), tmp_path / "starts"

    async def story() -> None:
        meter.begin(KEY)
        await until(lambda: starts.exists() and len(starts.read_text()) == 2)

    play(meter, story)

    assert "what steps have of GPUs is not known: the driver has not answered for 0.2 s" in caplog.text


def test_no_second_process_joins_one_that_hangs_in_the_driver(
    spool: Spool, make_sampler: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its step has ended, so that nobody waits for its answer any more, and KILL does not end it."""
    for name in ("_DEADLINE_S", "_IDLE_S", "_GOING_S"):
        monkeypatch.setattr(gpu_meter, name, 0.2)
    killed = asyncio.Event()
    monkeypatch.setattr(asyncio.subprocess.Process, "kill", lambda process: killed.set())
    make_sampler("echo $$ >> pids; exec sleep 100")
    claim(spool, launch_with(GPU))
    meter, pids = GpuMeter("n1", spool, lambda: ["GPU-0"]), tmp_path / "pids"

    async def story() -> None:
        meter.begin(KEY)
        await until(lambda: pids.exists() and pids.read_text())
        meter.end(KEY, USED)
        await killed.wait()
        meter.begin(KEY)
        # Longer than all that could have it start another one.
        await asyncio.sleep(0.5)
        assert len(pids.read_text().split()) == 1

        os.kill(int(pids.read_text()), signal.SIGKILL)

        await until(lambda: len(pids.read_text().split()) == 2)
        os.kill(int(pids.read_text().split()[1]), signal.SIGKILL)

    play(meter, story)


def test_a_process_that_fails_is_told_with_its_words(
    spool: Spool, make_sampler: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    make_sampler("echo no driver >&2; exit 1")
    claim(spool, launch_with(GPU))
    meter = GpuMeter("n1", spool, lambda: ["GPU-0"])

    async def story() -> None:
        meter.begin(KEY)
        await until(lambda: caplog.text)

    play(meter, story)

    assert "node n1: what steps have of GPUs is not known: the process that looks has ended: no driver" in caplog.text


def test_the_process_goes_when_there_is_nothing_to_look_at(
    spool: Spool, make_sampler: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_meter, "_IDLE_S", 0.1)
    make_sampler("echo $$ > pid; while read line; do echo -n .; done")
    claim(spool, launch_with(GPU))
    meter, pid = GpuMeter("n1", spool, lambda: ["GPU-0"]), tmp_path / "pid"

    async def story() -> None:
        meter.begin(KEY)
        await until(lambda: pid.exists() and pid.read_text())
        meter.end(KEY, USED)
        await until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())

    play(meter, story)
