"""Reasons as sentences."""

import pytest
from msgspec.structs import replace

from sluice.model.reason import Reason
from sluice.model.request import Dependency, DependencyTerm
from sluice.model.states import Hold
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.explain import format_at, held_blockers
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster

DEPENDENCY = Dependency(terms=(DependencyTerm(type="afterok", job_id=7), DependencyTerm(type="singleton")))


@pytest.mark.parametrize(
    ("changes", "reason", "text"),
    [
        pytest.param({"hold": Hold.USER}, Reason.JOB_HELD_USER, "held by its user", id="held by the user"),
        pytest.param({"hold": Hold.ADMIN}, Reason.JOB_HELD_ADMIN, "held by an administrator", id="held by an admin"),
        pytest.param({"begin_at": 1_000_060.0}, Reason.BEGIN_TIME, "begins 13:47", id="begins later"),
        pytest.param(
            {"dependency": DEPENDENCY}, Reason.DEPENDENCY, "waits for afterok:7, singleton", id="waits for others"
        ),
        pytest.param(
            {"dependency": DEPENDENCY, "reason": Reason.DEPENDENCY_NEVER_SATISFIED},
            Reason.DEPENDENCY_NEVER_SATISFIED,
            "can not be fulfilled any more: afterok:7, singleton",
            id="waits in vain",
        ),
    ],
)
def test_a_job_that_is_not_eligible_knows_why(changes, reason, text):
    job = replace(Cluster().pending(), **changes)

    assert [(each.reason, each.text) for each in held_blockers(job, 1_000_000.0)] == [(reason, text)]


def test_an_eligible_job_is_held_by_nothing():
    assert held_blockers(Cluster().pending(), 1_000_000.0) == ()


def test_a_hold_comes_before_a_dependency():
    job = replace(Cluster().pending(), hold=Hold.USER, dependency=DEPENDENCY)

    assert [each.reason for each in held_blockers(job, 0.0)] == [Reason.JOB_HELD_USER, Reason.DEPENDENCY]


def test_clock_times_have_their_date_on_another_day():
    assert format_at(50_700.0, 0.0, 0) == "14:05"
    assert format_at(50_700.0, 0.0, 3600) == "15:05"
    assert format_at(86_400.0, 0.0, 0) == "1970-01-02T00:00"


def test_the_funnel_names_each_loss():
    cluster = Cluster(nodes=5, features=("a",)).node("n1", is_drained=True).node("n2", features=())
    cluster.running(("n3", "n4"), ends_in_s=None)
    job = cluster.pending(nodes=2, features="a")

    blocker = decide(cluster.snapshot()).blockers[job.id][0]

    assert blocker.text == (
        "5 nodes in partition batch -> 4 up -> 3 with features a -> 1 with 1 CPU and 1 MiB free; needs 2 nodes"
    )


def test_a_pass_names_what_of_the_configuration_costs_nodes_one_demand_after_the_other():
    cluster = Cluster(nodes=3).node("n4", cpus=8, memory_mib=4000).node("n5", cpus=8, memory_mib=64_000)
    cluster.node("n6", cpus=8, memory_mib=64_000).partition("batch", nodes=tuple(cluster.free_by_name))
    cluster.running(("n5", "n6"), ends_in_s=None)
    job = cluster.pending(ntasks=1, cpus_per_task=8, memory_per_node_mib=8000, excluded_nodes=("n6",))

    blocker = decide(cluster.snapshot()).blockers[job.id][0]

    assert blocker.text == (
        "6 nodes in partition batch -> 5 without n6 -> 2 with 8 CPUs -> 1 with 8000 MiB "
        "-> 0 with 8 CPUs and 8000 MiB free; needs 1 node"
    )


def test_a_node_counts_as_free_only_if_it_holds_what_a_job_on_one_node_asks():
    cluster = Cluster(nodes=2).running(("n1",), cpus=3, ends_in_s=None).running(("n2",), cpus=1, ends_in_s=None)
    job = cluster.pending(ntasks=4)

    blocker = decide(cluster.snapshot()).blockers[job.id][0]

    assert blocker.text == "2 nodes in partition batch -> 0 with 4 CPUs and 1 MiB free; needs 1 node"


def test_a_job_kept_back_for_planned_starts_is_told_so():
    cluster = Cluster(nodes=2).running(("n1",), ends_in_s=600)
    cluster.pending(nodes=2)
    behind = cluster.pending(limit_s=1200, ntasks=4)

    texts = [blocker.text for blocker in decide(cluster.snapshot()).blockers[behind.id]]

    assert texts == [
        "behind job 2 in partition batch",
        "2 nodes in partition batch -> 1 with 4 CPUs and 1 MiB free; needs 1 node; free ones are kept for planned "
        "starts above it; job 1 on n1 ends by 13:56",
    ]


def test_jobs_beyond_the_look_ahead_share_a_short_reason():
    cluster = Cluster().running()
    cluster.pending(limit_s=60)
    far = cluster.pending(limit_s=120)

    blockers = decide(cluster.snapshot(), Policy(backfill_jobs_max=1)).blockers[far.id]

    assert [blocker.text for blocker in blockers] == ["behind job 2 in partition batch"]
