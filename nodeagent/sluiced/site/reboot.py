"""Having the site's program restart the machine."""

from __future__ import annotations

import logging

from sluice import hook_env
from sluice.programs import run_programs
from sluice.wire.messages import AgentConfig

logger = logging.getLogger(__name__)

_DEADLINE_S = 300.0


async def reboot(node: str, reason: str, config: AgentConfig, conf_path: str) -> str:
    """Return why the program failed; empty when it did not."""
    logger.warning("node %s: to be restarted: %s", node, reason or "no reason given")
    variables = {"SLURMD_NODENAME": node, "SLURM_CLUSTER_NAME": config.cluster, "SLURM_REBOOT_REASON": reason}
    environment = hook_env.program_environment(variables, "reboot", conf_path)
    return await run_programs((config.reboot_program,), environment, _DEADLINE_S)
