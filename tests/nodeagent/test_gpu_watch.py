"""The look at the GPUs of a node: what is told when the driver hangs, the check fails, or all is well again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.wire.messages import NodeTrouble
from sluiced.site import gpu_watch
from sluiced.site.gpu_watch import GpuWatch

MakeCheck = Callable[[str], None]


@pytest.fixture
def make_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeCheck:
    """Put a shell script in the place of the check's program."""
    program = tmp_path / "python"
    monkeypatch.setattr(gpu_watch.sys, "executable", str(program))

    def make(script: str) -> None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return make


async def first_told(watch_of: Callable[[Callable[[NodeTrouble], None]], GpuWatch]) -> NodeTrouble:
    told: asyncio.Future[NodeTrouble] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(watch_of(told.set_result).run())
    try:
        async with asyncio.timeout(20):
            return await told
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def look(on_well: str = "") -> NodeTrouble:
    return asyncio.run(first_told(lambda tell: GpuWatch("n1", lambda: ["GPU-0"], lambda: on_well, tell)))


def test_what_the_check_says_is_the_reason(make_check: MakeCheck) -> None:
    make_check('echo "GPU 0 ($4): ill"; echo "GPU 1: too"')

    assert look().reason == "GPU not healthy: GPU 0 (GPU-0): ill; GPU 1: too"


def test_well_gpus_take_back_what_an_agent_before_has_told(make_check: MakeCheck) -> None:
    make_check("true")

    assert look() == NodeTrouble(node="n1", cause="gpu", reason="")


def test_well_gpus_that_do_not_count_yet_keep_the_node(make_check: MakeCheck) -> None:
    make_check("true")

    assert look("one waits").reason == "GPU not healthy: one waits"


def test_a_driver_that_hangs_is_not_waited_for(make_check: MakeCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_watch, "_DEADLINE_S", 0.2)
    make_check("exec sleep 100")

    assert look().reason == "GPU not healthy: the driver has not answered for 0.2 s"


def test_a_check_that_fails_is_told_with_its_words(make_check: MakeCheck) -> None:
    make_check("echo no memory >&2; exit 3")

    assert look().reason == "GPU not healthy: the check ended with 3: no memory"
