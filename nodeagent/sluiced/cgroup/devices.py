"""Which device nodes a step may open: rules, and where the granted ones come from.

Two kinds of fence.  An open one shuts what is named (the GRES of others) and leaves the rest; a closed one opens what
every program needs, what the site allows (SluiceAllowedDevices) and what the job was granted, and shuts the rest.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from sluice.model.confinement import CgroupSettings
from sluiced.gpu.fence import Fence
from sluiced.gpu.plan import job_fence
from sluiced.steps.launch import StepLaunch


class DeviceRule(NamedTuple):
    """Device nodes of one number.  kind: "c" or "b"; minor None: all; access: some of r, w and m (mknod)."""

    kind: str
    major: int
    minor: int | None = None
    access: str = "rwm"

    def __str__(self) -> str:
        """Return it as cgroup v1 writes it."""
        return f"{self.kind} {self.major}:{'*' if self.minor is None else self.minor} {self.access}"


class DeviceFence(NamedTuple):
    """is_closed: only what *rules* name is open; otherwise only what they name is shut."""

    rules: tuple[DeviceRule, ...]
    is_closed: bool


#: What a program may always open (Documentation/admin-guide/devices.txt): null, zero, full, random, urandom, tty,
#: ptmx and pseudo terminals.  Making nodes is a matter of file permissions.
DEFAULT_RULES = (
    *(DeviceRule("c", 1, minor) for minor in (3, 5, 7, 8, 9)),
    DeviceRule("c", 5, 0),
    DeviceRule("c", 5, 2),
    *(DeviceRule("c", major) for major in range(136, 144)),
)


def device_fence(launch: StepLaunch) -> DeviceFence | None:
    """Return what the processes of a step may open: not what is granted to other jobs; None: everything."""
    return _around(job_fence(launch), launch.config.cgroup) if launch.config.cgroup.constrain_devices else None


def task_fence(launch: StepLaunch, own: Fence | None) -> DeviceFence | None:
    """Return what one task may open of what its step may; None: all of it.  own: the fence around the task's units."""
    is_fenced = own is not None and launch.config.cgroup.constrain_devices
    return _around(own, launch.config.cgroup) if own is not None and is_fenced else None


def _around(fence: Fence, settings: CgroupSettings) -> DeviceFence | None:
    if not settings.allowed_devices:
        shut = rules_of(fence.withheld)
        return DeviceFence(shut, False) if shut else None
    allowed = [path for pattern in settings.allowed_devices for path in sorted(glob.glob(pattern))]
    return closed_fence([*allowed, *fence.allowed])


def closed_fence(paths: Iterable[str]) -> DeviceFence:
    """Return the fence that opens what every program needs and *paths*, and nothing else."""
    return DeviceFence((*DEFAULT_RULES, *rules_of(paths)), True)


def rules_of(paths: Iterable[str]) -> tuple[DeviceRule, ...]:
    """Return the rules that mean these device nodes; what is none, or is not there, is left out."""
    rules = [rule for path in paths if (rule := _rule_of(path)) is not None]
    return tuple(dict.fromkeys(rules))


def _rule_of(path: str) -> DeviceRule | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
    return DeviceRule(kind, os.major(found.st_rdev), os.minor(found.st_rdev)) if kind else None
