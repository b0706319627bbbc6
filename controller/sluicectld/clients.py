"""Which salloc or srun is here: each holds a connection as long as it uses its allocation.

Nothing of it is stored: after a restart everybody is gone from then on, and whoever lives comes back.  What follows
from it is handlers/abandoned.py's.
"""

from collections.abc import Iterable

from sluice.model.job import Job
from sluice.wire.connection import Connection
from sluicectld.handlers.abandoned import is_held
from sluicectld.state import events


class Clients:
    """job id -> the connections that hold it, or since when there is none.  Belongs to the loop's thread."""

    def __init__(self) -> None:
        self._holders: dict[int, set[Connection]] = {}
        self._held: dict[Connection, int] = {}
        self._gone_at: dict[int, float] = {}

    def restore(self, jobs: Iterable[Job], now_at: float) -> None:
        """The controller has started: nobody is connected yet."""
        self._gone_at = {job.id: now_at for job in jobs if not job.is_ended and is_held(job)}

    def on_events(self, committed: Iterable[events.AnyEvent]) -> None:
        """Expect the commands of new jobs, and those of ended ones no longer."""
        for event in committed:
            if isinstance(event, events.JobSubmitted) and is_held(event.job):
                self._gone_at[event.job.id] = event.at
            elif isinstance(event, events.JobEnded):
                self._gone_at.pop(event.job_id, None)
                for connection in self._holders.pop(event.job_id, ()):
                    del self._held[connection]

    def hold(self, job: Job, connection: Connection) -> None:
        """The job's command is at the other end of *connection*."""
        if job.is_ended or not is_held(job) or not connection.is_open or connection in self._held:
            return
        self._held[connection] = job.id
        self._holders.setdefault(job.id, set()).add(connection)
        self._gone_at.pop(job.id, None)

    def on_closed(self, connection: Connection, now_at: float) -> None:
        """A connection is gone, maybe the last that held a job."""
        job_id = self._held.pop(connection, None)
        if job_id is None:
            return
        self._holders[job_id].discard(connection)
        if not self._holders[job_id]:
            del self._holders[job_id]
            self._gone_at[job_id] = now_at

    def gone(self) -> dict[int, float]:
        """Return the jobs whose command is not here, with since when."""
        return dict(self._gone_at)
