"""One job whose steps this agent manages: its book, the book on disk, who waits, and what the controller is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sluice.errors import NotPermitted, RequestError
from sluice.model.job import Job
from sluice.model.step import Step
from sluice.wire.messages import StepResult
from sluiced.manager.book import StepBook
from sluiced.manager.journal import Journal
from sluiced.manager.waiting import Waiting

logger = logging.getLogger(__name__)

#: Between two reports of a job's steps: of many short ones, each is told once, as one that has ended.
_TELL_PAUSE_S = 0.1


class Managed:
    """report: to the controller; a step that is reported comes back by on_told()."""

    def __init__(self, book: StepBook, journal: Journal, report: Callable[[Step], None]) -> None:
        self.book = book
        self.waiting = Waiting()
        self._journal = journal
        self._report = report
        #: What is on its way to the controller.
        self._reported: dict[int, Step] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._told_at = 0.0

    def check_owner(self, uid: int) -> None:
        """Raise NotPermitted for anybody else."""
        spec = self.book.managed.job.spec
        if uid != spec.uid:
            raise NotPermitted(f"job {self.book.managed.job.id} belongs to uid {spec.uid}")

    def change(self, step: Step | None) -> None:
        """Note what the book has made of a step; None: nothing."""
        if step is None:
            return
        self._write(step.job_id, lambda: self._journal.append(step))
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_at(max(loop.time(), self._told_at + _TELL_PAUSE_S), self.tell)
        if step.ended_at is not None:
            self.waiting.try_all()

    def take(self, result: StepResult, now_at: float) -> None:
        self.change(self.book.take(result, now_at))

    def revise(self, job: Job) -> None:
        """The job has another record now, which its next steps see."""
        self.book.revise(job)
        self._write(job.id, lambda: self._journal.begin(self.book.managed))

    def suspend(self, is_suspended: bool) -> None:
        self.book.suspend(is_suspended)
        self.waiting.try_all()

    def close(self) -> None:
        """The job is being ended: no new steps; what is known of the others is told now."""
        if not self.book.is_closed:
            self.book.is_closed = True
            self.waiting.fail_all(RequestError(f"job {self.book.managed.job.id} is being ended", "already_done"))
        self.tell()

    def tell(self) -> None:
        """Report now what has changed since it was last reported."""
        self.stop()
        self._told_at = asyncio.get_running_loop().time()
        for number, step in self.book.untold.items():
            if self._reported.get(number) is not step:
                self._reported[number] = step
                self._report(step)

    def on_told(self, step: Step) -> None:
        """The controller has committed a report of *step*."""
        if self._reported.get(step.step_id) is step:
            del self._reported[step.step_id]
        if self.book.on_told(step):
            self._write(step.job_id, lambda: self._journal.tidy_up(self.book))

    def retell(self) -> None:
        """Report again what runs."""
        self.book.retell()
        self.tell()

    def stop(self) -> None:
        """Tell nothing later by itself."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def _write(self, job_id: int, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            # The steps go on; only an agent that is started anew now would not know of it.
            logger.error("job %s: spool: %s", job_id, error)
