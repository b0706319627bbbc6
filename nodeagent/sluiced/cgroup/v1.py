"""cgroup v1 by plain file operations: a tree of our own in each controller, the machine's others left alone.

    /sys/fs/cgroup/CONTROLLER/sluice_CLUSTER_NODE/job_ID.ATTEMPT/step_NAME

memory and cpuset are used where the configuration constrains them.  Entering a group costs some 10 ms (the kernel waits
for a grace period), so a step that is not constrained enters none; only what forks faster than it is killed is put into
a frozen group, where it cannot.
"""

from __future__ import annotations

import contextlib
import os
import signal

from sluice import cpuset
from sluice.model.base import step_name
from sluiced.steps.launch import StepLaunch

ROOT = "/sys/fs/cgroup"
CONTROLLERS = ("freezer", "memory", "cpuset")
_MIB = 1024 * 1024


def is_usable(controller: str) -> bool:
    """Return whether groups of *controller* can be made here."""
    folder = os.path.join(ROOT, controller)
    return os.path.exists(os.path.join(folder, "tasks")) and os.access(folder, os.W_OK)


def make_step_group(launch: StepLaunch) -> V1Group:
    """Return the groups of a step, limits set.  Raises OSError."""
    below = (
        f"sluice_{launch.config.cluster}_{launch.node}",
        f"job_{launch.job.id}.{launch.job.attempt}",
        f"step_{step_name(launch.step_id)}",
    )
    group = V1Group(below)
    grant = launch.job.allocation.grant_on(launch.node) if launch.job.allocation else None
    if grant is None:
        return group
    if launch.config.constrain_memory and grant.memory_mib and is_usable("memory"):
        _limit_memory(group, grant.memory_mib, launch.config.constrain_swap)
    if launch.config.constrain_cores and is_usable("cpuset"):
        _limit_cpus(group, grant.cpus)
    return group


class V1Group:
    """The groups of one step, one in each controller in use."""

    def __init__(self, below: tuple[str, ...]) -> None:
        self.problem = ""
        self._below = below
        self._folders: dict[str, str] = {}

    def make(self, controller: str) -> str:
        """Make the step's group and those above it; return its folder."""
        folder = os.path.join(ROOT, controller)
        for name in self._below:
            folder = os.path.join(folder, name)
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o755)
                if controller == "cpuset":
                    _inherit_cpuset(folder)
        self._folders[controller] = folder
        return folder

    def folder(self, controller: str) -> str | None:
        return self._folders.get(controller)

    def enter(self) -> None:
        for folder in self._folders.values():
            _write(folder, "cgroup.procs", "0")

    def kill(self, pids: set[int]) -> None:
        folder = self.make("freezer")
        with contextlib.suppress(OSError):
            _write(folder, "freezer.state", "FROZEN")
        try:
            for pid in pids:
                with contextlib.suppress(OSError):
                    _write(folder, "cgroup.procs", str(pid))
            for pid in _pids(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        finally:
            with contextlib.suppress(OSError):
                _write(folder, "freezer.state", "THAWED")

    def oom_kills(self) -> int:
        folder = self._folders.get("memory")
        if folder is None:
            return 0
        with contextlib.suppress(OSError), open(os.path.join(folder, "memory.oom_control")) as file:
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
        return 0

    def remove(self) -> None:
        for folder in self._folders.values():
            # The job's and the node's groups go with their last step; a busy one stays.
            for _ in self._below:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
                folder = os.path.dirname(folder)


def _limit_memory(group: V1Group, limit_mib: int, with_swap: bool) -> None:
    job_folder = os.path.dirname(group.make("memory"))
    # The job's steps share its memory: the limit is the job's.
    _write(job_folder, "memory.use_hierarchy", "1", is_needed=False)
    _write(job_folder, "memory.limit_in_bytes", str(limit_mib * _MIB))
    if with_swap:
        _write(job_folder, "memory.memsw.limit_in_bytes", str(limit_mib * _MIB), is_needed=False)


def _limit_cpus(group: V1Group, cpus: str) -> None:
    here = cpuset.parse(_read(os.path.join(ROOT, "cpuset"), "cpuset.cpus"))
    wanted = cpuset.parse(cpus) & here
    if wanted:
        _write(group.make("cpuset"), "cpuset.cpus", cpuset.format(wanted))


def _inherit_cpuset(folder: str) -> None:
    """A new cpuset is empty, and nothing can enter it."""
    parent = os.path.dirname(folder)
    for name in ("cpuset.cpus", "cpuset.mems"):
        _write(folder, name, _read(parent, name))


def _pids(folder: str) -> list[int]:
    return [int(line) for line in _read(folder, "cgroup.procs").split()]


def _read(folder: str, name: str) -> str:
    with open(os.path.join(folder, name)) as file:
        return file.read().strip()


def _write(folder: str, name: str, text: str, is_needed: bool = True) -> None:
    try:
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    except OSError:
        if is_needed:
            raise
