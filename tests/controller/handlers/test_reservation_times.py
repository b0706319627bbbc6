"""The times of reservations: when they begin, end and come again, and what that means to jobs inside."""

from sluice.model.states import JobState
from sluicectld.state import commands
from tests.reservation_builder import HOUR_S, Site


def test_it_begins_and_ends_by_itself() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+10minutes", duration="30")
    job_id = site.submit(reservation="r1", limit_s=600)
    site.pass_()
    assert site.job(job_id).state is JobState.PENDING

    site.pass_time(600)
    site.pass_()

    assert site.job(job_id).state is JobState.RUNNING
    site.end_script(job_id)
    site.pass_time(1800)
    assert not site.kept
    site.check_replay()


def test_jobs_inside_end_with_it() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", duration="30")
    job_id = site.start(reservation="r1", limit_s=7200)
    assert site.job(job_id).limit_s == 1800

    site.pass_time(1801)

    assert site.job(job_id).state is JobState.TIMEOUT


def test_jobs_inside_end_when_it_is_cut_short() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    job_id = site.start(reservation="r1", limit_s=3000)

    site.pass_time(300)
    site.update(endtime="now+5minutes")
    site.pass_time(301)

    assert site.job(job_id).state is JobState.TIMEOUT
    assert not site.kept


def test_one_in_force_is_ended_at_once() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    site.pass_time(300)

    site.update(endtime="now")
    site.pass_time(1)

    assert not site.kept


def test_resv_over_run_lets_them_go_on() -> None:
    site = Site(nodes=1, reservation_overrun_s=None)
    site.keep(nodes="n1", duration="30", flags="flex")
    job_id = site.start(reservation="r1", limit_s=7200)

    site.pass_time(1900)

    assert site.job(job_id).state is JobState.RUNNING


def test_a_daily_one_comes_again() -> None:
    site = Site(nodes=1)
    first = site.keep(nodes="n1", flags="daily")
    running = site.start(reservation="r1", limit_s=7200)
    waiting = site.submit(reservation="r1", limit_s=3000, ntasks=4)

    site.pass_time(HOUR_S + 1)

    again = site.kept["r1"]
    assert (again.start_at, again.has_begun) == (first.start_at + 86400, False)
    assert site.job(running).state is JobState.TIMEOUT
    site.clean(running)
    assert site.pass_().planned[waiting].at == again.start_at
    site.pass_time(86400 - HOUR_S)
    site.pass_()
    assert site.job(waiting).state is JobState.RUNNING


def test_times_that_passed_while_no_controller_ran_are_passed_over() -> None:
    site = Site(nodes=1)
    first = site.keep(nodes="n1", flags="daily")
    site.now += 3 * 86400 + 60

    site.restart()
    site.do(commands.Tick())

    assert site.kept["r1"].start_at == first.start_at + 3 * 86400
    site.do(commands.Tick())
    assert site.kept["r1"].has_begun


def test_skip_goes_on_with_the_next_time() -> None:
    site = Site(nodes=1)
    first = site.keep(nodes="n1", flags="weekly")

    assert site.update(skip="").start_at == first.start_at + 7 * 86400
    site.keep("once", nodes="n1", flags="overlap")
    assert "does not repeat" in site.refused("update", "once", skip="").message


def test_weekdays_begin_on_the_next_one() -> None:
    """The twelfth day of 1970 was a Monday; the next Saturday is the 17th."""
    site = Site(nodes=1)

    kept = site.keep(nodes="n1", flags="weekend")

    assert kept.start_at == site.now + 5 * 86400


def test_time_float_is_always_as_far_ahead() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+10minutes", flags="time_float")
    long, short = site.submit(limit_s=900), site.submit(limit_s=600)

    site.pass_time(6000)
    site.pass_()

    assert site.job(short).state is JobState.RUNNING
    assert site.job(long).state is JobState.PENDING
    assert site.kept["r1"].float_s == 600
