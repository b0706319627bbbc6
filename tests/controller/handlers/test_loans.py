"""--signal=R:: nodes of a reservation are used until somebody who asks for it wants them."""

from typing import Any

import pytest

from sluice.model.request import WarnSignal
from sluice.model.states import JobState
from sluice.wire.messages import SignalJob
from tests.engine_builder import ANN
from tests.reservation_builder import Site

_GIVES_WAY = WarnSignal(number=10, before_s=120, at_reservation=True)


@pytest.fixture
def site() -> Site:
    site = Site(nodes=1)
    site.keep(nodes="n1", duration="600", maxstartdelay="5")
    return site


def borrower(site: Site, warn: WarnSignal | None = _GIVES_WAY, **fields: Any) -> int:
    """Return the id of a job of six hours that does not ask for the reservation."""
    job_id = site.submit(ANN, exclusive="node", limit_s=6 * 3600, warn_signal=warn, **fields)
    site.pass_()
    return job_id


def test_a_long_job_borrows_idle_nodes_if_it_gives_way(site: Site) -> None:
    assert site.job(borrower(site)).state is JobState.RUNNING


@pytest.mark.parametrize(
    "warn",
    [
        pytest.param(None, id="it has no signal"),
        pytest.param(WarnSignal(number=10, before_s=120), id="without R"),
        pytest.param(WarnSignal(number=10, before_s=301, at_reservation=True), id="it wants more than MaxStartDelay"),
    ],
)
def test_without_that_it_waits(site: Site, warn: WarnSignal | None) -> None:
    assert site.job(borrower(site, warn)).state is JobState.PENDING


def test_it_is_warned_and_ends_when_somebody_wants_the_reservation(site: Site) -> None:
    lent = borrower(site)
    site.pass_time(3600)
    site.pass_()
    assert site.job(lent).limit_s == 6 * 3600, "nobody wants it so far"
    site.effects.clear()

    wanted = site.submit(ANN, reservation="r1", exclusive="node", limit_s=600)
    site.pass_()
    site.pass_time(1)

    told = [(order.signal, order.reason, order.text) for order in site.took(SignalJob)]
    assert told == [
        (0, "new limit", f"job {wanted} wants the nodes of reservation r1"),
        (10, "time limit", ""),
    ]
    site.pass_time(119)
    assert site.job(lent).state is JobState.TIMEOUT
    site.clean(lent)
    site.pass_()
    assert site.job(wanted).state is JobState.RUNNING
    site.check_replay()


def test_a_job_that_waits_for_something_else_calls_nothing_back(site: Site) -> None:
    lent = borrower(site)
    site.submit(ANN, reservation="r1", exclusive="node", limit_s=600, is_held=True)
    site.pass_()

    assert site.job(lent).limit_s == 6 * 3600


def test_jobs_that_end_with_a_reservation_are_told(site: Site) -> None:
    inside = site.submit(ANN, reservation="r1", limit_s=600 * 60)
    site.pass_()
    site.effects.clear()
    site.pass_time(100)

    site.update(endtime="now")
    site.pass_time(0)

    assert [(order.reason, order.text) for order in site.took(SignalJob)] == [("new limit", "reservation r1 is over")]
    site.pass_time(1)
    assert site.job(inside).state is JobState.TIMEOUT
