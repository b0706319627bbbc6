"""The PMIx server of a node, as its step daemon sees it: a helper process and a socket to it."""

from __future__ import annotations

import os
import select
import socket
import time

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, decode_body
from sluiced.pmi import helper
from sluiced.pmi.collective import Release
from sluiced.pmi.frames import FrameLink
from sluiced.pmi.helper import Setup
from sluiced.pmi.local import Local, Wish
from sluiced.pmi.messages import (
    HELPER_MESSAGES,
    Abort,
    Began,
    Failed,
    Fetch,
    Fetched,
    Finished,
    Gather,
    HelperMessage,
    Ready,
    Spread,
)
from sluiced.steps.fork import fork
from sluiced.steps.user import User, become

#: For libpmix to be loaded and to start.
_START_S = 30.0


class HelperProblem(Exception):
    """There is no PMIx server."""


class LocalPmix(Local):
    """For the ranks of one node.  Raises HelperProblem."""

    def __init__(self, setup: Setup, user: User) -> None:
        own, theirs = socket.socketpair()
        self.pid = fork()
        if self.pid == 0:
            _become_helper(setup, user, theirs)
        self.helpers = frozenset((self.pid,))
        theirs.close()
        self._link = FrameLink(own)
        self._variables: dict[int, dict[str, str]] = {}
        self._began: set[int] = set()
        self._finished: set[int] = set()
        self._has_aborted = False
        try:
            self._wait_ready()
        except HelperProblem:
            self._link.close()
            raise

    def variables(self, rank: int) -> dict[str, str]:
        return self._variables[rank]

    def poll_events(self) -> dict[int, int]:
        return {} if self._link.is_gone else {self._link.fileno(): self._link.wanted_events()}

    def on_event(self, descriptor: int) -> list[Wish]:
        self._link.flush()
        wishes = [wish for message in self._receive() for wish in self._on_message(message)]
        if self._link.is_gone and self._began - self._finished:
            wishes.append(Abort(text="the PMIx server has died"))
        return wishes

    def on_task_end(self, rank: int) -> list[Wish]:
        wishes: list[Wish] = []
        while not self._link.is_gone and select.select([self._link], [], [], 0)[0]:
            wishes += self.on_event(self._link.fileno())
        if rank in self._began and rank not in self._finished and not self._has_aborted:
            self._finished.add(rank)
            wishes.append(Abort(text=f"task {rank} ended without MPI_Finalize"))
        return wishes

    def on_event_of_step(self, event: Release | Fetch | Fetched) -> list[Wish]:
        if isinstance(event, Release):
            self._link.notify(Spread(key=event.key, pieces=event.pieces))
        else:
            self._link.notify(event)
        return []

    def close(self) -> None:
        self._link.close()

    def _on_message(self, message: HelperMessage) -> list[Wish]:
        match message:
            case Began(rank=rank):
                self._began.add(rank)
            case Finished(rank=rank):
                self._finished.add(rank)
            case Gather(key=key, participants=participants, pieces=pieces):
                return [(key, participants, b"".join(pieces))]
            case Fetch() | Fetched():
                return [message]
            case Abort():
                self._has_aborted = True
                return [message]
        return []

    def _wait_ready(self) -> None:
        """Wait for the helper's first word: the tasks' environment depends on it."""
        ends_at = time.monotonic() + _START_S
        while (left_s := ends_at - time.monotonic()) > 0 and not self._link.is_gone:
            select.select([self._link], [], [], left_s)
            for message in self._receive():
                if isinstance(message, Ready):
                    self._variables = dict(message.variables)
                    return
                if isinstance(message, Failed):
                    raise HelperProblem(message.text)
        raise HelperProblem("the PMIx server ended before it was ready" if self._link.is_gone else "no answer in time")

    def _receive(self) -> list[HelperMessage]:
        messages = []
        for envelope in self._link.receive():
            if (message := _decode(envelope)) is not None:
                messages.append(message)
        return messages


def _decode(envelope: Envelope) -> HelperMessage | None:
    kind = HELPER_MESSAGES.get(envelope.name)
    try:
        return decode_body(envelope.body, kind) if kind is not None else None
    except SluiceError:
        # The helper runs as the user, who may have put another program in its place.
        return None


def _become_helper(setup: Setup, user: User, connection: socket.socket) -> None:
    """In the forked child: keep nothing of the step daemon's, neither rights nor descriptors."""
    try:
        kept = os.dup2(connection.fileno(), 3)
        # What the library says is the user's business: not for the agent's log.
        os.dup2(1, 2)
        os.closerange(4, 1 << 20)
        become(user)
        os.chdir("/")
        helper.main_in_fork(setup, socket.socket(fileno=kept))
    finally:
        os._exit(1)
