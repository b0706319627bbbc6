"""What the agent accepts: launches, listeners to steps, files, other nodes' step daemons, X11 to be forwarded,
processes to adopt, requests for a credential.

What is asked of jobs whose steps are managed here, manager/ answers.

Launches come over TCP or the UNIX socket and carry the controller's step credential.  A credential that names its
bearer is minted on the UNIX socket alone, where the kernel tells who asks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import msgspec

from sluice.clock import WallClock
from sluice.errors import AuthenticationFailed, InvalidRequest, NotPermitted, PeerError
from sluice.model.base import EXTERN_STEP
from sluice.wire.connection import Connection
from sluice.wire.credentials import LIFETIME_S, Claims, SharedKeyAuthenticator, mint, new_nonce
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.framing import node_audience
from sluice.wire.handler import Handler
from sluice.wire.identity import Identity
from sluice.wire.messages import (
    AdoptProcess,
    CreateStep,
    Credential,
    FinishStep,
    ForwardX11,
    JoinStep,
    LocateJob,
    Message,
    MintCredential,
    NodeAddress,
    Report,
    SendFiles,
    TakeFile,
    TaskAttach,
    TaskLaunch,
    WaitStepEnd,
)
from sluice.wire.responder import Responder
from sluice.wire.step_credential import STEP_AUDIENCE, StepGrant, check_step_credential, records_digest
from sluiced.adoption import Adoption
from sluiced.files.order import FileOrder
from sluiced.jobs.words import check_file
from sluiced.manager.manager import StepManager
from sluiced.manager.requests import StepRequests
from sluiced.spool import JobKey, StepKey
from sluiced.steps.launch import X11Order
from sluiced.visitors import Visitors
from sluiced.vouching import Vouching

logger = logging.getLogger(__name__)

#: Takes a launch whose credential is good, with the manager that it names, on a held connection, with the handle that
#: refuses it.
OnTasks = Callable[[TaskLaunch, NodeAddress | None, Connection, Responder], None]
#: An srun of that step has connected, or (False) is gone.
OnSrun = Callable[[StepKey, bool], None]


class _Records(msgspec.Struct, frozen=True):
    """What a TaskLaunch says of job and step, also in fields that are not known here."""

    job: dict[str, Any]
    step: dict[str, Any]


class AgentAuthenticator:
    """Hellos on TCP: a user's credential for this node, or a step's that names it."""

    def __init__(self, key: bytes, node: str) -> None:
        self._key = key
        self._node = node
        self._users = SharedKeyAuthenticator(key)

    def check(self, credential: str, audience: str) -> Identity:
        try:
            grant = check_step_credential(self._key, credential, WallClock().now())
        except AuthenticationFailed:
            return self._users.check(credential, audience)
        if self._node not in grant.nodes:
            raise AuthenticationFailed(f"credential is for a step without part on node {self._node!r}")
        step = {"job_id": grant.job_id, "attempt": grant.attempt, "step_id": grant.step_id}
        return Identity(uid=grant.uid, gid=grant.gid, user=grant.user, grants=step)


class AgentServer(Handler):
    """The requests of one node's agent."""

    def __init__(
        self,
        key: bytes,
        node: str,
        on_tasks: OnTasks,
        visitors: Visitors,
        vouching: Vouching,
        adoption: Adoption,
        on_srun: OnSrun,
        manager: StepManager,
        requests: StepRequests,
    ) -> None:
        self._key = key
        self._on_srun = on_srun
        self._visitors = visitors
        self._vouching = vouching
        self._node = node
        self._on_tasks = on_tasks
        self.audience = node_audience(node)
        #: name -> (request type, what answers it)
        self._answers: dict[str, tuple[type[Message | msgspec.Raw], Callable[[Connection, Any, Responder], None]]] = {
            "TaskLaunch": (msgspec.Raw, self._launch),
            "TaskAttach": (TaskAttach, self._attach),
            "TakeFile": (TakeFile, self._take_file),
            "ForwardX11": (ForwardX11, self._forward),
            "JoinStep": (JoinStep, self._join),
            "AdoptProcess": (AdoptProcess, adoption.on_adopt),
            "MintCredential": (MintCredential, self._mint),
            "LocateJob": (LocateJob, requests.on_locate),
            "CreateStep": (CreateStep, requests.on_create),
            "FinishStep": (FinishStep, requests.on_finish),
            "SendFiles": (SendFiles, requests.on_send_files),
            "WaitStepEnd": (WaitStepEnd, requests.on_wait_end),
            "Report": (Report, manager.on_report),
        }

    def on_connected(self, connection: Connection) -> None:
        if key := _step_of(connection):
            self._on_srun(key, True)

    def on_closed(self, connection: Connection, reason: PeerError) -> None:
        if key := _step_of(connection):
            self._on_srun(key, False)

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        answer = self._answers.get(envelope.name)
        if answer is None:
            super().on_request(connection, envelope, responder)
            return
        kind, do = answer
        do(connection, decode_body(envelope.body, kind), responder)

    def _launch(self, connection: Connection, body: msgspec.Raw, responder: Responder) -> None:
        """Raises AuthenticationFailed, NotPermitted or InvalidRequest."""
        request = decode_body(body, TaskLaunch)
        grant = check_step_credential(self._key, request.credential, WallClock().now())
        _check_grant(grant, request, self._node)
        _check_records(grant, decode_body(body, _Records))
        _check_bearer(connection, grant)
        # What follows on the connection is the step daemon's to read.
        connection.hold()
        self._vouching.when_running(
            JobKey(grant.job_id, grant.attempt),
            grant.made_after(os.uname().nodename),
            connection,
            responder,
            lambda: self._on_tasks(request, grant.manager, connection, responder),
        )

    def _attach(self, connection: Connection, request: TaskAttach, responder: Responder) -> None:
        """Raises AuthenticationFailed or NotPermitted."""
        grant = check_step_credential(self._key, request.credential, WallClock().now())
        _check_bearer(connection, grant)
        if self._node not in grant.nodes:
            raise InvalidRequest(f"step {grant.job_id}.{grant.step_id} has no part on node {self._node}")
        connection.hold()
        self._visitors.on_attach(StepKey(grant.job_id, grant.attempt, grant.step_id), connection, responder)

    def _take_file(self, connection: Connection, request: TakeFile, responder: Responder) -> None:
        """Raises AuthenticationFailed, NotPermitted or InvalidRequest."""
        grant = check_step_credential(self._key, request.credential, WallClock().now())
        _check_bearer(connection, grant)
        if grant.step_id != EXTERN_STEP or self._node not in grant.nodes or request.node != self._node:
            raise InvalidRequest(f"the credential is not for files on node {self._node}")
        check_file(request)
        connection.hold()
        order = FileOrder(request=request, uid=grant.uid, gid=grant.gid, user=grant.user)
        key = JobKey(grant.job_id, grant.attempt)
        self._vouching.when_running(
            key,
            grant.made_after(os.uname().nodename),
            connection,
            responder,
            lambda: self._visitors.on_file(order, key, connection, responder),
        )

    def _forward(self, connection: Connection, request: ForwardX11, responder: Responder) -> None:
        """Raises AuthenticationFailed, NotPermitted or InvalidRequest."""
        grant = check_step_credential(self._key, request.credential, WallClock().now())
        _check_bearer(connection, grant)
        if self._node not in grant.nodes or request.node != self._node:
            raise InvalidRequest(f"the credential of job {grant.job_id} is not for node {self._node}")
        connection.hold()
        order = X11Order(cookie=request.cookie, is_for_job=request.is_for_job)
        self._visitors.on_forward(JobKey(grant.job_id, grant.attempt), order, connection, responder)

    def _join(self, connection: Connection, request: JoinStep, responder: Responder) -> None:
        """Raises NotPermitted."""
        if _step_of(connection) != StepKey(request.job_id, request.attempt, request.step_id):
            raise NotPermitted(f"the credential is not for step {request.job_id}.{request.step_id}")
        connection.hold()
        self._visitors.on_peer(request, connection, responder)

    def _mint(self, connection: Connection, request: MintCredential, responder: Responder) -> None:
        caller = connection.identity
        if caller is None or caller.pid is None:
            raise NotPermitted("credentials are minted on the UNIX socket, where the kernel tells who asks")
        if request.audience == STEP_AUDIENCE:
            raise NotPermitted("step credentials come from the controller")
        claims = Claims(
            uid=caller.uid, gid=caller.gid, user=caller.user, host=os.uname().nodename, audience=request.audience
        )
        responder.reply(Credential(credential=mint(self._key, claims, WallClock().now(), LIFETIME_S, new_nonce())))


def _step_of(connection: Connection) -> StepKey | None:
    """Return the step that the connection's credential is for."""
    grants = connection.identity.grants if connection.identity is not None else {}
    return StepKey(**grants) if grants else None


def _check_bearer(connection: Connection, grant: StepGrant) -> None:
    caller = connection.identity
    if caller is None or caller.uid not in (0, grant.uid):
        raise NotPermitted(f"the step belongs to uid {grant.uid}")


def _check_grant(grant: StepGrant, request: TaskLaunch, node: str) -> None:
    """The launch must be of the step that was granted, and for this node."""
    job, step = request.job, request.step
    if not grant.records:
        raise NotPermitted("the credential is for files of a job or for a running step, and launches nothing")
    if (grant.job_id, grant.attempt, grant.step_id) != (job.id, step.attempt, step.step_id):
        raise InvalidRequest(f"the credential is for step {grant.job_id}.{grant.step_id}, not {job.id}.{step.step_id}")
    if node not in grant.nodes or request.node != node:
        raise InvalidRequest(f"step {job.id}.{step.step_id} has no part on node {node}", "invalid_node")


def _check_records(grant: StepGrant, sent: _Records) -> None:
    """Whose rights the tasks get, and what of the node, is what was granted, not srun's word."""
    if records_digest(sent.job, sent.step) != grant.records:
        raise NotPermitted(
            f"step {grant.job_id}.{grant.step_id}: the records of job and step are not those that were granted with the"
            " credential; send them as StepCreated brought them"
        )
