"""How good planned starts have been."""

import pytest

from sluice.model.allocation import Allocation
from sluice.model.reason import Blocker, Reason
from sluicectld.scheduler.forecast import SCORED_MAX, Forecasts, Score
from sluicectld.scheduler.plan import Plan, PlannedStart, StartJob

WAITS = (Blocker(reason=Reason.RESOURCES, text="x"),)


def plan_of(planned: dict[int, float], starts: tuple[int, ...] = ()) -> Plan:
    return Plan(
        version=1,
        starts=tuple(StartJob(each, Allocation(grants=()), "batch", 60) for each in starts),
        planned={job_id: PlannedStart(at) for job_id, at in planned.items()},
        blockers=dict.fromkeys(planned, WAITS),
    )


def score_of(*waits_s: float, planned_s: float = 100.0) -> Score | None:
    """Jobs that were all told a start in planned_s, and waited so long."""
    forecasts = Forecasts()
    for job_id, wait_s in enumerate(waits_s, 1):
        forecasts.note(plan_of({job_id: planned_s}), 0.0)
        forecasts.note(plan_of({}, (job_id,)), wait_s)
    return forecasts.score()


def test_a_few_starts_say_nothing():
    assert score_of(*[50.0] * 19) is None


def test_half_and_nine_in_ten_are_told():
    score = score_of(*range(1, 101))

    assert score == Score(100, 0.5, 0.9, 0.0)
    assert score.likely_at(1000.0, 1200.0) == (1100.0, 1180.0)


def test_late_starts_are_counted():
    score = score_of(*[50.0] * 15, *[161.0] * 5)

    assert score is not None
    assert score.late_share == pytest.approx(0.25)


def test_the_first_plan_counts_however_often_it_moves():
    forecasts = Forecasts()
    for job_id in range(20):
        forecasts.note(plan_of({job_id: 100.0}), 0.0)
        forecasts.note(plan_of({job_id: 400.0}), 50.0)
        forecasts.note(plan_of({}, (job_id,)), 200.0)

    score = forecasts.score()

    assert score is not None
    assert (score.median, score.late_share) == (2.0, 1.0)


def test_a_job_that_left_the_queue_is_forgotten():
    forecasts = Forecasts()
    for job_id in range(20):
        forecasts.note(plan_of({job_id: 100.0}), 0.0)
        forecasts.note(plan_of({}), 10.0)
        forecasts.note(plan_of({}, (job_id,)), 20.0)

    assert forecasts.score() is None


def test_only_the_last_starts_count():
    score = score_of(*[10.0] * 100, *[90.0] * SCORED_MAX)

    assert score == Score(SCORED_MAX, 0.9, 0.9, 0.0)
