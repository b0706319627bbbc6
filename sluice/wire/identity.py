"""The record of a caller, and what an authenticator is."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """Who is at the other end of a connection, as established before any request."""

    uid: int
    gid: int
    user: str
    #: The host that vouches for the rest; empty on the local UNIX socket.
    host: str = ""
    #: The node whose agent this is; None: a user.
    is_agent_of: str | None = None
    #: Known on the UNIX socket only.
    pid: int | None = None
    #: What else a credential grants, such as {"job_id": 7, "step_id": 0} for a step's.
    grants: dict[str, Any] = {}


class Authenticator(Protocol):
    """Tells from a credential who presents it; the auth plugins' interface."""

    def check(self, credential: str, audience: str) -> Identity:
        """Return the presenter.  Must not block.

        audience: the name of the service asked, against credentials stolen from another.
        Raises AuthenticationFailed with the reason.
        """
