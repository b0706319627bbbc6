"""cgroup v1 by plain file operations: a tree of our own in each controller, the machine's others left alone.

    /sys/fs/cgroup/CONTROLLER/sluice_CLUSTER_NODE_SPOOL/job_ID.ATTEMPT/step_NAME[/task_RANK]

A process that is moved into a group waits up to 10 ms (for a grace period of the kernel); tasks move themselves, as
threads, for next to nothing.  A step that is neither constrained nor accounted still enters none; when it is to stand
still, or forks faster than it is killed, it is put into a frozen group then.
"""

from __future__ import annotations

import contextlib
import os

from sluiced.cgroup import files, v1_limits
from sluiced.cgroup.interface import GroupName, StepGroup, Wants
from sluiced.cgroup.v1_group import V1Group

CONTROLLERS = ("freezer", "memory", "cpuset", "devices", "pids", "cpuacct", "blkio")
#: What is not enforced without a controller, or without a file of it.
_WORDS = {"memory": "memory", "cpuset": "cores", "devices": "devices", "pids": "processes", "freezer": "freezing"}


class V1Tree:
    """The controllers below *root*."""

    def __init__(self, root: str) -> None:
        self._root = root

    def prepare(self) -> None:
        pass

    def gaps(self) -> dict[str, str]:
        why = {
            word: f"no {controller} controller that can be used in {self._root}"
            for controller, word in _WORDS.items()
            if not self.is_usable(controller)
        }
        memory = os.path.join(self._root, "memory")
        if "memory" not in why and not files.has(memory, "memory.memsw.limit_in_bytes"):
            why["swap"] = "the kernel keeps no account of swap space (swapaccount=1)"
        return why

    def is_usable(self, controller: str) -> bool:
        """Return whether groups of *controller* can be made here."""
        folder = os.path.join(self._root, controller)
        return files.has(folder, "tasks") and os.access(folder, os.W_OK)

    def make_step(self, name: GroupName, wants: Wants) -> StepGroup:
        usable = [controller for controller in CONTROLLERS if self.is_usable(controller)]
        group = V1Group(self._root, name, can_freeze="freezer" in usable)
        wanted = v1_limits.needed(wants)
        problems = []
        for controller in wanted:
            try:
                if controller not in usable:
                    raise OSError(f"no {controller} controller that can be used in {self._root}")
                self._make(group, controller, wants)
            except OSError as error:
                problems.append(f"{v1_limits.WORDS.get(controller, controller)}: {error}")
        if (group.folders or wants.is_open) and "freezer" in usable:
            group.make("freezer")
        group.problem = f"cgroups: {'; '.join(problems)}" if problems else ""
        return group

    def _make(self, group: V1Group, controller: str, wants: Wants) -> None:
        """Make one of a step's groups, limits set."""
        try:
            v1_limits.apply(controller, group.make(controller), wants)
        except OSError:
            group.forget(controller)
            raise

    def kill(self, name: GroupName) -> set[int]:
        group = V1Group(self._root, name, can_freeze=self.is_usable("freezer"))
        folders = [os.path.join(self._root, controller, *name) for controller in CONTROLLERS]
        return self._kill_all(group, folders, 2)

    def jobs(self, node: str) -> list[str]:
        found: set[str] = set()
        for controller in CONTROLLERS:
            with contextlib.suppress(OSError):
                names = os.listdir(os.path.join(self._root, controller, node))
                found.update(each for each in names if each.startswith("job_"))
        return sorted(found)

    def kill_job(self, node: str, job: str) -> set[int]:
        group = V1Group(self._root, GroupName(node, job, "leftover"), can_freeze=self.is_usable("freezer"))
        folders = [os.path.join(self._root, controller, node, job) for controller in CONTROLLERS]
        return self._kill_all(group, folders, 1)

    def folders(self, node: str) -> list[str]:
        return [os.path.join(self._root, controller, node) for controller in CONTROLLERS if self.is_usable(controller)]

    def _kill_all(self, group: V1Group, folders: list[str], levels: int) -> set[int]:
        """levels: how many of the groups above *folders* are ours."""
        pids = {pid for folder in folders for pid in files.pids_below(folder)}
        if pids:
            group.kill(pids)
            files.wait_empty(folders)
        group.remove()
        for folder in folders:
            files.remove_tree(folder)
            files.remove_upward(os.path.dirname(folder), levels)
        return pids
