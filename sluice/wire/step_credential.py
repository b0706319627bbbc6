"""What lets its bearer launch one step, once, on the step's nodes: minted by the controller, checked by node agents.

It is a credential like others, made out to the audience "step", whose grants name job, attempt, step and nodes.  An
agent also takes it as the hello on TCP, so that srun needs nothing else.  Each agent remembers which steps it has
launched; the nonce is therefore not what keeps a launch from happening twice.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sluice import hostlist
from sluice.errors import AuthenticationFailed
from sluice.wire.credentials import Claims, mint, new_nonce, verify
from sluice.wire.messages import NodeAddress

STEP_AUDIENCE = "step"
STEP_LIFETIME_S = 3600.0


class StepGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The right to launch a step, for the user who owns the job."""

    uid: int
    gid: int
    user: str
    job_id: int
    attempt: int
    step_id: int
    nodes: tuple[str, ...]
    #: Who manages the step, if it is an agent.
    manager: NodeAddress | None = None


def mint_step_credential(key: bytes, grant: StepGrant, host: str, now_at: float) -> str:
    """Return *grant* as text, valid for an hour."""
    extra: dict[str, Any] = {
        "job_id": grant.job_id,
        "attempt": grant.attempt,
        "step_id": grant.step_id,
        "nodes": hostlist.fold(grant.nodes),
    }
    if grant.manager is not None:
        extra["manager"] = msgspec.structs.astuple(grant.manager)
    claims = Claims(uid=grant.uid, gid=grant.gid, user=grant.user, host=host, audience=STEP_AUDIENCE, extra=extra)
    return mint(key, claims, now_at, STEP_LIFETIME_S, new_nonce())


def check_step_credential(key: bytes, text: str, now_at: float) -> StepGrant:
    """Return what *text* grants.  Raises AuthenticationFailed."""
    claims = verify(key, text, STEP_AUDIENCE, now_at, None)
    extra = claims.extra
    try:
        return StepGrant(
            uid=claims.uid,
            gid=claims.gid,
            user=claims.user,
            job_id=int(extra["job_id"]),
            attempt=int(extra["attempt"]),
            step_id=int(extra["step_id"]),
            nodes=tuple(hostlist.expand(extra["nodes"])),
            manager=_read_address(extra.get("manager")),
        )
    except (KeyError, TypeError, ValueError):
        raise AuthenticationFailed("credential names no step") from None


def _read_address(value: Any) -> NodeAddress | None:
    """Raises TypeError or ValueError."""
    if value is None:
        return None
    node, address, port = value
    return NodeAddress(node=str(node), address=str(address), port=int(port))
