"""What the step daemons of a step say to each other, and a step daemon to its PMIx helper: frames with these bodies.

Whoever has the step's credential may say any of it: nothing in here is believed beyond the step.
"""

from __future__ import annotations

import msgspec


class Gather(msgspec.Struct, frozen=True, kw_only=True):
    """Up the tree: what the nodes below have given to a collective.

    key: which one; participants: the nodes that take part, ascending; none: all of them.
    """

    key: str
    participants: tuple[int, ...] = ()
    pieces: tuple[bytes, ...] = ()


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Down the tree: all that was gathered."""

    key: str
    participants: tuple[int, ...] = ()
    pieces: tuple[bytes, ...] = ()


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank of node *target* has published, wanted by node *origin* under its number *id*."""

    id: int
    origin: int
    target: int
    rank: int


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; status: PMIx's, 0 when data is there."""

    id: int
    target: int
    status: int
    data: bytes = b""


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """A rank gave the step up, or the wiring failed: every node ends it.

    leaver: the rank that called abort, with exit_code; -1: none did.  ends_itself: it does, where others wait to be
    killed.
    """

    text: str
    leaver: int = -1
    exit_code: int = 1
    ends_itself: bool = False


PeerMessage = Gather | Spread | Fetch | Fetched | Abort
PEER_MESSAGES: dict[str, type[PeerMessage]] = {kind.__name__: kind for kind in (Gather, Spread, Fetch, Fetched, Abort)}


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The PMIx helper serves.  variables: what the environment of each rank needs."""

    variables: tuple[tuple[int, dict[str, str]], ...]


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """It cannot."""

    text: str


class Began(msgspec.Struct, frozen=True, kw_only=True):
    """A rank has connected to the PMIx server."""

    rank: int


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A rank has said that it is done with it."""

    rank: int


HelperMessage = Ready | Failed | Began | Finished | Gather | Fetch | Fetched | Abort
HELPER_MESSAGES: dict[str, type[HelperMessage]] = {
    kind.__name__: kind for kind in (Ready, Failed, Began, Finished, Gather, Fetch, Fetched, Abort)
}
