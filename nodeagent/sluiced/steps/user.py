"""Becoming the job's user: for a while (files), or for good (tasks).

Without privilege the agent is the only user there is, and both do nothing.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from typing import NamedTuple

from sluice.model.reason import Reason
from sluiced.steps.launch_failure import LaunchFailure


class User(NamedTuple):
    """Whom a step runs for, with the groups that the system gives them here."""

    uid: int
    gid: int
    name: str
    groups: tuple[int, ...]
    home: str
    shell: str


def load_user(uid: int, gid: int, name: str, node: str = "") -> User:
    """Return the user as this machine knows it.

    An agent without privilege runs its own user, known or not; *name* is then all there is.  Raises LaunchFailure where
    another user is unknown: its groups and its home are the machine's to say.
    """
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        if uid == os.geteuid():
            return User(uid, gid, name, (gid,), "/", "/bin/sh")
        text = f"uid {uid} ({name}) is not known on node {node}: `getent passwd {uid}` there finds nobody"
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, text) from None
    groups = tuple(os.getgrouplist(entry.pw_name, gid)) if os.geteuid() == 0 else ()
    return User(uid, gid, entry.pw_name, groups, entry.pw_dir, entry.pw_shell or "/bin/sh")


def is_own(user: User) -> bool:
    """Is there nothing to become: is it root, or can this process be nobody else?"""
    return os.geteuid() != 0 or (user.uid, user.gid) == (0, 0)


@contextlib.contextmanager
def acting_as(user: User, umask: int) -> Iterator[None]:
    """Touch the file system as *user*; the real uid stays, so the user cannot signal us meanwhile."""
    own_umask = os.umask(umask)
    own_groups = os.getgroups()
    is_other = not is_own(user)
    try:
        if is_other:
            os.setgroups(user.groups)
            os.setegid(user.gid)
            os.seteuid(user.uid)
        yield
    finally:
        if is_other:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(own_groups)
        os.umask(own_umask)


def become(user: User) -> None:
    """Be *user* from now on."""
    if is_own(user):
        return
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
