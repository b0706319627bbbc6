"""Bounds of backfill that a site sets, in whole passes.

The cluster has 4 nodes of which 3 run a job for 600 s; the head wants all four, so that everybody behind it is a
candidate for backfill on the free one.
"""

from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster


def waiting_cluster() -> Cluster:
    cluster = Cluster(nodes=4, cpus=4).running(nodes=3, ends_in_s=600)
    cluster.pending(nodes=4, limit_s=3600)
    return cluster


def started(cluster: Cluster, **fields: object) -> list[int]:
    return [start.job_id for start in decide(cluster.snapshot(), Policy(**fields)).starts]  # type: ignore[arg-type]


def test_each_user_has_so_many_candidates():
    cluster = waiting_cluster()
    first = cluster.pending(limit_s=60, uid=1000)
    second = cluster.pending(limit_s=60, uid=1000)
    other = cluster.pending(limit_s=60, uid=1001)

    assert started(cluster) == [first.id, second.id, other.id]
    assert started(cluster, backfill_user_jobs_max=1) == [first.id, other.id]


def test_each_partition_has_so_many_candidates():
    cluster = waiting_cluster().partition("other", ("n4",))
    first = cluster.pending(limit_s=60)
    cluster.pending(limit_s=60)
    elsewhere = cluster.pending(limit_s=60, partitions=("other",))

    assert started(cluster, backfill_partition_jobs_max=1) == [first.id, elsewhere.id]


def test_each_user_has_so_many_candidates_in_a_partition():
    cluster = waiting_cluster()
    first = cluster.pending(limit_s=60, uid=1000)
    cluster.pending(limit_s=60, uid=1000)
    other = cluster.pending(limit_s=60, uid=1001)

    assert started(cluster, backfill_user_partition_jobs_max=1) == [first.id, other.id]


def test_a_pass_lets_so_many_jobs_go_ahead():
    cluster = waiting_cluster()
    first = cluster.pending(limit_s=60)
    late = cluster.pending(limit_s=60)

    plan = decide(cluster.snapshot(), Policy(backfill_starts_max=1))

    assert [start.job_id for start in plan.starts] == [first.id]
    assert "bf_max_job_start" in plan.blockers[late.id][0].text


def test_a_young_job_holds_no_planned_start():
    cluster = waiting_cluster()
    head = cluster.pending_jobs[0]

    assert head.id in decide(cluster.snapshot(), Policy()).planned
    assert decide(cluster.snapshot(), Policy(plan_age_min_s=60)).planned == {}


def test_a_job_of_low_priority_holds_no_planned_start_unless_it_is_among_the_first():
    cluster = waiting_cluster()
    head = cluster.pending_jobs[0]
    low = Policy(plan_priority_min=head.priority + 1)

    assert decide(cluster.snapshot(), low).planned == {}
    assert (
        head.id
        in decide(cluster.snapshot(), Policy(plan_priority_min=head.priority + 1, partition_plans_min=1)).planned
    )


def test_the_first_of_a_queue_is_planned_however_far_its_start_is():
    """Without a planned start a wide job could wait for ever behind narrow ones."""
    cluster = Cluster(nodes=4, cpus=4).running(nodes=3, ends_in_s=10 * 86400)
    head = cluster.pending(nodes=4, limit_s=3600)
    second = cluster.pending(nodes=3, limit_s=3600)

    plan = decide(cluster.snapshot(), Policy(backfill_window_s=86400.0))

    assert plan.planned[head.id].at == cluster.now_at + 10 * 86400
    assert second.id not in plan.planned
