"""Gathering from the nodes of a step over their tree, and spreading the whole to all who gave.  Pure.

A node sends up once its own part and those of the children below which nodes take part are there; the root sends
down.  A node without a part of its own passes on: the participants stand in every message.

Participants are the numbers of nodes, ascending; none of them stands for all nodes.

Invariant: a collective is forgotten when its result has passed; one key means one collective.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sluiced.pmi import tree

#: Collectives that can be under way at once; a program has one for each group of its ranks.
PENDING_MAX = 4096


class SendUp(NamedTuple):
    key: str
    participants: tuple[int, ...]
    pieces: tuple[bytes, ...]


class SendDown(NamedTuple):
    child: int
    key: str
    participants: tuple[int, ...]
    pieces: tuple[bytes, ...]


class Release(NamedTuple):
    """This node's own part in it is over: here is everything."""

    key: str
    pieces: tuple[bytes, ...]


Move = SendUp | SendDown | Release


class CollectiveError(Exception):
    """A neighbour says what cannot be."""


class _Pending:
    __slots__ = ("missing", "participants", "pieces")

    def __init__(self, participants: tuple[int, ...], missing: set[int]) -> None:
        self.participants = participants
        #: The children, and this node itself, that have not given yet.
        self.missing = missing
        self.pieces: list[bytes] = []


class Collectives:
    """All of one node: *index* among *nodes* in a tree of *width*."""

    def __init__(self, index: int, nodes: int, width: int = tree.WIDTH) -> None:
        self._index = index
        self._nodes = nodes
        self._width = width
        self._pending: dict[str, _Pending] = {}

    @property
    def is_idle(self) -> bool:
        return not self._pending

    def misses(self, child: int) -> bool:
        """Is a collective under way to which *child* has not given?"""
        return any(child in pending.missing for pending in self._pending.values())

    def give(self, key: str, participants: Sequence[int], piece: bytes) -> list[Move]:
        """This node's own part."""
        return self._add(key, tuple(participants), self._index, (piece,))

    def on_gather(self, child: int, key: str, participants: Sequence[int], pieces: tuple[bytes, ...]) -> list[Move]:
        """A child has its whole part.  Raises CollectiveError."""
        return self._add(key, tuple(participants), child, pieces)

    def on_spread(self, key: str, participants: Sequence[int], pieces: tuple[bytes, ...]) -> list[Move]:
        """The parent tells the result."""
        self._pending.pop(key, None)
        return self._finish(key, tuple(participants), pieces)

    def _add(self, key: str, participants: tuple[int, ...], giver: int, pieces: tuple[bytes, ...]) -> list[Move]:
        pending = self._pending.get(key)
        if pending is None:
            if len(self._pending) >= PENDING_MAX:
                raise CollectiveError(f"more than {PENDING_MAX} collectives are under way")
            pending = self._pending[key] = _Pending(participants, self._givers(participants))
        if pending.participants != participants:
            raise CollectiveError(f"collective {key!r}: the nodes disagree on who takes part")
        if giver not in pending.missing:
            raise CollectiveError(f"collective {key!r}: node {giver} gave twice, or has no part in it")
        pending.missing.discard(giver)
        pending.pieces += pieces
        if pending.missing:
            return []
        whole = tuple(pending.pieces)
        if self._index:
            # Remembered until the result comes, without what was sent on.
            pending.pieces.clear()
            return [SendUp(key, participants, whole)]
        del self._pending[key]
        return self._finish(key, participants, whole)

    def _givers(self, participants: tuple[int, ...]) -> set[int]:
        givers = {child for child in self._children() if self._has_part(child, participants)}
        return givers | {self._index} if self._is_in(participants) else givers

    def _finish(self, key: str, participants: tuple[int, ...], pieces: tuple[bytes, ...]) -> list[Move]:
        moves: list[Move] = [
            SendDown(child, key, participants, pieces)
            for child in self._children()
            if self._has_part(child, participants)
        ]
        if self._is_in(participants):
            moves.append(Release(key, pieces))
        return moves

    def _children(self) -> range:
        return tree.children(self._index, self._nodes, self._width)

    def _is_in(self, participants: tuple[int, ...]) -> bool:
        return not participants or self._index in participants

    def _has_part(self, child: int, participants: tuple[int, ...]) -> bool:
        return not participants or any(tree.is_below(node, child, self._width) for node in participants)
