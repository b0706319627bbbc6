"""Who is calling, in the controller's terms: roles by uid, names and groups from the system's databases."""

import grp
import os
import pwd
import time
from functools import lru_cache

from sluice.wire.identity import Identity
from sluicectld.permissions import Caller

_GROUPS_TTL_S = 600.0


class Callers:
    """administrators: uids that rule the cluster (root, SlurmUser, the daemon's own)."""

    def __init__(self, administrators: frozenset[int]) -> None:
        self.administrators = administrators
        self._groups: dict[str, tuple[float, tuple[str, ...]]] = {}

    def caller(self, identity: Identity | None) -> Caller:
        """Return the caller of a connection."""
        assert identity is not None, "a request was dispatched before its peer was known"
        is_administrator = identity.uid in self.administrators
        agent_of = identity.is_agent_of
        if agent_of is None and is_administrator:
            # An agent on the controller's own host comes through the UNIX socket, as the administrator.
            agent_of = "*"
        return Caller(
            identity.uid,
            identity.gid,
            identity.user or user_name(identity.uid),
            is_administrator=is_administrator,
            is_operator=is_administrator,
            agent_of=agent_of,
        )

    def groups(self, user: str, gid: int) -> tuple[str, ...]:
        """Return the names of the user's groups; asked of the system every ten minutes at most."""
        known = self._groups.get(user)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        try:
            gids = os.getgrouplist(user, gid)
        except (OSError, KeyError):
            gids = [gid]
        names = tuple(group_name(each) for each in gids)
        self._groups[user] = (time.monotonic() + _GROUPS_TTL_S, names)
        return names


@lru_cache(maxsize=10_000)
def user_name(uid: int) -> str:
    """Return the user's name, the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=10_000)
def group_name(gid: int) -> str:
    """Return the group's name, the number where there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def uid_of(user: str) -> int | None:
    """Return the uid of a user's name or number, None for nobody."""
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
