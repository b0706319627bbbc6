"""The PMI server of one node of a step: its ranks' sessions and barriers.  Pure: bytes in, actions out.

A barrier is left when all ranks of the step are in it; those of other nodes come and go through Gather.
"""

from __future__ import annotations

from typing import NamedTuple

from sluiced.pmi.dialects import Job
from sluiced.pmi.layout import Layout, process_mapping
from sluiced.pmi.session import Session
from sluiced.pmi.store import Store, StoreFull
from sluiced.pmi.text import PmiSyntaxError


class Reply(NamedTuple):
    rank: int
    data: bytes


class Give(NamedTuple):
    """This node's part in the barrier *key* of all nodes; on_release() brings the whole."""

    key: str
    piece: bytes


class GiveUp(NamedTuple):
    """The step has to end.  rank: which called abort, with exit_code; -1: none did."""

    text: str
    rank: int = -1
    exit_code: int = 1


Action = Reply | Give | GiveUp


class PmiServer:
    """name: of the step, as keys of other steps never have it."""

    def __init__(self, name: str, layout: Layout) -> None:
        self._store = Store()
        job = Job(name, layout.size, process_mapping(layout.ranks), self._store, layout.appnum)
        self._sessions = {rank: Session(rank, job) for rank in layout.own_ranks}
        self._barriers = 0
        #: All ranks of this node are in a barrier, whose end is waited for.
        self._has_given = False
        #: Ranks that are gone and have never spoken PMI.
        self._strangers: set[int] = set()

    def on_bytes(self, rank: int, data: bytes) -> list[Action]:
        """A rank says something."""
        session = self._sessions[rank]
        try:
            replies = session.feed(data)
        except PmiSyntaxError as error:
            return [GiveUp(f"task {rank} does not speak PMI: {error}")]
        actions: list[Action] = [Reply(rank, replies)] if replies else []
        if session.abort is not None:
            text = f"task {rank} called abort: {' '.join(session.abort.reason.split())}"
            return [*actions, GiveUp(text, rank, session.abort.exit_code)]
        actions += self._late_answers()
        if session.is_waiting and self._strangers:
            return [*actions, self._give_up_barrier()]
        if not self._has_given and all(each.is_waiting for each in self._sessions.values()):
            self._has_given = True
            self._barriers += 1
            actions.append(Give(f"pmi.{self._barriers}", self._store.take_new()))
        return actions

    def on_release(self, pieces: tuple[bytes, ...]) -> list[Action]:
        """All nodes are in the barrier, and this is what they have put."""
        try:
            self._store.merge(pieces)
        except (StoreFull, ValueError) as error:
            return [GiveUp(f"what another node put cannot be kept: {error}")]
        self._has_given = False
        actions: list[Action] = [Reply(rank, session.release()) for rank, session in self._sessions.items()]
        for rank in self._sessions:
            actions += self.on_bytes(rank, b"")
        return actions

    def on_closed(self, rank: int) -> list[Action]:
        """A rank's end of the connection is gone: without finalize, the others would wait for it for ever."""
        session = self._sessions[rank]
        if session.has_begun and not session.has_finished and session.abort is None:
            return [GiveUp(f"task {rank} ended without MPI_Finalize")]
        if not session.has_begun:
            self._strangers.add(rank)
            if any(each.is_waiting for each in self._sessions.values()):
                return [self._give_up_barrier()]
        return []

    def _give_up_barrier(self) -> GiveUp:
        return GiveUp(f"task {min(self._strangers)} ended without MPI_Init, and others wait for it in a barrier")

    def _late_answers(self) -> list[Action]:
        late = ((rank, session.answer_attribute()) for rank, session in self._sessions.items())
        return [Reply(rank, data) for rank, data in late if data]
