"""The site's health check of this node: run when the agent starts and when the controller asks, one at a time.

What it says with an exit code that is not 0 is why the node should get no work; the next 0 takes that back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sluice import hook_env
from sluice.programs import run_programs
from sluice.wire.messages import AgentConfig, NodeTrouble

logger = logging.getLogger(__name__)

CAUSE = "health"
_DEADLINE_S = 60.0


class HealthCheck:
    """tell: reports to the controller."""

    def __init__(self, node: str, conf_path: str, tell: Callable[[NodeTrouble], None]) -> None:
        self._node = node
        self._conf_path = conf_path
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        #: What was told last; None: nothing yet, so that the first answer may take back what an agent before has told.
        self._told: str | None = None

    def start(self, config: AgentConfig, group: asyncio.TaskGroup) -> None:
        """Begin a check, unless one runs."""
        if not config.health_check_program:
            self._answer("")
        elif self._task is None or self._task.done():
            self._task = group.create_task(self._check(config))

    async def _check(self, config: AgentConfig) -> None:
        variables = {"SLURMD_NODENAME": self._node, "SLURM_CLUSTER_NAME": config.cluster}
        environment = hook_env.program_environment(variables, "health_check", self._conf_path)
        problem = await run_programs((config.health_check_program,), environment, _DEADLINE_S)
        self._answer(f"Health check failed: {problem}" if problem else "")

    def _answer(self, reason: str) -> None:
        if reason == self._told:
            return
        if reason:
            logger.warning("node %s: %s", self._node, reason)
        elif self._told:
            logger.info("node %s: health check passed again", self._node)
        self._told = reason
        self._tell(NodeTrouble(node=self._node, cause=CAUSE, reason=reason))
