"""How the tasks of a step find each other: the local server and the network as one object for the poll loop."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable

from sluiced.pmi.local import Local, Wish
from sluiced.pmi.messages import Abort, Fetch, Fetched
from sluiced.pmi.network import Event, Network
from sluiced.steps.wireup import Dressing, Wireup


class StepWireup(Wireup):
    """The tasks' server, and the step daemons of the other nodes."""

    def __init__(
        self,
        local: Local,
        network: Network,
        dressing: Dressing,
        namespace: int | None,
        clean_up: Callable[[], None],
    ) -> None:
        """clean_up: for the end, when all connections are closed."""
        self.problem = ""
        self.is_own = False
        self.abort = None
        self.dressing = dressing
        self.helpers = local.helpers
        self.namespace = namespace
        self._clean_up = clean_up
        self._local = local
        self._network = network

    def descriptors(self, rank: int) -> tuple[int, ...]:
        descriptor = self._local.descriptor(rank)
        return () if descriptor is None else (descriptor,)

    def close_task_ends(self) -> None:
        self._local.close_task_ends()

    def poll_events(self) -> dict[int, int]:
        return self._local.poll_events() | self._network.poll_events()

    def wait_s(self, now: float) -> float | None:
        return self._network.wait_s(now)

    def do_timers(self, now: float) -> None:
        self._on_events(self._network.do_timers(now))

    def on_event(self, descriptor: int) -> bool:
        if descriptor in self._local.poll_events():
            self._on_wishes(self._local.on_event(descriptor))
        elif descriptor in self._network.poll_events():
            self._on_events(self._network.on_event(descriptor))
        else:
            return False
        return True

    def on_peer(self, node: str, connection: socket.socket) -> None:
        self._network.on_child(node, connection)

    def on_task_end(self, rank: int) -> None:
        self._on_wishes(self._local.on_task_end(rank))

    @property
    def has_followers(self) -> bool:
        return self.dressing.ends_head_last and self._network.has_children

    @property
    def is_drained(self) -> bool:
        return self._network.is_drained

    def close(self) -> None:
        self._network.close()
        if self.namespace is not None:
            os.close(self.namespace)
        self._clean_up()

    def _on_wishes(self, wishes: Iterable[Wish]) -> None:
        for wish in wishes:
            match wish:
                case Fetch() | Fetched():
                    target = wish.target
                    self._on_events(self._network.send(wish, target))
                case Abort():
                    self.is_own = self.is_own or not self.problem
                    self._on_events(self._network.give_up(wish))
                case (key, participants, piece):
                    self._on_events(self._network.give(key, participants, piece))

    def _on_events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Abort):
                self.problem = self.problem or event.text
                self.abort = event if event.leaver >= 0 else None
            else:
                self._on_wishes(self._local.on_event_of_step(event))
