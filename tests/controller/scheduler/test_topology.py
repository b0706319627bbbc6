"""Passes with a topology: where jobs go, how long --switches is waited for, and what is said meanwhile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sluice.model.reason import Reason
from sluice.model.request import GresRequest
from sluice.model.topology import Topology, TopologyUnit
from sluice_plugins.registry import build_networks
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.feasible import check_request
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy
from sluicectld.scheduler.switches import parse_switches
from tests.builders import Cluster, make_spec

#: Leaves of four, three and two nodes; one switch joins the first two, another all.
UNITS = (
    TopologyUnit(name="s1", nodes=("n1", "n2", "n3", "n4")),
    TopologyUnit(name="s2", nodes=("n5", "n6", "n7")),
    TopologyUnit(name="s3", nodes=("n8", "n9")),
    TopologyUnit(name="t1", children=("s1", "s2")),
    TopologyUnit(name="top", children=("t1", "s3")),
)
BLOCKS = Topology(
    name="racks",
    plugin="block",
    is_default=False,
    units=tuple(TopologyUnit(name=unit.name, kind="block", nodes=unit.nodes) for unit in UNITS[:3]),
    block_sizes=(2, 4),
)


def policy(*topologies: Topology, **fields) -> Policy:
    found = topologies or (Topology(plugin="tree", units=UNITS),)
    return Policy(networks=build_networks(found, [f"n{number}" for number in range(1, 10)]), **fields)


def started(plan: Plan) -> list[tuple[str, ...]]:
    return [start.allocation.nodes for start in plan.starts]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({"nodes": 1}, ("n8",), id="-N1 breaks into the smallest leaf"),
        pytest.param({"nodes": 2}, ("n8", "n9"), id="-N2"),
        pytest.param({"nodes": 3}, ("n5", "n6", "n7"), id="-N3"),
        pytest.param({"nodes": 4}, ("n1", "n2", "n3", "n4"), id="-N4"),
        pytest.param({"nodes": 5}, ("n1", "n2", "n3", "n4", "n5"), id="-N5"),
        pytest.param({"nodes": 0, "ntasks": 8}, ("n8", "n9"), id="-n8 on nodes of four CPUs"),
        pytest.param({"nodes": 0, "ntasks": 8, "required_nodes": ("n2",)}, ("n2", "n3"), id="-n8 -w n2"),
        pytest.param({"nodes": 2, "excluded_nodes": ("n9",)}, ("n5", "n6"), id="-N2 -x n9"),
        pytest.param({"nodes": 3, "is_contiguous": True}, ("n5", "n6", "n7"), id="-N3 --contiguous"),
    ],
)
def test_a_job_gets_near_nodes(request_, expected):
    """The first five as Slurm 22.05 was seen to do."""
    cluster = Cluster(nodes=9)
    cluster.pending(**request_)

    assert started(decide(cluster.snapshot(), policy())) == [expected]


def test_jobs_on_one_node_fill_one_leaf_after_the_other():
    """As Slurm 22.05 was seen to do: n8, n9, then the leaf of three."""
    cluster = Cluster(nodes=9)
    for _ in range(4):
        cluster.pending(nodes=1, exclusive="node")

    assert started(decide(cluster.snapshot(), policy())) == [("n8",), ("n9",), ("n5",), ("n6",)]


def test_a_lower_weight_comes_before_a_fuller_leaf():
    cluster = Cluster(nodes=9).node("n8", weight=10).node("n9", weight=10)
    cluster.pending(nodes=1)

    assert started(decide(cluster.snapshot(), policy())) == [("n5",)]


def test_shared_gpus_are_found_on_one_leaf():
    gpus = (GresRequest(name="gpu", count=2),)
    cluster = Cluster(nodes=9, gres=gpus)
    cluster.pending(nodes=0, gres_per_job=(GresRequest(name="gpu", count=6),))

    assert started(decide(cluster.snapshot(), policy())) == [("n5", "n6", "n7")]


def test_nodes_with_counted_features_are_found_on_one_switch():
    """Only the second leaf has a fast node and a big one."""
    cluster = Cluster(nodes=9).node("n6", features=("big",))
    for name in ("n1", "n2", "n5", "n8", "n9"):
        cluster.node(name, features=("fast",))
    cluster.pending(nodes=2, features="[fast*1&big*1]")

    assert started(decide(cluster.snapshot(), policy())) == [("n5", "n6")]


def test_a_planned_start_is_on_near_nodes_too():
    """Three of a leaf are free at 600 s, three of any kind at 300 s: the nearest of the earliest moment count."""
    cluster = Cluster(nodes=9).running(("n1", "n2", "n3", "n4"), ends_in_s=3000)
    cluster.running(("n5", "n6", "n7"), ends_in_s=600).running(("n8", "n9"), ends_in_s=900)
    job = cluster.pending(nodes=3)

    plan = decide(cluster.snapshot(), policy())

    assert plan.planned[job.id].at == cluster.now_at + 600
    assert plan.planned[job.id].nodes == ("n5", "n6", "n7")


def test_a_partition_has_the_topology_that_it_names():
    cluster = Cluster(nodes=9).partition("gpu", topology="racks").partition("flat", topology="none")
    near = policy(Topology(plugin="tree", units=UNITS), BLOCKS, Topology(name="none", is_default=False))
    cluster.pending(nodes=4, segment=2, partitions=("gpu",))
    assert started(decide(cluster.snapshot(), near)) == [("n1", "n2", "n3", "n4")]

    cluster.pending_jobs.clear()
    cluster.pending(nodes=2, partitions=("flat",))
    assert started(decide(cluster.snapshot(), near)) == [("n1", "n2")]


def test_a_job_waits_for_its_switches():
    cluster = Cluster(nodes=9)
    job = cluster.pending(nodes=5, switches="1@10")

    plan = decide(cluster.snapshot(), policy())

    assert not plan.starts
    assert plan.look_again_at == cluster.now_at + 300, "max_switch_wait is shorter than the ten minutes asked"
    (blocker,) = plan.blockers[job.id]
    near = "at most 1 leaf switch while it waits for that"
    assert blocker.text.endswith(f"-> 0 near one another as asked: {near}; needs 5 nodes, {near}")


def test_a_job_takes_what_there_is_when_its_wait_is_over():
    cluster = Cluster(nodes=9)
    job = cluster.pending(nodes=5, switches="1@2")
    cluster.pending_jobs[0] = replace(job, eligible_at=cluster.now_at - 120)

    plan = decide(cluster.snapshot(), policy())

    assert started(plan) == [("n1", "n2", "n3", "n4", "n5")]
    assert plan.look_again_at is None


@pytest.mark.parametrize(("wait_max_s", "is_started"), [(60.0, True), (120.0, False)])
def test_the_site_bounds_the_wait(wait_max_s: float, is_started: bool):
    cluster = Cluster(nodes=9)
    job = cluster.pending(nodes=5, switches="1")
    cluster.pending_jobs[0] = replace(job, eligible_at=cluster.now_at - 90)

    assert bool(decide(cluster.snapshot(), policy(switch_wait_max_s=wait_max_s)).starts) is is_started


def test_a_job_that_waits_for_switches_stops_nobody_from_starting_beside_it():
    cluster = Cluster(nodes=9)
    cluster.pending(nodes=5, switches="1", limit_s=3600)
    small = cluster.pending(nodes=2, limit_s=600)

    assert [start.job_id for start in decide(cluster.snapshot(), policy()).starts] == [small.id]


def test_two_leaf_switches_are_enough_for_five_nodes():
    cluster = Cluster(nodes=9)
    cluster.pending(nodes=5, switches="2")

    assert started(decide(cluster.snapshot(), policy())) == [("n1", "n2", "n3", "n4", "n5")]


def test_switches_mean_nothing_without_a_topology():
    cluster = Cluster(nodes=9)
    cluster.pending(nodes=5, switches="1")

    plan = decide(cluster.snapshot())

    assert started(plan) == [("n1", "n2", "n3", "n4", "n5")]
    assert plan.look_again_at is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, None)),
        ("2", (2, None)),
        ("1@10", (1, 600.0)),
        ("1@0:30", (1, 30.0)),
        ("x", (0, None)),
        ("1@x", (1, None)),
    ],
)
def test_switches_are_a_count_and_a_duration(text: str, expected: tuple[int, float | None]):
    assert parse_switches(text) == expected


def test_a_request_that_no_switch_connects_is_refused_at_submission():
    """As Slurm 22.05 was seen to do."""
    cluster = Cluster(nodes=9)
    nodes = [free.node for free in cluster.snapshot().nodes]
    apart = policy(Topology(plugin="tree", units=UNITS[:3]))

    verdict = check_request(make_spec(5), nodes, cluster.partitions["batch"], apart)

    assert verdict is not None
    assert verdict.is_refusal
    assert check_request(make_spec(4), nodes, cluster.partitions["batch"], apart) is None


def test_a_request_for_too_few_switches_is_accepted_because_the_wait_ends():
    cluster = Cluster(nodes=9)
    nodes = [free.node for free in cluster.snapshot().nodes]

    assert check_request(make_spec(5, switches="1"), nodes, cluster.partitions["batch"], policy()) is None


def test_segments_that_do_not_divide_the_nodes_are_refused_with_what_would():
    cluster = Cluster(nodes=9)
    nodes = [free.node for free in cluster.snapshot().nodes]
    near = policy(replace(BLOCKS, is_default=True))

    verdict = check_request(make_spec(5, segment=2), nodes, cluster.partitions["batch"], near)

    assert verdict is not None
    assert verdict.details == "5 nodes requested in segments of 2, which leaves 1; -N 4 or -N 6 would fit"


def test_a_segment_larger_than_every_block_is_refused_at_submission():
    cluster = Cluster(nodes=9)
    nodes = [free.node for free in cluster.snapshot().nodes]
    near = policy(replace(BLOCKS, is_default=True))

    verdict = check_request(make_spec(5, segment=5), nodes, cluster.partitions["batch"], near)

    assert verdict is not None
    assert "segments of 5 nodes each in one block" in verdict.details


def test_a_busy_block_makes_a_segmented_job_wait_with_its_reason():
    cluster = Cluster(nodes=9).running(("n1", "n2"), ends_in_s=600)
    job = cluster.pending(nodes=6, segment=3)

    plan = decide(cluster.snapshot(), policy(replace(BLOCKS, is_default=True)))

    (blocker,) = plan.blockers[job.id]
    assert blocker.reason is Reason.RESOURCES
    assert "segments of 3 nodes each in one block" in blocker.text
    assert plan.planned[job.id].at == cluster.now_at + 600
