"""Which allocations are held by a connection, and since when the others are not."""

from typing import Any, cast

from sluice.model.job import Job
from sluice.model.request import JobSpec
from sluice.model.states import JobState
from sluice.wire.connection import Connection
from sluicectld.clients import Clients
from sluicectld.state.events import JobEnded, JobSubmitted


class _Connection:
    is_open = True


def connection() -> Connection:
    return cast(Connection, _Connection())


def job(job_id: int = 1, **fields: Any) -> Job:
    spec = JobSpec(name="x", uid=1, gid=1, user="u", is_batch=False, origin="salloc")
    return Job(id=job_id, spec=spec, **fields)


def test_a_job_is_without_its_command_until_that_holds_it() -> None:
    clients = Clients()
    clients.on_events([JobSubmitted(at=10.0, job=job())])
    assert clients.gone() == {1: 10.0}

    clients.hold(job(), connection())

    assert clients.gone() == {}


def test_the_last_connection_counts() -> None:
    """A salloc has two, one after the other; a restarted one comes back before the old one is found dead."""
    clients, one, other = Clients(), connection(), connection()
    clients.hold(job(), one)
    clients.hold(job(), other)

    clients.on_closed(one, 20.0)
    assert clients.gone() == {}
    clients.on_closed(other, 30.0)
    assert clients.gone() == {1: 30.0}


def test_connections_that_hold_nothing_change_nothing() -> None:
    clients = Clients()

    clients.on_closed(connection(), 20.0)

    assert clients.gone() == {}


def test_a_job_that_has_ended_is_not_missed() -> None:
    clients, held = Clients(), connection()
    clients.hold(job(), held)
    clients.on_events([JobEnded(at=20.0, job_id=1, state=JobState.COMPLETED)])

    clients.on_closed(held, 30.0)

    assert clients.gone() == {}


def test_after_a_restart_time_counts_from_then() -> None:
    clients = Clients()

    clients.restore([job(1), job(2, state=JobState.COMPLETED), job(3, state=JobState.RUNNING)], 50.0)

    assert clients.gone() == {1: 50.0, 3: 50.0}
