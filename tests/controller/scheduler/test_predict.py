"""Predicted run times: whose runs count, how many are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.states import JobState
from sluicectld.scheduler.predict import RUNS_MAX, RUNS_PER_LIMIT, FinishedRun, Runs, add_run, find_run, predict_run_s
from tests.builders import Cluster

limits = st.one_of(st.none(), st.integers(1, 50))
finished = st.builds(FinishedRun, limit_s=limits, run_s=st.floats(0, 100))
many_runs = st.lists(finished, max_size=80)


def remember(*runs: tuple[int | None, float]) -> Runs:
    """Return the runs of a user whose jobs with these limits ran so long, oldest first."""
    known: Runs = ()
    for limit_s, run_s in runs:
        known = add_run(known, FinishedRun(limit_s, run_s))
    return known


def test_a_user_without_runs_has_no_prediction():
    assert predict_run_s((), 3600) is None


def test_the_last_two_runs_with_the_same_limit_count():
    runs = remember((3600, 2000), (3600, 100), (60, 50), (3600, 300))

    assert predict_run_s(runs, 3600) == 200


def test_one_run_with_the_same_limit_is_enough():
    assert predict_run_s(remember((60, 60), (3600, 100)), 60) == 60


def test_with_a_new_limit_the_same_part_of_it_is_expected():
    """The last two jobs took a half and a quarter of their limits."""
    assert predict_run_s(remember((3600, 3600), (100, 50), (200, 50)), 1000) == 375


def test_an_unlimited_job_is_predicted_from_unlimited_runs_only():
    assert predict_run_s(remember((3600, 100)), None) is None
    assert predict_run_s(remember((3600, 100), (None, 70)), None) == 70


def test_a_job_with_a_limit_learns_nothing_from_unlimited_runs():
    assert predict_run_s(remember((None, 70)), 100) is None


@given(many_runs, limits)
def test_no_prediction_passes_the_limit(runs: list[FinishedRun], limit_s: int | None):
    predicted = predict_run_s(remember(*[(run.limit_s, run.run_s) for run in runs]), limit_s)

    assert predicted is None or 0 <= predicted <= (predicted if limit_s is None else limit_s)


@given(many_runs)
def test_what_is_kept_of_a_user_is_bounded_and_newest_first(runs: list[FinishedRun]):
    known: Runs = ()
    for run in runs:
        known = add_run(known, run)
        assert known[0] is run
    assert len(known) <= RUNS_MAX
    for limit_s in {run.limit_s for run in known}:
        alike = [run for run in known if run.limit_s == limit_s]
        newest = [run for run in reversed(runs) if run.limit_s == limit_s][: len(alike)]
        assert len(alike) <= RUNS_PER_LIMIT
        assert all(one is other for one, other in zip(alike, newest, strict=True))


def test_the_time_that_a_job_was_suspended_is_no_run_time():
    job = replace(Cluster().pending(limit_s=600), state=JobState.COMPLETED)
    job = replace(job, started_at=1000.0, ended_at=1500.0, suspended_s=200.0)

    assert find_run(job) == FinishedRun(600, 300.0)


@pytest.mark.parametrize("state", [JobState.NODE_FAIL, JobState.PREEMPTED, JobState.BOOT_FAIL])
def test_a_job_that_something_else_cut_short_tells_nothing(state: JobState):
    job = replace(Cluster().pending(), state=state, started_at=1000.0, ended_at=1001.0)

    assert find_run(job) is None


def test_a_job_that_was_cancelled_while_it_waited_tells_nothing():
    assert find_run(replace(Cluster().pending(), state=JobState.CANCELLED, ended_at=1001.0)) is None
