"""What steps have of the node's NVIDIA GPUs: one process that looks (gpu/sampler.py), for as long as steps hold some.

It may be given up, or go with an agent, at any time: what it has seen of a step is in the step's file, which is read
when the step ends, and another one goes on with it.  Launching waits for none of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

import msgspec

from sluice.model.step import Usage
from sluiced.cgroup.detect import group_name
from sluiced.gpu.plan import measured_gpus
from sluiced.gpu.sampler import Watched, read_tally
from sluiced.spool import Spool, StepKey

logger = logging.getLogger(__name__)

#: A step that has ended by then is not worth a look.
_BEGIN_S = 0.1
#: For the driver to answer for all GPUs; without persistence mode it takes seconds to begin.
_DEADLINE_S = 60.0
#: How long the process is kept that has nothing to look at.
_IDLE_S = 10.0
#: Until another one is started after one that failed.
_PAUSE_S = 60.0
_GOING_S = 1.0
_READ_SIZE = 4096
_EVIDENCE_MAX = 200


class GpuMeter:
    """uuids: of the GPUs and MIG instances whose driver can be asked."""

    def __init__(self, node: str, spool: Spool, uuids: Callable[[], Sequence[str]]) -> None:
        self._node = node
        self._spool = spool
        self._uuids = uuids
        #: Those that run, on a node with such GPUs; None: not known yet to hold any.
        self._steps: dict[StepKey, Watched | None] = {}
        self._wanted = asyncio.Event()
        self._process: Process | None = None

    def begin(self, key: StepKey) -> None:
        """A step runs: it is looked at soon, if it holds GPUs."""
        if self._uuids():
            self._steps[key] = None
            asyncio.get_running_loop().call_later(_BEGIN_S, self._begin, key)

    def end(self, key: StepKey, usage: Usage) -> Usage:
        """Return what an ended step used, with what it had of its GPUs."""
        if self._steps.pop(key, None) is not None:
            self._tell()
        elif not self._uuids():
            return usage
        found = read_tally(self._spool.gpu_path(key)).usage()
        return msgspec.structs.replace(usage, gpu=found) if found.nodes else usage

    def clear(self) -> None:
        """Look at no step any more."""
        self._steps.clear()
        self._tell()

    async def run(self) -> None:
        """Keep a process while there is something to look at, for ever."""
        while True:
            await self._wanted.wait()
            process, problem = await self._run_sampler()
            if problem:
                logger.warning("node %s: what steps have of GPUs is not known: %s", self._node, problem)
            # No other one joins it while it hangs in the driver, whether or not somebody waited for its answer.
            await process.wait()
            if problem:
                await asyncio.sleep(_PAUSE_S)
            if not self._watched:
                self._wanted.clear()

    @property
    def _watched(self) -> list[Watched]:
        return [each for each in self._steps.values() if each is not None]

    def _begin(self, key: StepKey) -> None:
        launch = self._spool.read_launch(key) if key in self._steps else None
        gpus = measured_gpus(launch, self._uuids()) if launch is not None else ()
        if launch is None or not gpus:
            return
        claim = self._spool.read_claim(key)
        if claim is None:
            asyncio.get_running_loop().call_later(_BEGIN_S, self._begin, key)
            return
        self._steps[key] = Watched(
            path=self._spool.gpu_path(key), daemon=claim.pid, group=str(group_name(launch)), gpus=gpus
        )
        self._tell()

    def _tell(self) -> None:
        """Tell the process which steps there are now."""
        watched = self._watched
        if watched:
            self._wanted.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(msgspec.json.encode(watched) + b"\n")

    async def _run_sampler(self) -> tuple[Process, str]:
        """Have a process look until nothing is left to look at; return it, and what kept it from that."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "sluiced.gpu.sampler"),
            cwd="/",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        self._process = process
        self._tell()
        try:
            return process, await self._hear(process)
        finally:
            self._process = None
            await _end(process)

    async def _hear(self, process: Process) -> str:
        assert process.stdout is not None, "it is a pipe"
        while True:
            limit_s = _DEADLINE_S if self._watched else _IDLE_S
            try:
                async with asyncio.timeout(limit_s):
                    said = await process.stdout.read(_READ_SIZE)
            except TimeoutError:
                if not self._watched:
                    return ""
                if limit_s == _DEADLINE_S:
                    return f"the driver has not answered for {_DEADLINE_S:g} s"
            else:
                if not said:
                    return await _last_words(process)


async def _last_words(process: Process) -> str:
    assert process.stderr is not None, "it is a pipe"
    problem = (await process.stderr.read()).decode(errors="replace").strip()
    return f"the process that looks has ended: {problem[-_EVIDENCE_MAX:]}"


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    # One that hangs in the driver does not die of this; it is not waited for.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOING_S):
            await process.wait()
