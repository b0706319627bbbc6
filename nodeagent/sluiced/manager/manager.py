"""The jobs whose steps this agent manages: handed over by the controller, found again in the spool, let go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

from sluice.clock import WallClock
from sluice.errors import NotPermitted, RequestError, SluiceError
from sluice.model.base import EXTERN_STEP
from sluice.model.step import Step
from sluice.wire.connection import Connection
from sluice.wire.envelope import decode_body
from sluice.wire.messages import Done, ManagedJob, ManageSteps, Report, RunningStep, StepResult, TellManager
from sluice.wire.responder import Responder
from sluiced.manager.book import StepBook
from sluiced.manager.journal import Journal
from sluiced.manager.managed import Managed
from sluiced.spool import JobKey, Spool, StepKey

logger = logging.getLogger(__name__)

ELSEWHERE = "steps_elsewhere"

#: Asks the controller: name, request, and what is called with the reply's body or the error.
Ask = Callable[[str, object, Callable[[msgspec.Raw | SluiceError], None]], None]


class StepManager:
    """ask, report: to the controller."""

    def __init__(self, node: str, spool: Spool, clock: WallClock, ask: Ask, report: Callable[[Step], None]) -> None:
        self.node = node
        self.ask = ask
        self._spool = spool
        self._clock = clock
        self._report = report
        self._jobs: dict[JobKey, Managed] = {}
        #: The attempt of a job whose steps are managed now.
        self._keys: dict[int, JobKey] = {}
        #: Requests for jobs whose steps are being handed over.
        self._asking: dict[int, list[tuple[Responder, Callable[[Managed], None]]]] = {}

    # Taking over.

    def with_job(self, job_id: int, responder: Responder, then: Callable[[Managed], None]) -> None:
        """Call *then* with the job, whose steps are taken over first; refuse where that is not to be had."""
        key = self._keys.get(job_id)
        if key is not None:
            _answer(responder, then, self._jobs[key])
            return
        asking = self._asking.setdefault(job_id, [])
        asking.append((responder, then))
        if len(asking) == 1:
            request = ManageSteps(node=self.node, job_id=job_id)
            self.ask("ManageSteps", request, lambda reply: self._on_handed_over(job_id, reply))

    def _on_handed_over(self, job_id: int, reply: msgspec.Raw | SluiceError) -> None:
        asking = self._asking.pop(job_id, [])
        try:
            if isinstance(reply, SluiceError):
                raise reply
            managed = self._begin(decode_body(reply, ManagedJob))
        except (SluiceError, OSError) as error:
            logger.info("job %s: its steps are not managed here: %s", job_id, error)
            for responder, _ in asking:
                responder.error(ELSEWHERE, f"the steps of job {job_id} are not managed on node {self.node}: {error}")
            return
        for responder, then in asking:
            _answer(responder, then, managed)

    def _begin(self, handed_over: ManagedJob) -> Managed:
        """Raises OSError."""
        job = handed_over.job
        key = JobKey(job.id, job.attempt)
        self._spool.make_job(key)
        journal = Journal(self._spool.job_folder(key))
        journal.begin(handed_over)
        logger.info("job %s: its steps are managed here", job.id)
        return self._add(key, StepBook(handed_over), journal)

    def recover(self) -> None:
        """Go on with the books of the agent before this one."""
        for key in self._spool.jobs():
            journal = Journal(self._spool.job_folder(key))
            book = journal.read()
            if book is not None:
                book.is_closed = self._spool.is_ended(key)
                self._add(key, book, journal)

    def _add(self, key: JobKey, book: StepBook, journal: Journal) -> Managed:
        managed = self._jobs[key] = Managed(book, journal, self._report)
        self._keys[key.job_id] = key
        return managed

    # What becomes of the steps.

    def take(self, result: StepResult) -> bool:
        """Take a node's result of a step; False: the steps of that job are not managed here."""
        managed = self._jobs.get(JobKey(result.job_id, result.attempt))
        if managed is not None:
            managed.take(result, self._clock.now())
        return managed is not None

    def on_report(self, connection: Connection, report: Report, responder: Responder) -> None:
        """Another agent's results of steps here.  Raises NotPermitted, RequestError."""
        node = connection.identity.is_agent_of if connection.identity is not None else None
        if node is None or any(result.node != node for result in report.results):
            raise NotPermitted("results come from the agent of the node that they are about")
        unknown = [result for result in report.results if not self.take(result)]
        if unknown:
            raise RequestError(f"the steps of job {unknown[0].job_id} are not managed here", ELSEWHERE)
        responder.reply(Done())

    def on_orders(self, orders: Iterable[TellManager]) -> None:
        """Take what the controller knows better."""
        for order in orders:
            key = JobKey(order.job_id, order.attempt)
            if order.job is not None and key in self._jobs:
                self._jobs[key].revise(order.job)
            for result in order.results:
                self.take(result)

    def suspend(self, key: JobKey, is_suspended: bool) -> None:
        if key in self._jobs:
            self._jobs[key].suspend(is_suspended)

    def tell(self, key: JobKey) -> None:
        """Report now what has changed since it was last reported."""
        if key in self._jobs:
            self._jobs[key].tell()

    def on_told(self, step: Step) -> None:
        """The controller has committed a report of *step*."""
        key = JobKey(step.job_id, step.attempt)
        if key in self._jobs:
            self._jobs[key].on_told(step)

    def retell(self) -> None:
        """Registered anew: the controller may know more of what runs than has come here."""
        for managed in self._jobs.values():
            managed.retell()

    # Letting go.

    def close(self, key: JobKey) -> None:
        """The job is being ended: no new steps; what is known of the others is told now."""
        if key in self._jobs:
            self._jobs[key].close()

    def forget(self, key: JobKey) -> None:
        """Nothing of the job is left here."""
        managed = self._jobs.pop(key, None)
        if managed is not None:
            managed.stop()
        if self._keys.get(key.job_id) == key:
            del self._keys[key.job_id]

    def clear(self) -> None:
        """Another cluster's controller answers."""
        for key in list(self._jobs):
            self.close(key)
            self.forget(key)

    # What there is.

    def is_managing(self, key: JobKey) -> bool:
        return key in self._jobs

    def running_here(self) -> list[StepKey]:
        """Return the steps that were granted a part of this node and have not been told ended."""
        return [
            StepKey(*key, number)
            for key, managed in self._jobs.items()
            for number, step in managed.book.running.items()
            if self.node in step.running_nodes
        ]

    def jobs(self) -> tuple[RunningStep, ...]:
        """Return what a registration tells of jobs of which nothing but the book may be here."""
        return tuple(RunningStep(**key._asdict(), step_id=EXTERN_STEP, is_ended=True) for key in self._jobs)


def _answer(responder: Responder, then: Callable[[Managed], None], managed: Managed) -> None:
    try:
        then(managed)
    except RequestError as refusal:
        responder.error(refusal)
