"""What lets its bearer launch one step, once, on the step's nodes: minted by the controller, checked by node agents.

It is a credential like others, made out to the audience "step", whose grants name job, attempt, step and nodes.  An
agent also takes it as the hello on TCP, so that srun needs nothing else.  Each agent remembers which steps it has
launched; the nonce is therefore not what keeps a launch from happening twice.

What the step may use and whose it is stands in the records of job and step, which srun hands on.  The credential has a
digest of them as the maps that are sent, not as the records that one side makes of them: an agent that does not know
every field yet still sees that none is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from sluice import hostlist
from sluice.errors import AuthenticationFailed
from sluice.model.job import Job
from sluice.model.step import Step
from sluice.wire.credentials import CLOCK_SKEW_MAX_S, Claims, mint, new_nonce, verify
from sluice.wire.messages import NodeAddress

STEP_AUDIENCE = "step"
STEP_LIFETIME_S = 3600.0


class StepGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The right to launch a step, or to reach it, for the user who owns the job."""

    uid: int
    gid: int
    user: str
    job_id: int
    attempt: int
    step_id: int
    nodes: tuple[str, ...]
    #: Who manages the step, if it is an agent.
    manager: NodeAddress | None = None
    #: Digest of the records of job and step that it launches; empty: it launches nothing.
    records: str = ""
    #: When its credential was made, and by the clock of which host.
    issued_at: float = 0.0
    host: str = ""

    def made_after(self, here: str) -> float:
        """Return a time by the clock of host *here* before which the credential was not made."""
        return self.issued_at if self.host == here else self.issued_at - CLOCK_SKEW_MAX_S


def grant_launch(job: Job, step: Step, manager: NodeAddress | None = None) -> StepGrant:
    """Return the right to launch *step* of *job*, as these records say and in no other way."""
    records = records_digest(msgspec.to_builtins(job), msgspec.to_builtins(step))
    grant = grant_access(job, step.step_id, (part.node for part in step.nodes), manager)
    return msgspec.structs.replace(grant, records=records)


def grant_access(job: Job, step_id: int, nodes: Iterable[str], manager: NodeAddress | None = None) -> StepGrant:
    """Return the right to reach a step on *nodes*, which launches nothing.  step_id: EXTERN_STEP for files and X11."""
    spec = job.spec
    return StepGrant(
        uid=spec.uid,
        gid=spec.gid,
        user=spec.user,
        job_id=job.id,
        attempt=job.attempt,
        step_id=step_id,
        nodes=tuple(nodes),
        manager=manager,
    )


def records_digest(job: object, step: object) -> str:
    """Return the digest of a job's and a step's record, which are plain maps.

    Taken of the shortest msgpack, which tells its own end: that of a record has longer heads.
    """
    digest = hashlib.sha256(msgspec.msgpack.encode(job))
    digest.update(msgspec.msgpack.encode(step))
    return digest.hexdigest()


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
    if grant.records:
        extra["records"] = grant.records
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
            records=str(extra.get("records", "")),
            issued_at=claims.issued_at,
            host=claims.host,
        )
    except (KeyError, TypeError, ValueError):
        raise AuthenticationFailed("credential names no step") from None


def _read_address(value: Any) -> NodeAddress | None:
    """Raises TypeError or ValueError."""
    if value is None:
        return None
    node, address, port = value
    return NodeAddress(node=str(node), address=str(address), port=int(port))
