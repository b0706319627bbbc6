"""One pass: what starts, what is planned, what waits and why."""

import pytest

from sluice.model.reason import Reason
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster


def started(plan: Plan) -> list[int]:
    return [start.job_id for start in plan.starts]


def reasons(plan: Plan, job_id: int) -> list[Reason]:
    return [blocker.reason for blocker in plan.blockers[job_id]]


def test_a_job_that_fits_starts_on_the_first_node():
    cluster = Cluster(nodes=2)
    job = cluster.pending()

    plan = decide(cluster.snapshot())

    assert started(plan) == [job.id]
    assert plan.starts[0].allocation.nodes == ("n1",)
    assert plan.blockers == {}


def test_small_job_backfills_before_the_head_job():
    """The head waits for 4 nodes; a 1-node job that ends in time runs now."""
    cluster = Cluster(nodes=4).running(nodes=3, ends_in_s=600)
    head = cluster.pending(nodes=4, limit_s=3600)
    small = cluster.pending(nodes=1, limit_s=300)

    plan = decide(cluster.snapshot())

    assert started(plan) == [small.id]
    assert plan.planned[head.id].at == cluster.now_at + 600
    assert reasons(plan, head.id) == [Reason.RESOURCES]


def test_nodes_that_are_completing_are_kept_with_the_others_for_the_head():
    cluster = Cluster(nodes=2).completing(nodes=1)
    head = cluster.pending(nodes=2, exclusive="node")
    small = cluster.pending(nodes=1)

    plan = decide(cluster.snapshot())

    assert started(plan) == []
    assert (plan.planned[head.id].at, plan.planned[head.id].nodes) == (cluster.now_at, ("n1", "n2"))
    assert plan.planned[small.id].at == cluster.now_at + 3600


def test_a_job_that_would_delay_the_head_waits():
    cluster = Cluster(nodes=4).running(nodes=3, ends_in_s=600)
    head = cluster.pending(nodes=4, limit_s=3600, ntasks=16)
    long = cluster.pending(nodes=1, limit_s=601)

    plan = decide(cluster.snapshot())

    assert started(plan) == []
    assert reasons(plan, long.id) == [Reason.PRIORITY, Reason.RESOURCES]
    assert plan.planned[long.id].at == cluster.now_at + 600 + 3600
    assert plan.planned[head.id].at == cluster.now_at + 600


def test_without_backfill_a_partition_stops_at_its_first_job_that_does_not_fit():
    cluster = Cluster(nodes=4).running(nodes=3, ends_in_s=600).partition("other")
    head = cluster.pending(nodes=4)
    behind = cluster.pending(nodes=1, limit_s=60)
    elsewhere = cluster.pending(nodes=1, limit_s=60, partitions=("other",))

    plan = decide(cluster.snapshot(), Policy(is_backfilling=False))

    assert started(plan) == [elsewhere.id]
    assert reasons(plan, head.id) == [Reason.RESOURCES]
    assert reasons(plan, behind.id) == [Reason.PRIORITY]


def test_higher_priority_starts_first():
    cluster = Cluster(nodes=1)
    cluster.pending(priority=1, ntasks=4)
    urgent = cluster.pending(priority=2, ntasks=4)

    assert started(decide(cluster.snapshot())) == [urgent.id]


def test_partition_tier_goes_before_priority():
    cluster = Cluster(nodes=1).partition("express", priority_tier=9)
    cluster.pending(priority=100, ntasks=4)
    express = cluster.pending(priority=1, ntasks=4, partitions=("express",))

    assert started(decide(cluster.snapshot())) == [express.id]


def test_a_job_of_several_partitions_starts_in_the_first_that_can():
    cluster = Cluster(nodes=2).partition("batch", ("n1",)).partition("spare", ("n2",)).running(("n1",))
    job = cluster.pending(partitions=("batch", "spare"))

    plan = decide(cluster.snapshot())

    assert [(start.job_id, start.partition) for start in plan.starts] == [(job.id, "spare")]
    assert plan.planned == {}
    assert plan.blockers == {}


def test_an_array_starts_task_by_task_and_waits_as_one():
    cluster = Cluster(nodes=1, cpus=3)
    array = cluster.pending(tasks=((0, 9, 2), (20, 30, 1)))

    plan = decide(cluster.snapshot())

    assert [start.task_id for start in plan.starts] == [0, 2, 4]
    assert reasons(plan, array.id) == [Reason.RESOURCES]


def test_an_array_keeps_to_its_throttle():
    cluster = Cluster(nodes=2)
    array = cluster.pending(tasks=((1, 10, 1),), throttle=3)
    cluster.running_tasks[array.id] = 1

    plan = decide(cluster.snapshot())

    assert [start.task_id for start in plan.starts] == [1, 2]
    assert reasons(plan, array.id) == [Reason.JOB_ARRAY_TASK_LIMIT]
    assert plan.blockers[array.id][0].text == "3 of at most 3 tasks run"


def test_a_pass_starts_no_more_than_its_bound():
    cluster = Cluster(nodes=4)
    jobs = [cluster.pending() for _ in range(6)]

    plan = decide(cluster.snapshot(), Policy(starts_max=4))

    assert started(plan) == [job.id for job in jobs[:4]]
    assert plan.has_more
    assert set(plan.blockers) == {job.id for job in jobs[4:]}


def test_twins_share_their_blockers():
    cluster = Cluster(nodes=1).running(nodes=1)
    jobs = [cluster.pending() for _ in range(4)]

    plan = decide(cluster.snapshot())

    assert plan.blockers[jobs[1].id] == plan.blockers[jobs[2].id]
    assert plan.blockers[jobs[2].id] is plan.blockers[jobs[3].id]


def test_only_so_many_twins_get_a_planned_start():
    cluster = Cluster(nodes=1, cpus=8).running(nodes=1)
    jobs = [cluster.pending() for _ in range(5)]

    plan = decide(cluster.snapshot(), Policy(planned_per_shape_max=3))

    assert sorted(plan.planned) == [job.id for job in jobs[:3]]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"state": "DOWN"}, Reason.PARTITION_DOWN, id="partition down"),
        pytest.param({"state": "INACTIVE"}, Reason.PARTITION_INACTIVE, id="partition inactive"),
        pytest.param({"max_limit_s": 60}, Reason.PARTITION_TIME_LIMIT, id="limit above the partition's"),
        pytest.param({"max_nodes": 1}, Reason.PARTITION_NODE_LIMIT, id="more nodes than the partition allows"),
    ],
)
def test_a_partition_can_keep_its_jobs_waiting(fields, reason):
    cluster = Cluster(nodes=2).partition("batch", **fields)
    job = cluster.pending(nodes=2)

    plan = decide(cluster.snapshot())

    assert started(plan) == []
    assert reasons(plan, job.id) == [reason]


def test_a_required_node_that_is_down_is_named():
    cluster = Cluster(nodes=4).node("n3", is_drained=True)
    job = cluster.pending(required_nodes=("n3",))

    blocker = decide(cluster.snapshot()).blockers[job.id][0]

    assert (blocker.reason, blocker.text) == (Reason.REQ_NODE_NOT_AVAIL, "UnavailableNodes:n3")


def test_a_job_that_needs_drained_nodes_does_not_hold_up_others():
    cluster = Cluster(nodes=4).node("n4", is_drained=True)
    wide = cluster.pending(nodes=4)
    small = cluster.pending(nodes=1)

    plan = decide(cluster.snapshot())

    assert started(plan) == [small.id]
    assert plan.blockers[wide.id][0].text == "UnavailableNodes:n4"


def test_licenses_are_taken_and_run_out():
    cluster = Cluster(nodes=4).licenses(matlab=3)
    jobs = [cluster.pending(licenses="matlab:2") for _ in range(2)]

    plan = decide(cluster.snapshot())

    assert started(plan) == [jobs[0].id]
    blocker = plan.blockers[jobs[1].id][0]
    assert (blocker.reason, blocker.text) == (Reason.LICENSES, "needs 2 of license matlab, 1 free")


def test_the_head_is_told_the_numbers():
    cluster = Cluster(nodes=4, cpus=8, now_at=50_700.0).running(nodes=2, ends_in_s=600)
    head = cluster.pending(nodes=4, ntasks=32, memory_per_node_mib=100)

    blocker = decide(cluster.snapshot()).blockers[head.id][0]

    assert blocker.text == (
        "4 nodes in partition batch -> 2 with 1 CPU and 100 MiB free; needs 4 nodes for 32 tasks; "
        "job 1 on n[1-2] ends by 14:15"
    )


class TestANodeThatIsAskedForByName:
    """Whoever waits for it is told who has it, whatever else is free or ends before."""

    def test_is_named_with_the_job_that_has_it(self):
        cluster = Cluster(nodes=3, now_at=50_700.0).running(("n1",), ends_in_s=60).running(("n2",), ends_in_s=600)
        job = cluster.pending(required_nodes=("n2",))

        assert text_of(cluster, job) == (
            "3 nodes in partition batch -> 1 with 1 CPU and 1 MiB free -> 0 with n2 among them; "
            "needs 1 node, n2 among them; waits for job 2 on n2, ends by 14:15"
        )

    def test_is_named_also_where_no_end_is_known(self):
        cluster = Cluster(nodes=2).running(("n2",), ends_in_s=None)
        job = cluster.pending(required_nodes=("n2",))

        assert text_of(cluster, job).endswith("n2 among them; waits for job 1 on n2, has no time limit")

    def test_is_named_while_it_is_not_clean(self):
        cluster = Cluster(nodes=2).completing(nodes=("n2",))
        job = cluster.pending(required_nodes=("n2",))

        assert text_of(cluster, job).endswith("; waits for job 1 on n2, has ended and is not clean there yet")

    def test_of_several_those_that_are_free_are_left_out(self):
        cluster = Cluster(nodes=3).running(("n1", "n3"), ends_in_s=None)
        job = cluster.pending(nodes=2, required_nodes=("n2", "n3"))

        assert text_of(cluster, job).endswith("n[2-3] among them; waits for job 1 on n3, has no time limit")


def text_of(cluster, job):
    (blocker,) = decide(cluster.snapshot()).blockers[job.id]
    assert blocker.reason is Reason.RESOURCES
    return blocker.text
