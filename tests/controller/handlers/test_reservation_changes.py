"""Reservations that are changed or deleted, and what becomes of jobs; journal and restart."""

import pytest

from sluice.errors import RequestError
from sluice.model.reason import Reason
from sluice.model.request import JobSpec
from sluice.model.states import Hold, JobState
from sluicectld.state import commands
from sluicectld.state.events import ReservationChanged, ReservationDeleted
from tests.engine_builder import ANN, BOB
from tests.reservation_builder import HOUR_S, Site


def test_users_come_and_go() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")

    assert site.update(users_plus="bob").users == ("ann", "bob")
    assert site.update(users_minus="ann").users == ("bob",)
    assert site.refused("update", users_minus="bob").code == "reservation_nobody"
    denied = site.update(users="-carl")
    assert (denied.users, denied.is_users_denied) == (("carl",), True)


def test_nodes_come_and_go() -> None:
    site = Site(nodes=4)
    site.keep(nodes="n1")

    assert site.update(nodes_plus="n3").nodes == ("n1", "n3")
    assert site.update(nodes_minus="n1").nodes == ("n3",)
    assert site.update(nodecnt="2").nodes == ("n1", "n3")
    assert site.update(nodecnt="1").nodes == ("n1",)
    assert site.update(nodes="").node_count_asked == 1


def test_flags_come_and_some_stay() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")

    assert site.update(flags_plus="maint,magnetic").flags == ("MAINT", "SPEC_NODES", "MAGNETIC")
    assert site.update(flags_minus="maint").flags == ("SPEC_NODES", "MAGNETIC")
    site.update(flags_plus="overlap")
    assert site.refused("update", flags_minus="overlap").code == "not_supported"


def test_times_change_unless_it_has_begun() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1", starttime="now+1hour")

    assert site.update(starttime="now+2hours").duration_s == HOUR_S
    assert site.update(duration="30").duration_s == 1800
    assert site.update(duration_plus="10").duration_s == 2400
    site.keep("now", nodes="n2")
    assert site.refused("update", "now", starttime="now+5").code == "reservation_begun"
    assert site.refused("update", "nosuch", duration="5").code == "reservation"


def test_a_change_that_would_overlap_is_refused() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    site.keep("r2", nodes="n1", starttime="now+1hour")

    assert site.refused("update", "r1", duration="61").code == "reservation_overlap"


# --- its end for jobs


def test_one_that_is_in_use_is_not_deleted() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    job_id = site.start(reservation="r1", limit_s=600)

    refusal = site.refused("delete")

    assert refusal.code == "reservation_in_use"
    assert refusal.message == f"1 jobs run in reservation 'r1' ({job_id}); end them first, or set its EndTime"
    assert site.refused("delete", "nosuch").code == "reservation"


def test_jobs_that_wait_for_a_deleted_one_are_held_until_released() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+1hour")
    job_id = site.submit(reservation="r1", limit_s=600)

    site.revise("delete", "r1")

    held = site.job(job_id)
    assert (held.hold, held.reason, held.spec.reservation) == (Hold.USER, Reason.RESERVATION_DELETED, "")
    assert not site.pass_().starts
    site.change("release", job_id)
    assert site.pass_().starts
    assert site.job(job_id).reason is Reason.NONE
    site.check_replay()


def test_jobs_with_another_choice_wait_on() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1", starttime="now+1hour")
    site.keep("r2", nodes="n2", starttime="now+1hour")
    job_id = site.submit(reservation="r1,r2", limit_s=600)

    site.revise("delete", "r1")

    assert (site.job(job_id).spec.reservation, site.job(job_id).hold) == ("r2", Hold.NONE)


def test_no_hold_jobs_after_lets_them_run_elsewhere() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+1hour", flags="no_hold_jobs_after")
    job_id = site.submit(reservation="r1", limit_s=600)

    site.revise("delete", "r1")
    site.pass_()

    assert site.job(job_id).state is JobState.RUNNING


def test_a_plan_from_before_a_reservation_starts_nothing_on_its_nodes() -> None:
    site = Site(nodes=1)
    job_id = site.submit(BOB, limit_s=600)
    plan = site.plan()

    site.keep(nodes="n1")
    stale = site.do(commands.ApplyPlan(plan))

    assert stale == 1
    assert site.job(job_id).state is JobState.PENDING


def test_a_job_moves_to_another_reservation() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1", starttime="now+1hour")
    site.keep("r2", nodes="n2")
    job_id = site.submit(reservation="r1", limit_s=600)

    site.set_key(job_id, ANN, "ReservationName", "r2")
    site.pass_()

    assert site.job(job_id).reservation == "r2"
    with pytest.raises(RequestError):
        site.set_key(job_id, ANN, "ReservationName", "nosuch")
    site.set_key(job_id, ANN, "ReservationName", "")
    assert site.job(job_id).reservation == ""


def test_what_happened_is_on_the_journal() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", duration="1")
    begun = site.happened()
    site.pass_time(60)

    assert [event.what for event in begun if isinstance(event, ReservationChanged)] == ["begin"]
    assert [event.what for event in site.happened() if isinstance(event, ReservationDeleted)] == ["end"]


def test_a_restart_knows_them() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")
    site.keep("r2", nodes="n2", starttime="now+1hour")

    site.restart()
    site.pass_time(HOUR_S)

    assert list(site.kept) == ["r2"]
    assert site.kept["r2"].has_begun
    assert isinstance(site.job(site.submit()).spec, JobSpec)
