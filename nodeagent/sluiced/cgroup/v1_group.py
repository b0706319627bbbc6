"""One step's groups of cgroup v1, one in each controller in use."""

from __future__ import annotations

import contextlib
import os
import signal

from sluiced.cgroup import files, v1_limits
from sluiced.cgroup.devices import DeviceFence
from sluiced.cgroup.interface import Entry, FindPids, GroupName, GroupUsage, MemoryBound

#: What memory.limit_in_bytes holds at least where nothing was written to it.
_NO_LIMIT = 1 << 60
#: Rounds of moving processes into a group: one may fork between two looks.
_ROUNDS_MAX = 8


class V1Group:
    """folders: of the step, by controller."""

    def __init__(self, root: str, name: GroupName, can_freeze: bool) -> None:
        self.problem = ""
        self.folders: dict[str, str] = {}
        self._root = root
        self._name = name
        self._can_freeze = can_freeze
        self._is_frozen = False

    @property
    def holds_all(self) -> bool:
        return "freezer" in self.folders

    def make(self, controller: str) -> str:
        """Make the step's group and those above it; return its folder."""
        folder = self.folders[controller] = files.make_chain(os.path.join(self._root, controller), self._name)
        return folder

    def forget(self, controller: str) -> None:
        """Take a group away whose limits could not be set."""
        folder = self.folders.pop(controller, None)
        if folder is not None:
            files.remove_upward(folder, len(self._name))

    def entry(self) -> Entry:
        # Not cgroup.procs: a process that moves waits for a grace period of the kernel, a thread that moves itself does
        # not; a task has one thread when it comes here.
        return Entry(tuple(os.path.join(folder, "tasks") for folder in self.folders.values()))

    def doors(self) -> list[str]:
        return [os.path.join(folder, "cgroup.procs") for folder in self.folders.values()]

    def task_entry(self, rank: int, fence: DeviceFence) -> Entry:
        self.make("devices")
        folder = os.path.join(self.folders["devices"], f"task_{rank}")
        os.mkdir(folder, 0o755)
        v1_limits.fence(folder, fence)
        return Entry((*self.entry().files, os.path.join(folder, "tasks")))

    def freeze(self, find: FindPids) -> bool:
        if not self._can_freeze:
            return False
        folder = self.make("freezer")
        files.write(folder, "freezer.state", "FROZEN")
        self._is_frozen = True
        for _ in range(_ROUNDS_MAX):
            outside = find() - set(files.pids(folder))
            if not outside:
                break
            self._take_in(folder, outside)
        return True

    def thaw(self) -> None:
        if self._is_frozen:
            self._is_frozen = False
            with contextlib.suppress(OSError):
                files.write(self.folders["freezer"], "freezer.state", "THAWED")

    def kill(self, pids: set[int]) -> None:
        """In a frozen group nothing forks; what was killed there goes when it is let go."""
        if not self._can_freeze:
            _kill_each(pids)
            return
        folder = self.make("freezer")
        with contextlib.suppress(OSError):
            files.write(folder, "freezer.state", "FROZEN")
        try:
            self._take_in(folder, pids)
            _kill_each(files.pids(folder))
        finally:
            self._is_frozen = True
            self.thaw()

    def _take_in(self, folder: str, pids: set[int]) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                files.write(folder, "cgroup.procs", str(pid))

    def oom_kills(self) -> int:
        folder = self.folders.get("memory")
        return files.read_counts(folder, "memory.oom_control").get("oom_kill", 0) if folder else 0

    def memory_bound(self) -> MemoryBound | None:
        folder = self.folders.get("memory")
        for each in (folder, os.path.dirname(folder)) if folder else ():
            limit = files.read_number(each, "memory.limit_in_bytes")
            if limit is not None and limit < _NO_LIMIT:
                return MemoryBound(limit, files.read_number(each, "memory.max_usage_in_bytes"))
        return None

    def usage(self) -> GroupUsage:
        memory, cpuacct, blkio = (self.folders.get(name) for name in ("memory", "cpuacct", "blkio"))
        transferred = _transferred(blkio) if blkio else {}
        return GroupUsage(
            peak_bytes=files.read_number(memory, "memory.max_usage_in_bytes") if memory else None,
            user_s=_seconds(cpuacct, "cpuacct.usage_user"),
            system_s=_seconds(cpuacct, "cpuacct.usage_sys"),
            read_bytes=transferred.get("Read"),
            written_bytes=transferred.get("Write"),
        )

    def remove(self) -> None:
        for folder in self.folders.values():
            files.remove_tree(folder)
            # The job's and the node's groups go with their last step; a busy one stays.
            files.remove_upward(os.path.dirname(folder), len(self._name) - 1)


def _kill_each(pids: set[int] | list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _seconds(folder: str | None, name: str) -> float | None:
    nanoseconds = files.read_number(folder, name) if folder else None
    return None if nanoseconds is None else nanoseconds / 1e9


def _transferred(folder: str) -> dict[str, int]:
    """Return the bytes read from and written to all disks, by the kernel's words Read and Write."""
    sums = {"Read": 0, "Write": 0}
    for line in files.read_or_empty(folder, "blkio.throttle.io_service_bytes_recursive").splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in sums:
            sums[words[1]] += int(words[2])
    return sums
