"""The node's NVIDIA GPUs, looked at every minute and with each health check: an ill one takes the node out of service.

Its units keep their numbers, which running jobs hold; what is told is why, and that all are well again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Sequence

from sluice.wire.messages import NodeTrouble

logger = logging.getLogger(__name__)

CAUSE = "gpu"
_INTERVAL_S = 60.0
#: For the driver to answer for all GPUs; without persistence mode it takes seconds to begin.
_DEADLINE_S = 60.0
_GOING_S = 1.0
_EVIDENCE_MAX = 800


class GpuWatch:
    """uuids: of the node's GPUs and MIG instances.  on_well: all are well; returns what is wrong all the same.

    tell: reports to the controller.
    """

    def __init__(
        self,
        node: str,
        uuids: Callable[[], Sequence[str]],
        on_well: Callable[[], str],
        tell: Callable[[NodeTrouble], None],
    ) -> None:
        self._node = node
        self._uuids = uuids
        self._on_well = on_well
        self._tell = tell
        self._wanted = asyncio.Event()
        #: What was told last; None: nothing yet, so that the first answer may take back what an agent before has told.
        self._told: str | None = None

    def look_soon(self) -> None:
        """Look now rather than when the minute is over."""
        self._wanted.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._wanted.clear()
            uuids = self._uuids()
            if uuids or self._told:
                problem = await _read_ailments(uuids) if uuids else ""
                self._answer(problem or self._on_well())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_S):
                    await self._wanted.wait()

    def _answer(self, problem: str) -> None:
        reason = f"GPU not healthy: {problem}" if problem else ""
        if reason == self._told:
            return
        if reason:
            logger.warning("node %s: %s", self._node, reason)
        elif self._told:
            logger.info("node %s: its GPUs are well again", self._node)
        self._told = reason
        self._tell(NodeTrouble(node=self._node, cause=CAUSE, reason=reason))


async def _read_ailments(uuids: Sequence[str]) -> str:
    """Return what is wrong, "" for nothing; a driver that does not answer is wrong."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "sluiced.gpu.health", *uuids),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_DEADLINE_S):
            said, problem = await process.communicate()
    except TimeoutError:
        return f"the driver has not answered for {_DEADLINE_S:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # One that hangs in the driver does not die of this; it is not waited for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOING_S):
                await process.wait()
    lines = said.decode(errors="replace").splitlines()
    if process.returncode:
        lines.append(f"the check ended with {process.returncode}: {problem.decode(errors='replace').strip()[-200:]}")
    return "; ".join(lines)[:_EVIDENCE_MAX]
