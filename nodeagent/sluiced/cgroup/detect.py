"""Which cgroups this process may make, and what therefore cannot be enforced here."""

from __future__ import annotations

import logging
import os

from sluiced.cgroup import v1
from sluiced.cgroup.interface import NoGroup, StepGroup
from sluiced.steps.launch import StepLaunch

logger = logging.getLogger(__name__)


def unenforced() -> str:
    """Return what cannot be enforced on this machine and why; empty: all of it can."""
    if os.geteuid() != 0:
        return "cgroups: not permitted (the agent does not run as root)"
    missing = [name for name in v1.CONTROLLERS if not v1.is_usable(name)]
    if missing:
        return f"cgroups: no usable v1 controller {', '.join(missing)}"
    return ""


def step_group(launch: StepLaunch) -> StepGroup:
    """Return the control group for a step, made and limited as the configuration asks."""
    if os.geteuid() != 0 or not v1.is_usable("freezer"):
        return NoGroup()
    try:
        return v1.make_step_group(launch)
    except OSError as error:
        logger.error("step %s: runs without limits: cgroup: %s", launch.name, error)
        return NoGroup(f"cgroups: a step's group cannot be made: {error}")
