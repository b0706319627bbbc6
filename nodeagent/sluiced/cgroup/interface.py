"""What a step asks of cgroups, whichever version enforces it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sluiced.cgroup import files
from sluiced.cgroup.devices import DeviceFence
from sluiced.cgroup.limits import Limits

#: Gives the step's processes as they are now.
FindPids = Callable[[], set[int]]


class GroupName(NamedTuple):
    """Where a step's group is in the tree."""

    node: str
    job: str
    step: str

    def __str__(self) -> str:
        return "/".join(self)


class Wants(NamedTuple):
    """What is to hold for a step.

    job, step: limits of each; is_accounted: the kernel keeps an account of it; is_open: processes that are not the step
    daemon's children come into it.
    """

    job: Limits = Limits()
    step: Limits = Limits()
    fence: DeviceFence | None = None
    is_accounted: bool = False
    #: None: the kernel's own.
    swappiness: int | None = None
    is_open: bool = False


class GroupUsage(NamedTuple):
    """The kernel's account of all processes that were ever in a group; None: it keeps none."""

    peak_bytes: int | None = None
    user_s: float | None = None
    system_s: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


class MemoryBound(NamedTuple):
    """The lowest memory limit over a step, and the most that was used below that limit."""

    limit_bytes: int
    peak_bytes: int | None


class Entry(NamedTuple):
    """How a process gets into a group.

    files: the paths of control files; "0" written to each puts the writer in.  into: a descriptor of the folder, where
    a child can be born in it instead.
    """

    files: tuple[str, ...] = ()
    into: int | None = None

    def enter(self) -> None:
        """Put the calling process in: a forked child, before it gives its privilege up.  Raises OSError."""
        for path in self.files:
            files.write(*os.path.split(path), "0")


class StepGroup(Protocol):
    """The control group of one step on this node.  problem: which limits it should have and has not, and why."""

    problem: str

    @property
    def holds_all(self) -> bool:
        """Return whether every process of the step is in it, so that it can be killed as a whole."""

    def entry(self) -> Entry:
        """Return how a process gets in."""

    def task_entry(self, rank: int, fence: DeviceFence) -> Entry:
        """Return how a task gets in that has a device fence of its own inside the step's.  Raises OSError."""

    def doors(self) -> list[str]:
        """Return the files that a process's pid is written to, to bring it in; empty where there is no group."""

    def freeze(self, find: FindPids) -> bool:
        """Make all of it stand still, unseen by its parents; False: it cannot be done here."""

    def thaw(self) -> None:
        """Let it go on; nothing happens where it is not frozen."""

    def kill(self, pids: set[int]) -> None:
        """Kill all of it, and *pids*, which a plain walk did not catch up with, frozen or not."""

    def oom_kills(self) -> int:
        """Return how often the kernel killed for want of memory in it."""

    def memory_bound(self) -> MemoryBound | None:
        """Return the limit that such a kill was about."""

    def usage(self) -> GroupUsage:
        """Return the kernel's account."""

    def remove(self) -> None:
        """Take it away; what is still in it stays where it is."""


class Tree(Protocol):
    """Where groups can be made on this machine."""

    def prepare(self) -> None:
        """Make room at the start of the agent; raises OSError."""

    def gaps(self) -> dict[str, str]:
        """Return what cannot be enforced -> why; empty: all of it can."""

    def make_step(self, name: GroupName, wants: Wants) -> StepGroup:
        """Return a step's group, limits set.  Raises OSError; single limits that fail are its problem."""

    def kill(self, name: GroupName) -> set[int]:
        """Kill what is in a step's group that has no step daemon, take it away, and return the pids."""

    def jobs(self, node: str) -> list[str]:
        """Return the names of the jobs that have groups."""

    def kill_job(self, node: str, job: str) -> set[int]:
        """Kill and take away all groups of a job, and return the pids."""

    def folders(self, node: str) -> list[str]:
        """Return where the node's groups are or would be: the folders that hold those of its jobs."""


class NoGroup:
    """Where nothing can be enforced."""

    holds_all = False

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    def entry(self) -> Entry:
        return Entry()

    def task_entry(self, rank: int, fence: DeviceFence) -> Entry:
        raise OSError(f"task {rank} cannot be fenced without control groups")

    def doors(self) -> list[str]:
        return []

    def freeze(self, find: FindPids) -> bool:
        return False

    def thaw(self) -> None:
        pass

    def kill(self, pids: set[int]) -> None:
        pass

    def oom_kills(self) -> int:
        return 0

    def memory_bound(self) -> MemoryBound | None:
        return None

    def usage(self) -> GroupUsage:
        return GroupUsage()

    def remove(self) -> None:
        pass


def take_in(group: StepGroup, pid: int) -> None:
    """Bring a process of others in, with what it starts from then on.  Raises OSError."""
    doors = group.doors()
    if not doors:
        raise OSError(group.problem or "there are no control groups here")
    for door in doors:
        files.write(*os.path.split(door), str(pid))


def pids_in(group: StepGroup) -> set[int]:
    """Return the processes in it, as they are now."""
    return {pid for door in group.doors() for pid in files.pids_below(os.path.dirname(door))}


class NoTree:
    """Where no groups can be made, and why."""

    def __init__(self, why: str) -> None:
        self._why = why

    def prepare(self) -> None:
        pass

    def gaps(self) -> dict[str, str]:
        return dict.fromkeys(("memory", "swap", "cores", "devices", "processes", "freezing"), self._why)

    def make_step(self, name: GroupName, wants: Wants) -> StepGroup:
        return NoGroup()

    def kill(self, name: GroupName) -> set[int]:
        return set()

    def jobs(self, node: str) -> list[str]:
        return []

    def kill_job(self, node: str, job: str) -> set[int]:
        return set()

    def folders(self, node: str) -> list[str]:
        return []
