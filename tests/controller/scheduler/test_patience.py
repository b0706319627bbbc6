"""Patience: when a job is due, who is tried first, and what a pass makes of it."""

from msgspec.structs import replace

from sluice.model.job import Job
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.patience import Patience, compute_due_at, rank_candidates
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster

DAY_S = 86400.0
POLICY = Policy(planned_max=1, is_predicting=True)


def in_order(cluster: Cluster, predicted_s: dict[int, float] | None = None) -> list[int]:
    partition = cluster.partitions["batch"]
    entries = [(job, partition) for job in cluster.pending_jobs]
    return [job.id for job, _ in rank_candidates(entries, cluster.now_at, predicted_s or {}, Patience())]


def wait(cluster: Cluster, job: Job, wait_s: float) -> Job:
    """Return the job, which has waited so long."""
    longer = replace(job, eligible_at=cluster.now_at - wait_s)
    cluster.pending_jobs[cluster.pending_jobs.index(job)] = longer
    return longer


def test_a_job_is_due_after_six_times_its_limit():
    cluster = Cluster()

    assert compute_due_at(cluster.pending(limit_s=600), Patience()) == cluster.now_at + 3600


def test_a_long_job_is_due_after_three_days():
    cluster = Cluster()

    assert compute_due_at(cluster.pending(limit_s=7 * 86400), Patience()) == cluster.now_at + 3 * DAY_S
    assert compute_due_at(cluster.pending(limit_s=None), Patience()) == cluster.now_at + 3 * DAY_S


def test_time_before_a_job_was_eligible_does_not_count():
    cluster = Cluster()
    job = replace(cluster.pending(limit_s=600), submitted_at=0.0)

    assert compute_due_at(job, Patience()) == cluster.now_at + 3600


def test_candidates_go_shortest_prediction_first_and_without_one_by_their_limit():
    cluster = Cluster()
    unknown, long, short = (cluster.pending(limit_s=limit_s) for limit_s in (600, 300, 86400))
    unlimited = cluster.pending(limit_s=None)

    assert in_order(cluster, {short.id: 10.0}) == [short.id, long.id, unknown.id, unlimited.id]


def test_equal_candidates_keep_the_order_of_the_queue():
    cluster = Cluster()
    ids = [cluster.pending(limit_s=600).id for _ in range(3)]

    assert in_order(cluster) == ids


def test_jobs_past_their_due_time_go_before_shorter_ones_in_the_order_of_the_queue():
    cluster = Cluster()
    short, late, later = (cluster.pending(limit_s=limit_s) for limit_s in (60, 600, 300))
    for job in (late, later):
        wait(cluster, job, 3601)

    assert in_order(cluster) == [late.id, later.id, short.id]


def test_a_job_with_a_short_prediction_starts_before_one_with_a_shorter_limit():
    """One node is free, the head needs both; of the two that fit, the one that is predicted to be short goes."""
    cluster = Cluster(nodes=2, cpus=1).running(nodes=1, ends_in_s=900)
    cluster.pending(nodes=2, limit_s=3600)
    cluster.pending(limit_s=600)
    short = cluster.pending(limit_s=800)

    plan = decide(replace(cluster.snapshot(), predicted_s={short.id: 60.0}), POLICY)

    assert [start.job_id for start in plan.starts] == [short.id]


def test_a_patient_head_lets_a_job_pass_that_ends_before_it_is_due():
    """Both nodes are free for the head in 100 s, but it is due only in six times 600 s."""
    cluster = Cluster(nodes=2, cpus=1).running(nodes=1, ends_in_s=100)
    head = cluster.pending(nodes=2, limit_s=600)
    passing = cluster.pending(limit_s=3600)

    plan = decide(cluster.snapshot(), POLICY)

    assert [start.job_id for start in plan.starts] == [passing.id]
    assert plan.planned[head.id].at == cluster.now_at + 3600


def test_a_head_past_its_due_time_lets_nobody_pass_who_delays_it():
    cluster = Cluster(nodes=2, cpus=1).running(nodes=1, ends_in_s=100)
    head = wait(cluster, cluster.pending(nodes=2, limit_s=600), 3601)
    cluster.pending(limit_s=3600)

    plan = decide(cluster.snapshot(), POLICY)

    assert not plan.starts
    assert plan.planned[head.id].at == cluster.now_at + 100


def test_no_prediction_lets_a_job_pass_whose_limit_delays_the_head():
    """It is said to run a second, but it may run an hour."""
    cluster = Cluster(nodes=2, cpus=1).running(nodes=1, ends_in_s=100)
    wait(cluster, cluster.pending(nodes=2, limit_s=600), 3601)
    liar = cluster.pending(limit_s=3600)

    plan = decide(replace(cluster.snapshot(), predicted_s={liar.id: 1.0}), POLICY)

    assert not plan.starts


def test_a_head_that_is_due_after_the_window_is_planned_all_the_same():
    cluster = Cluster(nodes=2, cpus=1).running(nodes=1, ends_in_s=100)
    head = cluster.pending(nodes=2, limit_s=2 * 86400)

    plan = decide(cluster.snapshot(), Policy(planned_max=1, is_predicting=True, backfill_window_s=3600.0))

    assert plan.planned[head.id].at == cluster.now_at + 3 * DAY_S


def test_a_head_that_fits_only_after_the_window_is_planned_all_the_same():
    cluster = Cluster(nodes=2, cpus=1).running(nodes=1, ends_in_s=30 * DAY_S)
    head = cluster.pending(nodes=2, limit_s=600)

    plan = decide(cluster.snapshot(), Policy(planned_max=1, is_predicting=True, backfill_window_s=3600.0))

    assert plan.planned[head.id].at == cluster.now_at + 30 * DAY_S
