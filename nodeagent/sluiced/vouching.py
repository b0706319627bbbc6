"""Whether a job still runs that this agent knows nothing of.

A credential is good for an hour, also after its job has ended.  What has ended is remembered by the agent, but not by
the one that is started after it, and not for ever: then the controller is asked before anything is begun for the job.
Launches of jobs that are here, and those whose credentials are younger than the agent, go on at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from sluice.errors import RequestError, SluiceError
from sluice.model.job import Job
from sluice.wire.connection import Connection
from sluice.wire.envelope import decode_body
from sluice.wire.messages import LocateJob, StartedJob
from sluice.wire.responder import Responder
from sluiced.jobs.engine import StepEngine
from sluiced.manager.manager import Ask, StepManager
from sluiced.spool import JobKey

#: An agent that has just started is not registered yet.
_PAUSE_S = 0.2
_TRIES_MAX = 50
_UNKNOWN = "invalid_job"


class Vouching:
    """engine: the one of now.  ask: the controller."""

    def __init__(self, node: str, engine: Callable[[], StepEngine], manager: StepManager, ask: Ask) -> None:
        self._node = node
        self._engine = engine
        self._manager = manager
        self._ask = ask

    def when_running(
        self, key: JobKey, since_at: float, connection: Connection, responder: Responder, then: Callable[[], None]
    ) -> None:
        """Call *then* unless the job has ended and that may be forgotten here; the held connection is refused then.

        since_at: the job ran at some time after it, for its credential was made.
        """
        if self._engine().table.can_tell(key, since_at) or self._manager.is_managing(key):
            then()
            return
        self._try(key, connection, responder, then, _TRIES_MAX)

    def _try(
        self, key: JobKey, connection: Connection, responder: Responder, then: Callable[[], None], tries: int
    ) -> None:
        def on_answer(reply: msgspec.Raw | SluiceError) -> None:
            if _is_passing(reply) and tries > 1 and connection.is_open:
                loop = asyncio.get_running_loop()
                loop.call_later(_PAUSE_S, self._try, key, connection, responder, then, tries - 1)
            elif (refusal := self._refusal(key, reply)) is None:
                then()
            else:
                connection.resume()
                responder.error(refusal)

        self._ask("LocateJob", LocateJob(job_id=key.job_id), on_answer)

    def _refusal(self, key: JobKey, reply: msgspec.Raw | SluiceError) -> RequestError | None:
        """Return why nothing of the job may begin here; None: it runs."""
        try:
            if isinstance(reply, SluiceError):
                raise reply
            job = decode_body(reply, StartedJob).job
        except SluiceError as error:
            if not _is_passing(error):
                return RequestError(f"job {key.job_id} does not run, the controller says: {error}", "ended")
            text = (
                f"job {key.job_id} is new on node {self._node}, whose agent was started after the step was made: the"
                f" controller has to say whether the job still runs, and does not answer ({error}); run it again, for a"
                " new step nobody has to be asked"
            )
            return RequestError(text, "unavailable")
        if _runs_on(self._node, job, key.attempt):
            return None
        return RequestError(f"job {key.job_id} has ended on node {self._node}, the controller says", "ended")


def _runs_on(node: str, job: Job, attempt: int) -> bool:
    return not job.is_ended and job.ending is None and job.attempt == attempt and node in job.nodes


def _is_passing(reply: msgspec.Raw | SluiceError) -> bool:
    """May there be another answer later?  Only that it does not know the job is for good."""
    return isinstance(reply, SluiceError) and not (isinstance(reply, RequestError) and reply.code == _UNKNOWN)
