"""The PMI server of a node with its sockets: one pair a rank, one end of which the task inherits."""

from __future__ import annotations

import select
import socket

from sluiced.pmi.collective import Release
from sluiced.pmi.layout import Layout
from sluiced.pmi.local import Local, Wish
from sluiced.pmi.messages import Abort, Fetch, Fetched
from sluiced.pmi.server import Action, Give, GiveUp, PmiServer, Reply

_CHUNK = 64 * 1024
#: Answers that a rank does not read.
_UNREAD_MAX = 4 * 1024 * 1024


class _Rank:
    __slots__ = ("out", "own", "rank", "theirs")

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.own, self.theirs = socket.socketpair()
        self.own.setblocking(False)
        self.out = bytearray()


class LocalPmi(Local):
    """For the ranks of one node."""

    def __init__(self, name: str, layout: Layout) -> None:
        self._server = PmiServer(name, layout)
        self._ranks = {rank: _Rank(rank) for rank in layout.own_ranks}
        self._by_descriptor = {each.own.fileno(): each for each in self._ranks.values()}

    def descriptor(self, rank: int) -> int | None:
        return self._ranks[rank].theirs.fileno()

    def close_task_ends(self) -> None:
        for each in self._ranks.values():
            each.theirs.close()

    def poll_events(self) -> dict[int, int]:
        return {
            descriptor: select.POLLIN | (select.POLLOUT if each.out else 0)
            for descriptor, each in self._by_descriptor.items()
        }

    def on_event(self, descriptor: int) -> list[Wish]:
        each = self._by_descriptor[descriptor]
        self._flush(each)
        try:
            data = each.own.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return self._close(each)
        return self._do(self._server.on_bytes(each.rank, data))

    def on_task_end(self, rank: int) -> list[Wish]:
        """Read what it said last; a child of its own may keep the connection open, but it is not the rank."""
        each = self._ranks[rank]
        wishes: list[Wish] = []
        while each.own.fileno() in self._by_descriptor and select.select([each.own], [], [], 0)[0]:
            wishes += self.on_event(each.own.fileno())
        return wishes + self._close(each)

    def on_event_of_step(self, event: Release | Fetch | Fetched) -> list[Wish]:
        return self._do(self._server.on_release(event.pieces)) if isinstance(event, Release) else []

    def close(self) -> None:
        for each in list(self._by_descriptor.values()):
            each.own.close()
        self._by_descriptor.clear()

    def _do(self, actions: list[Action]) -> list[Wish]:
        wishes: list[Wish] = []
        for action in actions:
            match action:
                case Reply(rank=rank, data=data):
                    each = self._ranks[rank]
                    each.out += data
                    self._flush(each)
                case Give(key=key, piece=piece):
                    wishes.append((key, (), piece))
                case GiveUp(text=text, rank=rank, exit_code=code):
                    # MPICH's rank waits to be killed, and is.
                    wishes.append(Abort(text=text, leaver=rank, exit_code=code))
        wishes += [Abort(text=f"task {each.rank} reads no answers") for each in self._ranks.values() if _is_deaf(each)]
        return wishes

    def _flush(self, each: _Rank) -> None:
        while each.out and each.own.fileno() in self._by_descriptor:
            try:
                count = each.own.send(each.out)
            except BlockingIOError:
                return
            except OSError:
                each.out.clear()
                return
            del each.out[:count]

    def _close(self, each: _Rank) -> list[Wish]:
        if self._by_descriptor.pop(each.own.fileno(), None) is None:
            return []
        each.own.close()
        each.out.clear()
        return self._do(self._server.on_closed(each.rank))


def _is_deaf(each: _Rank) -> bool:
    return len(each.out) > _UNREAD_MAX
