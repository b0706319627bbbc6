"""The last runs of each user, from the stored jobs: what a controller that starts predicts from.

Users are found by the index on their name and their end times, one after the other, so that the cost goes with users
and not with jobs.  Of a requeued job its last run counts.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, bindparam, func, select

from sluice.model.states import JobState

from . import tables
from .read import reading


class StoredRun(NamedTuple):
    """A job that ran and has ended."""

    ended_at: float
    job_id: int
    uid: int
    state: JobState
    started_at: float
    suspended_s: float
    limit_s: int | None

    @property
    def run_s(self) -> float:
        return self.ended_at - self.started_at - self.suspended_s


class _Suspension(msgspec.Struct):
    """The one field of a job's record that is no column."""

    suspended_s: float = 0.0


_decoder = msgspec.json.Decoder(_Suspension)
_job = tables.job.c
_first_user = select(func.min(_job.user_name))
_next_user = _first_user.where(_job.user_name > bindparam("user"))
_last_runs = (
    select(_job.ended_at, _job.job_id, _job.uid, _job.state, _job.started_at, _job.record, _job.limit_s)
    .where(_job.user_name == bindparam("user"), _job.ended_at.is_not(None), _job.started_at.is_not(None))
    .order_by(_job.ended_at.desc())
    .limit(bindparam("count_max"))
)


def read_last_runs(engine: Engine, user_runs_max: int) -> list[StoredRun]:
    """Return the last runs of every user, at most so many each, in the order in which they ended."""
    with reading(engine) as connection:
        runs = [run for user in _users(connection) for run in _runs_of(connection, user, user_runs_max)]
    return sorted(runs)


def _users(connection: Connection) -> Iterator[str]:
    user = connection.scalar(_first_user)
    while user is not None:
        yield user
        user = connection.scalar(_next_user, {"user": user})


def _runs_of(connection: Connection, user: str, count_max: int) -> Iterator[StoredRun]:
    rows = connection.execute(_last_runs, {"user": user, "count_max": count_max})
    for ended_at, job_id, uid, state, started_at, record, limit_s in rows:
        suspended_s = _decoder.decode(record).suspended_s
        yield StoredRun(ended_at, job_id, uid, JobState(state), started_at, suspended_s, limit_s)
