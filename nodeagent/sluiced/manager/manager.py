"""The shell around the books of the jobs whose steps this agent manages."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable

import msgspec

from sluice.clock import WallClock
from sluice.errors import NotPermitted, RequestError, SluiceError
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.model.step import Step
from sluice.steps.grant import StepBusy
from sluice.wire.connection import Connection
from sluice.wire.envelope import decode_body
from sluice.wire.messages import (
    CreateStep,
    Done,
    FinishStep,
    LeasedPorts,
    LeasePorts,
    LocateJob,
    ManagedJob,
    ManageSteps,
    Report,
    RunningStep,
    StartedJob,
    StepAddress,
    StepCreated,
    StepResult,
    StepWaits,
    TellManager,
    WaitStepEnd,
)
from sluice.wire.responder import Responder
from sluice.wire.step_credential import StepGrant, mint_step_credential
from sluiced.manager.book import NO_PORTS, StepBook
from sluiced.manager.journal import Journal
from sluiced.manager.waiting import Waiting
from sluiced.spool import JobKey, Spool

logger = logging.getLogger(__name__)

#: What a step waits for after its last change before it is told: one that ends meanwhile is told once.
_TELL_PAUSE_S = 0.1
_ELSEWHERE = "steps_elsewhere"

#: Asks the controller: name, request, and what is called with the reply's body or the error.
Ask = Callable[[str, object, Callable[[msgspec.Raw | SluiceError], None]], None]


class _Managed:
    """One job: its book, the book on disk, and who waits."""

    def __init__(self, book: StepBook, journal: Journal) -> None:
        self.book = book
        self.journal = journal
        self.waiting = Waiting()
        #: What is on its way to the controller.
        self.reported: dict[int, Step] = {}


class StepManager:
    """ask, report: to the controller.  Steps that are reported come back by on_told()."""

    def __init__(
        self, node: str, key: bytes, spool: Spool, clock: WallClock, ask: Ask, report: Callable[[Step], None]
    ) -> None:
        self._node = node
        self._key = key
        self._spool = spool
        self._clock = clock
        self._ask = ask
        self._report = report
        self._jobs: dict[JobKey, _Managed] = {}
        #: The attempt of a job whose steps are managed now.
        self._keys: dict[int, JobKey] = {}
        #: Requests for jobs whose steps are being handed over.
        self._asking: dict[int, list[tuple[Responder, Callable[[_Managed], None]]]] = {}
        self._telling: dict[JobKey, asyncio.TimerHandle] = {}

    # What srun asks.

    def on_create(self, connection: Connection, request: CreateStep, responder: Responder) -> None:
        """Answer with the step, once there is room for it."""
        uid = _uid_of(connection)
        self._with_job(request.job_id, responder, lambda managed: self._create(managed, request, uid, responder))

    def on_locate(self, connection: Connection, request: LocateJob, responder: Responder) -> None:
        """Answer with the job's allocation."""
        uid = _uid_of(connection)

        def answer(managed: _Managed) -> None:
            _check_owner(uid, managed.book.job)
            addresses = tuple((each.node, each.address, each.port) for each in managed.book.managed.addresses)
            responder.reply(StartedJob(job=managed.book.job, addresses=addresses, is_ended=managed.book.is_closed))

        self._with_job(request.job_id, responder, answer)

    def on_finish(self, connection: Connection, request: FinishStep, responder: Responder) -> None:
        """Release a step that its srun could not launch."""
        uid = _uid_of(connection)

        def answer(managed: _Managed) -> None:
            _check_owner(uid, managed.book.job)
            step = managed.book.finish(request.step_id, request.exit_code, self._clock.now())
            if step is not None:
                self._on_changed(managed, step)
            responder.reply(Done())

        self._with_job(request.job_id, responder, answer)

    def on_wait_end(self, connection: Connection, request: WaitStepEnd, responder: Responder) -> None:
        """Answer when the step has ended."""
        uid = _uid_of(connection)

        def answer(managed: _Managed) -> None:
            _check_owner(uid, managed.book.job)
            managed.waiting.add(responder, lambda: self._is_over(managed, request.step_id, responder))

        self._with_job(request.job_id, responder, answer)

    def _is_over(self, managed: _Managed, step_id: int, responder: Responder) -> bool:
        is_over = step_id not in managed.book.running
        if is_over:
            responder.reply(Done())
        return is_over

    def _with_job(self, job_id: int, responder: Responder, then: Callable[[_Managed], None]) -> None:
        """Call *then* with the job, whose steps are taken over first; refuse where that is not to be had."""
        key = self._keys.get(job_id)
        if key is not None:
            _answer(responder, then, self._jobs[key])
            return
        asking = self._asking.setdefault(job_id, [])
        asking.append((responder, then))
        if len(asking) == 1:
            self._ask(
                "ManageSteps",
                ManageSteps(node=self._node, job_id=job_id),
                lambda reply: self._on_handed_over(job_id, reply),
            )

    def _on_handed_over(self, job_id: int, reply: msgspec.Raw | SluiceError) -> None:
        asking = self._asking.pop(job_id, [])
        try:
            if isinstance(reply, SluiceError):
                raise reply
            managed = self._begin(decode_body(reply, ManagedJob))
        except (SluiceError, OSError) as error:
            logger.info("job %s: its steps are not managed here: %s", job_id, error)
            for responder, _ in asking:
                responder.error(_ELSEWHERE, f"the steps of job {job_id} are not managed on node {self._node}: {error}")
            return
        for responder, then in asking:
            _answer(responder, then, managed)

    def _begin(self, handed_over: ManagedJob) -> _Managed:
        """Raises OSError."""
        job = handed_over.job
        key = JobKey(job.id, job.attempt)
        self._spool.make_job(key)
        journal = Journal(self._spool.job_folder(key))
        journal.begin(handed_over)
        logger.info("job %s: its steps are managed here", job.id)
        return self._add(key, StepBook(handed_over), journal)

    def _add(self, key: JobKey, book: StepBook, journal: Journal) -> _Managed:
        managed = self._jobs[key] = _Managed(book, journal)
        self._keys[key.job_id] = key
        return managed

    # Making steps.

    def _create(self, managed: _Managed, request: CreateStep, uid: int, responder: Responder) -> None:
        _check_owner(uid, managed.book.job)
        is_told = False

        def attempt() -> bool:
            nonlocal is_told
            try:
                self._make(managed, request, responder)
            except StepBusy as busy:
                if request.spec.is_immediate:
                    responder.error(busy)
                    return True
                if not is_told:
                    is_told = True
                    waits = StepWaits(request_id=responder.id, reason="Requested nodes are busy", text=busy.message)
                    responder.connection.notify("StepWaits", waits)
                return False
            except RequestError as refusal:
                responder.error(refusal)
            return True

        managed.waiting.add(responder, attempt)

    def _make(self, managed: _Managed, request: CreateStep, responder: Responder) -> None:
        """Raises StepBusy, RequestError."""
        spec = request.spec
        if spec.is_interactive:
            raise RequestError("an interactive step is the controller's to make", _ELSEWHERE)
        step = managed.book.create(spec, request.token, self._clock.now())
        self._on_changed(managed, step)
        if spec.ports and step.ports == NO_PORTS:
            self._ask(
                "LeasePorts",
                LeasePorts(node=self._node, step=step),
                lambda reply: self._on_ports(managed, step, reply, responder),
            )
        else:
            responder.reply(self._created(managed.book, step))

    def _on_ports(self, managed: _Managed, step: Step, reply: msgspec.Raw | SluiceError, responder: Responder) -> None:
        now_at = self._clock.now()
        try:
            if isinstance(reply, SluiceError):
                raise reply
            leased = managed.book.set_ports(step.step_id, decode_body(reply, LeasedPorts).ports)
            if leased is None:
                raise RequestError(f"step {step.job_id}.{step.step_id} has ended", "already_done")
        except SluiceError as error:
            ended = managed.book.finish(step.step_id, 1, now_at)
            if ended is not None:
                self._on_changed(managed, ended)
            responder.error(error)
            return
        self._on_changed(managed, leased)
        responder.reply(self._created(managed.book, leased))

    def _created(self, book: StepBook, step: Step) -> StepCreated:
        managed = book.managed
        job = managed.job
        places = {each.node: each for each in managed.addresses}
        nodes = tuple(node.node for node in step.nodes)
        grant = StepGrant(
            uid=job.spec.uid,
            gid=job.spec.gid,
            user=job.spec.user,
            job_id=job.id,
            attempt=job.attempt,
            step_id=step.step_id,
            nodes=nodes,
            manager=places[self._node],
        )
        return StepCreated(
            step=step,
            addresses=tuple(
                StepAddress(node=node, address=places[node.node].address, port=places[node.node].port)
                for node in step.nodes
            ),
            credential=mint_step_credential(self._key, grant, socket.gethostname(), self._clock.now()),
            job=job,
            cluster=managed.cluster,
            mpi_default=managed.mpi_default,
            kill_wait_s=managed.kill_wait_s,
            srun_prolog=managed.srun_prolog,
            srun_epilog=managed.srun_epilog,
        )

    # What becomes of them.

    def take(self, result: StepResult) -> bool:
        """Take a node's result of a step; False: the steps of that job are not managed here."""
        managed = self._jobs.get(JobKey(result.job_id, result.attempt))
        if managed is None:
            return False
        step = managed.book.take(result, self._clock.now())
        if step is not None:
            self._on_changed(managed, step)
        return True

    def on_report(self, connection: Connection, report: Report, responder: Responder) -> None:
        """Another agent's results of steps here.  Raises NotPermitted, RequestError."""
        node = connection.identity.is_agent_of if connection.identity is not None else None
        if node is None or any(result.node != node for result in report.results):
            raise NotPermitted("results come from the agent of the node that they are about")
        unknown = [result for result in report.results if not self.take(result)]
        if unknown:
            raise RequestError(f"the steps of job {unknown[0].job_id} are not managed here", _ELSEWHERE)
        responder.reply(Done())

    def on_orders(self, orders: Iterable[TellManager]) -> None:
        """Take what the controller knows of parts that nobody reports here."""
        for order in orders:
            for result in order.results:
                self.take(result)

    def suspend(self, key: JobKey, is_suspended: bool) -> None:
        managed = self._jobs.get(key)
        if managed is not None:
            managed.book.suspend(is_suspended)
            managed.waiting.try_all()

    def close(self, key: JobKey) -> None:
        """The job is being ended: no new steps; what is known of the others is told now."""
        managed = self._jobs.get(key)
        if managed is not None and not managed.book.is_closed:
            managed.book.is_closed = True
            managed.waiting.fail_all(RequestError(f"job {key.job_id} is being ended", "already_done"))
        self.tell(key)

    def forget(self, key: JobKey) -> None:
        """Nothing of the job is left here."""
        self._jobs.pop(key, None)
        if self._keys.get(key.job_id) == key:
            del self._keys[key.job_id]
        if key in self._telling:
            self._telling.pop(key).cancel()

    def clear(self) -> None:
        """Another cluster's controller answers."""
        for key in list(self._jobs):
            self.close(key)
            self.forget(key)

    # Telling the controller.

    def tell(self, key: JobKey) -> None:
        """Report now what has changed since it was last reported."""
        if key in self._telling:
            self._telling.pop(key).cancel()
        managed = self._jobs.get(key)
        if managed is None:
            return
        for number, step in managed.book.untold.items():
            if managed.reported.get(number) is not step:
                managed.reported[number] = step
                self._report(step)

    def on_told(self, step: Step) -> None:
        """The controller has committed a report of *step*."""
        managed = self._jobs.get(JobKey(step.job_id, step.attempt))
        if managed is None:
            return
        if managed.reported.get(step.step_id) is step:
            del managed.reported[step.step_id]
        if managed.book.on_told(step):
            self._write(step, lambda: managed.journal.tidy_up(managed.book))

    def retell(self) -> None:
        """Registered anew: report again what runs."""
        for key, managed in self._jobs.items():
            managed.book.retell()
            self.tell(key)

    def _on_changed(self, managed: _Managed, step: Step) -> None:
        self._write(step, lambda: managed.journal.append(step))
        key = JobKey(step.job_id, step.attempt)
        if key not in self._telling:
            self._telling[key] = asyncio.get_running_loop().call_later(_TELL_PAUSE_S, self.tell, key)
        if step.ended_at is not None:
            managed.waiting.try_all()

    def _write(self, step: Step, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            # The step goes on; only an agent that is started anew now would not know of it.
            logger.error("job %s: spool %r: %s", step.job_id, self._spool.path, error.strerror)

    # Starting again.

    def recover(self) -> None:
        """Go on with the books of the agent before this one."""
        for key in self._spool.jobs():
            journal = Journal(self._spool.job_folder(key))
            book = journal.read()
            if book is not None:
                book.is_closed = self._spool.is_ended(key)
                self._add(key, book, journal)

    def is_managing(self, key: JobKey) -> bool:
        return key in self._jobs

    def jobs(self) -> tuple[RunningStep, ...]:
        """Return what a registration tells of jobs of which nothing but the book may be here."""
        return tuple(RunningStep(**key._asdict(), step_id=EXTERN_STEP, is_ended=True) for key in self._jobs)


def _answer(responder: Responder, then: Callable[[_Managed], None], managed: _Managed) -> None:
    try:
        then(managed)
    except RequestError as refusal:
        responder.error(refusal)


def _uid_of(connection: Connection) -> int:
    assert connection.identity is not None, "admitted without an identity"
    return connection.identity.uid


def _check_owner(uid: int, job: Job) -> None:
    if uid != job.spec.uid:
        raise NotPermitted(f"job {job.id} belongs to uid {job.spec.uid}")
