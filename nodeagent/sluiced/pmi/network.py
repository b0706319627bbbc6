"""A step daemon among those of its step: its parent, its children, and what passes between them.

Collectives are gathered and spread; questions to another node's ranks, and their answers, go from neighbour to
neighbour; an abort goes to all.  What is meant for this node comes out as events.
"""

from __future__ import annotations

import socket

from sluice.errors import SluiceError
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.framing import NOTICE, REPLY
from sluiced.pmi import tree
from sluiced.pmi.collective import CollectiveError, Collectives, Move, Release, SendDown, SendUp
from sluiced.pmi.frames import FrameLink
from sluiced.pmi.messages import PEER_MESSAGES, Abort, Fetch, Fetched, Gather, PeerMessage, Spread
from sluiced.pmi.parent import ParentLink

#: What a step daemon gets to hear.
Event = Release | Fetch | Fetched | Abort

_JOIN_REQUEST_ID = 1


class Network:
    """Node *index* of *nodes*.  parent: None at the root, and in a step of one node."""

    def __init__(self, index: int, nodes: tuple[str, ...], parent: ParentLink | None) -> None:
        self._index = index
        self._nodes = nodes
        self._parent = parent
        self._children: dict[int, FrameLink] = {}
        #: For children that have not come yet.
        self._waiting: dict[int, list[PeerMessage]] = {}
        self._collectives = Collectives(index, len(nodes))
        self._is_aborted = False

    # The poll loop's side.

    def poll_events(self) -> dict[int, int]:
        events = {link.fileno(): link.wanted_events() for link in self._children.values() if not link.is_gone}
        if self._parent is not None and (descriptor := self._parent.fileno()) is not None:
            events[descriptor] = self._parent.wanted_events()
        return events

    def wait_s(self, now: float) -> float | None:
        return self._parent.wait_s(now) if self._parent is not None else None

    def do_timers(self, now: float) -> list[Event]:
        if self._parent is None:
            return []
        self._parent.do_timers(now)
        return self._on_parent_state()

    @property
    def has_children(self) -> bool:
        """Are step daemons below this one at work?"""
        return any(not link.is_gone for link in self._children.values())

    @property
    def is_drained(self) -> bool:
        return all(link.is_drained for link in self._children.values()) and (
            self._parent is None or self._parent.is_drained
        )

    def close(self) -> None:
        for link in self._children.values():
            link.close()
        if self._parent is not None:
            self._parent.close()

    def on_event(self, descriptor: int) -> list[Event]:
        if self._parent is not None and descriptor == self._parent.fileno():
            return self._on_envelopes(self._parent.on_event(), None) + self._on_parent_state()
        for index, link in self._children.items():
            if not link.is_gone and link.fileno() == descriptor:
                link.flush()
                return self._on_envelopes(link.receive(), index) + self._on_child_state(index, link)
        return []

    def on_child(self, node: str, connection: socket.socket) -> None:
        """The connection of another node's step daemon; one that has no business here is closed."""
        index = self._nodes.index(node) if node in self._nodes else self._index
        known = self._children.get(index)
        if index not in tree.children(self._index, len(self._nodes)) or (known is not None and not known.is_gone):
            connection.close()
            return
        link = self._children[index] = FrameLink(connection)
        link.send(REPLY, _JOIN_REQUEST_ID, "Joined", None)
        for message in self._waiting.pop(index, []):
            link.notify(message)

    # This node's own wishes.

    def give(self, key: str, participants: tuple[int, ...], piece: bytes) -> list[Event]:
        """Give this node's part of a collective."""
        try:
            events = self._do(self._collectives.give(key, participants, piece))
        except CollectiveError as error:
            return self.abort(str(error))
        for index, link in self._children.items():
            events += self._on_child_state(index, link)
        return events + (self._on_parent_state() if self._parent is not None else [])

    def send(self, message: Fetch | Fetched, target: int) -> list[Event]:
        """Send on its way to another node, or here."""
        if target == self._index:
            return [message]
        self._send_to(tree.next_hop(self._index, target), message)
        return []

    def abort(self, text: str) -> list[Event]:
        """Tell every node that the step is over, once."""
        return self.give_up(Abort(text=text))

    def give_up(self, abort: Abort) -> list[Event]:
        """Tell every node that a rank here gives the step up, unless another one has."""
        return self._on_abort(abort, None)

    # Inside.

    def _on_envelopes(self, envelopes: list[Envelope], child: int | None) -> list[Event]:
        events: list[Event] = []
        for envelope in envelopes:
            kind = PEER_MESSAGES.get(envelope.name)
            if kind is None or envelope.kind != NOTICE:
                continue
            try:
                events += self._on_message(decode_body(envelope.body, kind), child)
            except (SluiceError, CollectiveError) as error:
                events += self.abort(f"another node's step daemon: {error}")
        return events

    def _on_message(self, message: PeerMessage, child: int | None) -> list[Event]:
        """child: who says it, None for the parent."""
        match message:
            case Gather(key=key, participants=participants, pieces=pieces):
                if child is None:
                    raise CollectiveError("a parent gathers nothing")
                return self._do(self._collectives.on_gather(child, key, participants, pieces))
            case Spread(key=key, participants=participants, pieces=pieces):
                return self._do(self._collectives.on_spread(key, participants, pieces))
            case Fetch() | Fetched():
                if not 0 <= message.target < len(self._nodes):
                    raise CollectiveError(f"node {message.target} of {len(self._nodes)}")
                return self.send(message, message.target)
            case Abort():
                return self._on_abort(message, child)

    def _do(self, moves: list[Move]) -> list[Event]:
        events: list[Event] = []
        for move in moves:
            match move:
                case SendUp(key=key, participants=participants, pieces=pieces):
                    self._send_up(Gather(key=key, participants=participants, pieces=pieces))
                case SendDown(child=child, key=key, participants=participants, pieces=pieces):
                    self._send_to(child, Spread(key=key, participants=participants, pieces=pieces))
                case Release():
                    events.append(move)
        return events

    def _on_abort(self, message: Abort, source: int | None) -> list[Event]:
        if self._is_aborted:
            return []
        self._is_aborted = True
        if self._parent is not None:
            self._parent.notify(message)
        for index in tree.children(self._index, len(self._nodes)):
            if index != source:
                self._send_to(index, message)
        return [message]

    def _send_up(self, message: PeerMessage) -> None:
        assert self._parent is not None, "the root has nobody above"
        self._parent.notify(message)

    def _send_to(self, index: int, message: PeerMessage) -> None:
        if index < self._index:
            self._send_up(message)
        elif (link := self._children.get(index)) is not None:
            link.notify(message)
        else:
            self._waiting.setdefault(index, []).append(message)

    def _on_parent_state(self) -> list[Event]:
        assert self._parent is not None
        if self._parent.problem:
            return self.abort(self._parent.problem)
        is_missed = self._parent.is_lost and not self._collectives.is_idle
        return self._lost(self._parent.node) if is_missed else []

    def _on_child_state(self, index: int, link: FrameLink) -> list[Event]:
        return self._lost(self._nodes[index]) if link.is_gone and self._collectives.misses(index) else []

    def _lost(self, node: str) -> list[Event]:
        """One that has gone is missed only by a collective that is under way."""
        return self.abort(f"node {node} left the step while tasks of other nodes wait for its own")
