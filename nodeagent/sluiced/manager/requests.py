"""What an srun asks of the manager of its job's steps: the job, a step, its release, its end."""

from __future__ import annotations

import socket
from collections.abc import Callable

import msgspec

from sluice import jobid_spec
from sluice.clock import WallClock
from sluice.errors import NotFound, RequestError, SluiceError
from sluice.model.base import EXTERN_STEP
from sluice.model.step import Step
from sluice.steps.grant import StepBusy
from sluice.wire.connection import Connection
from sluice.wire.envelope import decode_body
from sluice.wire.faults import is_passing
from sluice.wire.messages import (
    CreateStep,
    Done,
    FilesGranted,
    FinishStep,
    LeasedPorts,
    LeasePorts,
    LocateJob,
    NodeAddress,
    SendFiles,
    StartedJob,
    StepAddress,
    StepCreated,
    StepWaits,
    WaitStepEnd,
)
from sluice.wire.responder import Responder
from sluice.wire.step_credential import StepGrant, grant_access, grant_launch, mint_step_credential
from sluiced.manager.book import NO_PORTS, StepBook
from sluiced.manager.managed import Managed
from sluiced.manager.manager import ELSEWHERE, StepManager


class StepRequests:
    """key: the cluster's, which signs the credentials of steps."""

    def __init__(self, manager: StepManager, key: bytes, clock: WallClock) -> None:
        self._manager = manager
        self._key = key
        self._clock = clock

    def on_locate(self, connection: Connection, request: LocateJob, responder: Responder) -> None:
        """Answer with the job's allocation."""

        def answer(managed: Managed) -> None:
            book = managed.book
            addresses = tuple((each.node, each.address, each.port) for each in book.managed.addresses)
            responder.reply(StartedJob(job=book.job, addresses=addresses, is_ended=book.is_closed))

        self._for_owner(connection, request.job_id, responder, answer)

    def on_finish(self, connection: Connection, request: FinishStep, responder: Responder) -> None:
        """Release a step that its srun could not launch."""

        def answer(managed: Managed) -> None:
            managed.change(managed.book.finish(request.step_id, request.exit_code, self._clock.now()))
            responder.reply(Done())

        self._for_owner(connection, request.job_id, responder, answer)

    def on_wait_end(self, connection: Connection, request: WaitStepEnd, responder: Responder) -> None:
        """Answer when the step has ended."""

        def answer(managed: Managed) -> None:
            managed.waiting.add(responder, lambda: _is_over(managed, request.step_id, responder))

        self._for_owner(connection, request.job_id, responder, answer)

    def on_send_files(self, connection: Connection, request: SendFiles, responder: Responder) -> None:
        """Answer with what lets the caller put files on the nodes of a step (srun --bcast).  Raises InvalidRequest."""
        spec = jobid_spec.parse(request.id)

        def answer(managed: Managed) -> None:
            step = managed.book.running.get(int(spec.step)) if spec.step and spec.step.isdecimal() else None
            if step is None:
                raise NotFound(f"step {request.id} does not run", "invalid_job")
            job = managed.book.managed.job
            nodes = (node.node for node in step.nodes)
            credential = self._mint(grant_access(job, EXTERN_STEP, nodes, self._place(managed.book)))
            addresses = _addresses(managed.book, step)
            granted = FilesGranted(job_id=job.id, attempt=job.attempt, addresses=addresses, credential=credential)
            responder.reply(granted)

        self._for_owner(connection, spec.job_id, responder, answer)

    def on_create(self, connection: Connection, request: CreateStep, responder: Responder) -> None:
        """Answer with the step, once there is room for it; why it has to wait is told once."""
        is_told = False

        def attempt(managed: Managed) -> bool:
            nonlocal is_told
            try:
                self._create(managed, request, responder)
            except StepBusy as busy:
                if request.spec.is_immediate:
                    responder.error(busy)
                    return True
                if not is_told:
                    is_told = True
                    waits = StepWaits(request_id=responder.id, reason="Requested nodes are busy", text=busy.message)
                    connection.notify("StepWaits", waits)
                return False
            except RequestError as refusal:
                responder.error(refusal)
            return True

        def answer(managed: Managed) -> None:
            managed.waiting.add(responder, lambda: attempt(managed))

        self._for_owner(connection, request.job_id, responder, answer)

    def _for_owner(
        self, connection: Connection, job_id: int, responder: Responder, then: Callable[[Managed], None]
    ) -> None:
        assert connection.identity is not None, "admitted without an identity"
        uid = connection.identity.uid

        def check(managed: Managed) -> None:
            managed.check_owner(uid)
            then(managed)

        self._manager.with_job(job_id, responder, check)

    def _create(self, managed: Managed, request: CreateStep, responder: Responder) -> None:
        """Raises StepBusy, RequestError."""
        if request.spec.is_interactive:
            raise RequestError("an interactive step is the controller's to make", ELSEWHERE)
        step = managed.book.create(request.spec, request.token, self._clock.now())
        managed.change(step)
        if request.spec.ports and step.ports == NO_PORTS:
            lease = LeasePorts(node=self._manager.node, step=step)
            self._manager.ask("LeasePorts", lease, lambda reply: self._on_ports(managed, step, reply, responder))
        else:
            responder.reply(self._created(managed.book, step))

    def _on_ports(self, managed: Managed, step: Step, reply: msgspec.Raw | SluiceError, responder: Responder) -> None:
        try:
            if isinstance(reply, SluiceError):
                raise reply
            leased = managed.book.set_ports(step.step_id, decode_body(reply, LeasedPorts).ports)
            if leased is None:
                raise RequestError(f"step {step.job_id}.{step.step_id} has ended", "already_done")
        except SluiceError as error:
            if not is_passing(error):
                # Else the same request comes again, and finds the step.
                managed.change(managed.book.finish(step.step_id, 1, self._clock.now()))
            responder.error(error)
            return
        managed.change(leased)
        responder.reply(self._created(managed.book, leased))

    def _created(self, book: StepBook, step: Step) -> StepCreated:
        managed = book.managed
        return StepCreated(
            step=step,
            addresses=_addresses(book, step),
            credential=self._mint(grant_launch(managed.job, step, self._place(book))),
            job=managed.job,
            cluster=managed.cluster,
            mpi_default=managed.mpi_default,
            kill_wait_s=managed.kill_wait_s,
            srun_prolog=managed.srun_prolog,
            srun_epilog=managed.srun_epilog,
        )

    def _place(self, book: StepBook) -> NodeAddress:
        """Return where the results of the job's steps go."""
        return next(each for each in book.managed.addresses if each.node == self._manager.node)

    def _mint(self, grant: StepGrant) -> str:
        return mint_step_credential(self._key, grant, socket.gethostname(), self._clock.now())


def _addresses(book: StepBook, step: Step) -> tuple[StepAddress, ...]:
    places = {each.node: each for each in book.managed.addresses}
    return tuple(
        StepAddress(node=node, address=places[node.node].address, port=places[node.node].port) for node in step.nodes
    )


def _is_over(managed: Managed, step_id: int, responder: Responder) -> bool:
    is_over = step_id not in managed.book.running
    if is_over:
        responder.reply(Done())
    return is_over
