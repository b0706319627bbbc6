"""How many connections there are, and of whom; refuses one too many."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from sluice.errors import Unreachable
from sluice.wire.limits import Limits

if TYPE_CHECKING:
    from sluice.wire.connection import Connection


class Census:
    """The connections of one server.

    Strangers, who are not authenticated yet, have a smaller bound of their own, and so has each
    user: neither can use up the connections that the rest of the cluster needs.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.connections: set[Connection] = set()
        self._strangers: set[Connection] = set()
        self._users: dict[Connection, int] = {}
        self._count_by_uid: Counter[int] = Counter()

    def enter(self, connection: Connection) -> None:
        """Raises Unreachable when full."""
        _check(len(self.connections), self._limits.connections_max, "connections are open")
        self.connections.add(connection)

    def enter_stranger(self, connection: Connection) -> None:
        _check(len(self._strangers), self._limits.strangers_max, "connections wait for their hello")
        self._strangers.add(connection)

    def leave_strangers(self, connection: Connection) -> None:
        """It has said who it is."""
        self._strangers.discard(connection)

    def enter_user(self, connection: Connection, uid: int) -> None:
        if uid in (0, os.geteuid()):
            return
        _check(self._count_by_uid[uid], self._limits.connections_per_user_max, f"connections of uid {uid} are open")
        self._users[connection] = uid
        self._count_by_uid[uid] += 1

    def leave(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._strangers.discard(connection)
        uid = self._users.pop(connection, None)
        if uid is None:
            return
        self._count_by_uid[uid] -= 1
        if not self._count_by_uid[uid]:
            del self._count_by_uid[uid]


def _check(count: int, count_max: int, text: str) -> None:
    if count >= count_max:
        raise Unreachable(f"{count} {text}, at most {count_max} may be")
