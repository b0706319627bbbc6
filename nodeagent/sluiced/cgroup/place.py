"""Where in the cgroup v2 hierarchy our tree may grow: a part that was delegated to us, or the top.

A group with controllers for its children holds no processes itself.  So an agent to which its own group was delegated
(a container, a user's scope) moves into a child, AGENT_GROUP, and the jobs grow beside it; systemd from 254 on starts
it there itself (DelegateSubgroup=).  Everything that the agent forks finds the place by that name.
"""

from __future__ import annotations

import contextlib
import os
from enum import Enum, auto
from typing import NamedTuple

from sluiced.cgroup import files

AGENT_GROUP = "sluice_agent"


class Stance(Enum):
    """How the agent stands to the place."""

    #: Somewhere else, or already in a child of it.
    APART = auto()
    #: In it: it has to move before anything can grow there.
    INSIDE = auto()


class Place(NamedTuple):
    """path: from the top of the mount, "/" is the top itself.  why_not: the reason why nothing can grow there."""

    path: str
    stance: Stance = Stance.APART
    why_not: str = ""


def decide_place(own: str, is_top_real: bool, is_root: bool, may_write: bool, ignores_delegation: bool) -> Place:
    """Return where the tree grows.

    own: the agent's group as /proc/self/cgroup tells it.  is_top_real: the mount shows the machine's whole hierarchy,
    not a container's.  may_write: the agent may make groups in its own.
    """
    if own.endswith(f"/{AGENT_GROUP}") and not ignores_delegation:
        return Place(os.path.dirname(own))
    if not is_root:
        if may_write and own != "/":
            return Place(own, Stance.INSIDE)
        return Place(own, why_not=f"not permitted (the agent does not run as root, and {own} is not delegated to it)")
    if not is_top_real and own == "/":
        return Place("/", Stance.INSIDE)
    return Place("/")


def read_place(mount: str, ignores_delegation: bool) -> Place:
    """Return the place on this machine for this process."""
    own = _own_group()
    folder = folder_of(mount, own)
    is_real = not files.has(mount, "cgroup.type")
    may_write = os.access(folder, os.W_OK) and os.access(os.path.join(folder, "cgroup.procs"), os.W_OK)
    return decide_place(own, is_real, os.geteuid() == 0, may_write, ignores_delegation)


def folder_of(mount: str, path: str) -> str:
    return os.path.join(mount, path.lstrip("/")).rstrip("/")


def clear_place(mount: str, place: Place) -> None:
    """Move this process and all else that is in the place itself into AGENT_GROUP.  Raises OSError.

    What cannot be moved stays, and then the kernel says which controllers it does not enable.
    """
    folder = folder_of(mount, place.path)
    child = os.path.join(folder, AGENT_GROUP)
    os.makedirs(child, 0o755, exist_ok=True)
    files.write(child, "cgroup.procs", "0")
    for pid in files.pids(folder):
        with contextlib.suppress(OSError):
            files.write(child, "cgroup.procs", str(pid))


def _own_group() -> str:
    with open("/proc/self/cgroup") as file:
        for line in file:
            if line.startswith("0::"):
                # A group outside of the own namespace begins with "/..".
                return line[3:].rstrip("\n")
    return "/"
