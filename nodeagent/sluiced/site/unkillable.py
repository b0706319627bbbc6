"""Processes that the kernel does not let go: the node gets no work while they are there, and is back when they went.

The step has ended without them.  What is known of them lies in the spool, one file a step, so that another agent, too,
sees them go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable

import msgspec

from sluice import hook_env
from sluice.model.base import step_name
from sluice.programs import run_programs
from sluice.wire.messages import AgentConfig, NodeTrouble
from sluiced import process_id
from sluiced.spool import StepKey, write_file
from sluiced.steps.descendants import Unkillable

logger = logging.getLogger(__name__)

_DEADLINE_S = 300.0


class Unkillables:
    """folder: of what is watched.  tell: reports to the controller.  tidy: told of a step of which all has gone."""

    def __init__(
        self,
        folder: str,
        node: str,
        conf_path: str,
        tell: Callable[[NodeTrouble], None],
        tidy: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._node = node
        self._conf_path = conf_path
        self._tell = tell
        self._tidy = tidy
        #: Name of the step -> the pidfds of what is left of it.
        self._left: dict[str, set[int]] = {}

    def recover(self) -> None:
        """Watch what an agent before this one has watched."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            with contextlib.suppress(OSError, msgspec.DecodeError), open(path, "rb") as file:
                self._watch(name, msgspec.json.decode(file.read(), type=Unkillable))

    def add(self, key: StepKey, found: Unkillable, config: AgentConfig, group: asyncio.TaskGroup) -> None:
        """Take the node out of service for what is left of a step, and tell the site's program of it."""
        name = f"{key.job_id}.{key.attempt}.{step_name(key.step_id)}"
        logger.error("step %s.%s: cannot be killed: %s", key.job_id, step_name(key.step_id), found.text)
        with contextlib.suppress(OSError):
            write_file(os.path.join(self._folder, name), msgspec.json.encode(found))
        self._watch(name, found)
        if config.unkillable_program:
            group.create_task(self._run_program(key, found, config))

    def stop(self) -> None:
        """Watch nothing any more."""
        for name in list(self._left):
            for pidfd in self._left.pop(name):
                asyncio.get_running_loop().remove_reader(pidfd)
                os.close(pidfd)

    def _watch(self, name: str, found: Unkillable) -> None:
        if name in self._left:
            return
        opened = [process_id.open_process(pid, ticks) for pid, ticks in found.processes]
        left = self._left[name] = {pidfd for pidfd in opened if pidfd is not None}
        if not left:
            self._on_all_gone(name)
            return
        self._tell(NodeTrouble(node=self._node, cause=_cause(name), reason=f"Kill task failed: {found.text}"))
        for pidfd in left:
            asyncio.get_running_loop().add_reader(pidfd, self._on_gone, name, pidfd)

    def _on_gone(self, name: str, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        self._left[name].discard(pidfd)
        if not self._left[name]:
            self._on_all_gone(name)

    def _on_all_gone(self, name: str) -> None:
        logger.info("node %s: what was left of step %s is gone", self._node, name)
        del self._left[name]
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._folder, name))
        self._tidy(name)
        self._tell(NodeTrouble(node=self._node, cause=_cause(name)))

    async def _run_program(self, key: StepKey, found: Unkillable, config: AgentConfig) -> None:
        variables = {
            "SLURM_JOB_ID": str(key.job_id),
            "SLURM_STEP_ID": step_name(key.step_id),
            "SLURMD_NODENAME": self._node,
            "SLURM_CLUSTER_NAME": config.cluster,
            "SLUICE_UNKILLABLE_PIDS": " ".join(str(pid) for pid, _ in found.processes),
        }
        environment = hook_env.program_environment(variables, "unkillable_step", self._conf_path)
        problem = await run_programs((config.unkillable_program,), environment, _DEADLINE_S)
        if problem:
            logger.error("UnkillableStepProgram: %s", problem)


def _cause(name: str) -> str:
    return f"unkillable {name}"
