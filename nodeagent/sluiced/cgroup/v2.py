"""cgroup v2 by plain file operations, in the part of the hierarchy that place.py finds.

    PLACE/sluice_CLUSTER_NODE_SPOOL/job_ID.ATTEMPT/step_NAME[/task_RANK]

Controllers are enabled down to the steps, whose groups hold the processes; task groups have none, only device
programs.  Every step has its group: it is killed, frozen and accounted whole.
"""

from __future__ import annotations

import contextlib
import os
import signal

from sluiced.cgroup import bpf, files
from sluiced.cgroup.devices import DeviceFence
from sluiced.cgroup.interface import Entry, FindPids, GroupName, GroupUsage, MemoryBound, NoGroup, StepGroup, Wants
from sluiced.cgroup.limits import Limits
from sluiced.cgroup.place import Stance, clear_place, folder_of, read_place

CONTROLLERS = ("memory", "cpuset", "pids", "io")
_WORDS = {"memory": "memory", "cpuset": "cores", "pids": "processes"}


class V2Tree:
    """The hierarchy mounted at *mount*.

    ignores_delegation: grow at the top all the same.  enables_above: the controllers that are missing in the place are
    enabled from the top down.
    """

    def __init__(self, mount: str, ignores_delegation: bool = False, enables_above: bool = False) -> None:
        self._mount = mount
        self._place = read_place(mount, ignores_delegation)
        self._folder = folder_of(mount, self._place.path)
        self._enables_above = enables_above

    def prepare(self) -> None:
        if self._place.why_not:
            return
        if self._enables_above:
            self._enable_above()
        if self._place.stance is Stance.INSIDE:
            clear_place(self._mount, self._place)
        enable(self._folder)

    def _enable_above(self) -> None:
        folder = self._mount
        for name in self._place.path.strip("/").split("/"):
            enable(folder)
            folder = os.path.join(folder, name)

    def gaps(self) -> dict[str, str]:
        if self._place.why_not:
            return dict.fromkeys((*_WORDS.values(), "swap", "devices", "freezing"), self._place.why_not)
        probe = os.path.join(self._folder, f"sluice_probe_{os.getpid()}")
        try:
            refused = enable(self._folder) if self._place.stance is Stance.APART else {}
            os.mkdir(probe)
        except OSError as error:
            return dict.fromkeys((*_WORDS.values(), "swap", "devices", "freezing"), f"{probe}: {error.strerror}")
        try:
            return self._gaps_of(probe, refused)
        finally:
            os.rmdir(probe)

    def _gaps_of(self, probe: str, refused: dict[str, str]) -> dict[str, str]:
        has = files.read(probe, "cgroup.controllers").split()
        unknown = f"the agent has not moved out of {self._folder}"
        why = {word: refused.get(name, unknown) for name, word in _WORDS.items() if name not in has}
        if "memory" not in why and not files.has(probe, "memory.swap.max"):
            why["swap"] = "the kernel keeps no account of swap space"
        if bpf.why_not():
            why["devices"] = bpf.why_not()
        if not files.has(probe, "cgroup.freeze"):
            why["freezing"] = "no cgroup.freeze before Linux 5.2"
        return why

    def make_step(self, name: GroupName, wants: Wants) -> StepGroup:
        if self._place.why_not:
            return NoGroup()
        folder = files.make_chain(self._folder, name)
        for depth in range(len(name)):
            enable(os.path.join(self._folder, *name[:depth]))
        group = V2Group(folder, len(name))
        problems = [*_limit(os.path.dirname(folder), wants.job), *_limit(folder, wants.step)]
        if wants.fence is not None:
            try:
                bpf.fence_group(folder, wants.fence)
            except OSError as error:
                problems.append(f"ConstrainDevices: {error}")
        group.problem = f"cgroups: {'; '.join(problems)}" if problems else ""
        return group

    def kill(self, name: GroupName) -> set[int]:
        return self._kill_all(os.path.join(self._folder, *name), len(name))

    def jobs(self, node: str) -> list[str]:
        with contextlib.suppress(OSError):
            return sorted(each for each in os.listdir(os.path.join(self._folder, node)) if each.startswith("job_"))
        return []

    def kill_job(self, node: str, job: str) -> set[int]:
        return self._kill_all(os.path.join(self._folder, node, job), 2)

    def folders(self, node: str) -> list[str]:
        return [] if self._place.why_not else [os.path.join(self._folder, node)]

    def _kill_all(self, folder: str, depth: int) -> set[int]:
        pids = set(files.pids_below(folder))
        group = V2Group(folder, depth)
        if pids:
            group.kill(pids)
            files.wait_empty([folder])
        group.remove()
        return pids


class V2Group:
    """One step's group; depth: how many of its ancestors and itself are ours."""

    holds_all = True

    def __init__(self, folder: str, depth: int) -> None:
        self.problem = ""
        self._folder = folder
        self._depth = depth
        self._open: list[int] = []

    def entry(self) -> Entry:
        return self._entry(self._folder)

    def task_entry(self, rank: int, fence: DeviceFence) -> Entry:
        folder = os.path.join(self._folder, f"task_{rank}")
        os.mkdir(folder, 0o755)
        bpf.fence_group(folder, fence)
        return self._entry(folder)

    def _entry(self, folder: str) -> Entry:
        into = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open.append(into)
        return Entry((os.path.join(folder, "cgroup.procs"),), into)

    def doors(self) -> list[str]:
        return [os.path.join(self._folder, "cgroup.procs")]

    def freeze(self, find: FindPids) -> bool:
        if not files.has(self._folder, "cgroup.freeze"):
            return False
        files.write(self._folder, "cgroup.freeze", "1")
        return True

    def thaw(self) -> None:
        with contextlib.suppress(OSError):
            if files.read(self._folder, "cgroup.freeze") == "1":
                files.write(self._folder, "cgroup.freeze", "0")

    def kill(self, pids: set[int]) -> None:
        """The kernel kills all at once since 5.14; before, frozen processes cannot fork and can be killed."""
        if files.has(self._folder, "cgroup.kill"):
            files.write(self._folder, "cgroup.kill", "1")
        elif self.freeze(set):
            pids = pids | set(files.pids_below(self._folder))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.thaw()

    def oom_kills(self) -> int:
        return files.read_counts(self._folder, "memory.events").get("oom_kill", 0)

    def memory_bound(self) -> MemoryBound | None:
        for folder in (self._folder, os.path.dirname(self._folder)):
            limit = files.read_number(folder, "memory.max")
            if limit is not None:
                return MemoryBound(limit, files.read_number(folder, "memory.peak"))
        return None

    def usage(self) -> GroupUsage:
        spent = files.read_counts(self._folder, "cpu.stat")
        transferred = _transferred(files.read_or_empty(self._folder, "io.stat"))
        has_io = files.has(self._folder, "io.stat")
        return GroupUsage(
            peak_bytes=files.read_number(self._folder, "memory.peak"),
            user_s=spent["user_usec"] / 1e6 if "user_usec" in spent else None,
            system_s=spent["system_usec"] / 1e6 if "system_usec" in spent else None,
            read_bytes=transferred["rbytes"] if has_io else None,
            written_bytes=transferred["wbytes"] if has_io else None,
        )

    def remove(self) -> None:
        while self._open:
            os.close(self._open.pop())
        files.remove_tree(self._folder)
        # The job's and the node's groups go with their last step; a busy one stays.
        files.remove_upward(os.path.dirname(self._folder), self._depth - 1)


def enable(folder: str) -> dict[str, str]:
    """Give the children of *folder* our controllers, as far as it has them; return the others -> why not."""
    has = set(files.read(folder, "cgroup.controllers").split())
    given = set(files.read(folder, "cgroup.subtree_control").split())
    refused = {each: f"no {each} controller in {folder}" for each in CONTROLLERS if each not in has}
    for controller in CONTROLLERS:
        if controller not in has - given:
            continue
        try:
            # One at a time: a controller that is refused must not take the others along.
            files.write(folder, "cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            refused[controller] = f"the {controller} controller cannot be enabled in {folder}: {error.strerror}"
    return refused


def _limit(folder: str, limits: Limits) -> list[str]:
    """Write limits; return which of them could not be set, by the key that asked for it, and why."""
    rows = [
        ("ConstrainRAMSpace", "memory.max", limits.memory_bytes),
        ("ConstrainSwapSpace", "memory.swap.max", _swap_bytes(limits)),
        ("ConstrainCores", "cpuset.cpus", limits.cpus or None),
        ("SluiceMaxProcesses", "pids.max", limits.processes),
    ]
    problems = []
    for key, name, value in rows:
        if value is None:
            continue
        try:
            files.write(folder, name, str(value))
        except OSError as error:
            problems.append(f"{key}: {error}")
    return problems


def _swap_bytes(limits: Limits) -> int | None:
    """Return what of the common limit is left for swap space, which is counted by itself here."""
    if limits.memory_and_swap_bytes is None or limits.memory_bytes is None:
        return None
    return limits.memory_and_swap_bytes - limits.memory_bytes


def _transferred(text: str) -> dict[str, int]:
    """Return the sums over all disks of what io.stat counts."""
    sums = {"rbytes": 0, "wbytes": 0}
    for line in text.splitlines():
        for word in line.split()[1:]:
            name, _, count = word.partition("=")
            if name in sums and count.isdecimal():
                sums[name] += int(count)
    return sums
