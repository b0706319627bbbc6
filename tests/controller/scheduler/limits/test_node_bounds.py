"""Bounds of partitions on each node: memory per CPU and per node, and CPUs of all their jobs together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.partition import Partition
from sluice.model.reason import Reason
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.feasible import check_request
from sluicectld.scheduler.limits.memory import MemoryShare, bound_memory
from sluicectld.scheduler.needs import compute_needs
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster, make_spec


def test_more_memory_per_cpu_than_allowed_takes_more_cpus() -> None:
    """3 GiB for each of 2 CPUs where a CPU has at most 1 GiB: 6 CPUs with 1 GiB each."""
    cluster = Cluster(nodes=1, cpus=8, memory_mib=8192).partition("batch", max_memory_per_cpu_mib=1024)
    cluster.pending(ntasks=2, memory_per_cpu_mib=3072)

    (start,) = decide(cluster.snapshot()).starts

    (grant,) = start.allocation.grants
    assert (grant.cpu_count, grant.memory_mib) == (6, 6144)


def test_memory_of_a_node_takes_the_cpus_that_stand_for_it() -> None:
    cluster = Cluster(nodes=1, cpus=8, memory_mib=8192).partition("batch", max_memory_per_cpu_mib=1024)
    cluster.pending(memory_per_node_mib=2500)

    (start,) = decide(cluster.snapshot()).starts

    (grant,) = start.allocation.grants
    assert (grant.cpu_count, grant.memory_mib) == (3, 2500)


def test_tasks_spread_where_one_node_gives_too_little_memory() -> None:
    cluster = Cluster(nodes=2, cpus=8, memory_mib=8192).partition("batch", max_memory_per_node_mib=2048)
    cluster.pending(nodes=0, ntasks=4, memory_per_cpu_mib=1024)

    (start,) = decide(cluster.snapshot()).starts

    assert start.allocation.tasks_per_node == (2, 2)


def test_more_memory_than_a_node_gives_has_to_wait() -> None:
    cluster = Cluster(nodes=1, memory_mib=8192).partition("batch", max_memory_per_node_mib=2048)
    job = cluster.pending(memory_per_node_mib=4096)

    plan = decide(cluster.snapshot())

    blocker = plan.blockers[job.id][0]
    assert blocker.reason is Reason.MAX_MEM_PER_LIMIT
    assert blocker.text == "4096 MiB on one node, partition batch allows at most 2048 MiB (MaxMemPerNode)"


@pytest.mark.parametrize(("enforced", "is_refusal"), [("NO", False), ("ALL", True)])
def test_such_a_request_is_warned_of_or_refused_as_partition_limits_are(enforced: str, is_refusal: bool) -> None:
    nodes = tuple(free.node for free in Cluster(memory_mib=8192).free_by_name.values())
    partition = Partition(name="batch", nodes=("n1",), max_memory_per_node_mib=2048)

    verdict = check_request(
        make_spec(memory_per_node_mib=4096), nodes, partition, Policy(enforce_partition_limits=enforced)
    )

    assert verdict is not None
    assert (verdict.code, verdict.is_refusal) == ("memory", is_refusal)
    assert verdict.details.startswith("4096 MiB on one node requested, partition batch allows at most 2048 MiB")


def test_all_memory_of_a_node_is_all_that_a_job_may_have() -> None:
    needs = compute_needs(
        make_spec(memory_per_node_mib=0), Partition(name="batch", max_memory_per_node_mib=2048), Policy()
    )

    assert (needs.memory_per_node_mib, needs.is_whole_memory) == (2048, False)


def test_the_partitions_bound_goes_before_the_clusters_and_zero_is_none() -> None:
    policy = Policy(max_memory_per_node_mib=1024)
    spec = make_spec(memory_per_node_mib=512)

    assert compute_needs(spec, Partition(name="batch"), policy).memory_max_mib == 1024
    assert compute_needs(spec, Partition(name="batch", max_memory_per_node_mib=2048), policy).memory_max_mib == 2048
    assert compute_needs(spec, Partition(name="batch", max_memory_per_node_mib=0), policy).memory_max_mib == 0


@given(st.integers(1, 64), st.integers(1, 10**6), st.integers(0, 10**5))
def test_more_cpus_give_no_less_memory_and_each_within_its_bound(cpus: int, per_cpu_mib: int, most_mib: int) -> None:
    bounded = bound_memory(MemoryShare(cpus, per_cpu_mib=per_cpu_mib), most_mib, 0)

    assert bounded.cpus_per_task * bounded.per_cpu_mib >= cpus * per_cpu_mib
    assert not most_mib or bounded.per_cpu_mib <= most_mib


def test_all_jobs_of_a_partition_have_no_more_cpus_of_a_node_than_it_allows() -> None:
    cluster = Cluster(nodes=2, cpus=8).partition("cpu", max_cpus_per_node=6)
    first = [cluster.pending(partitions=("cpu",), ntasks=4) for _ in range(3)]
    other = cluster.pending(ntasks=4)

    plan = decide(cluster.snapshot())

    assert [(start.job_id, *start.allocation.nodes) for start in plan.starts] == [
        (first[0].id, "n1"), (first[1].id, "n2"), (other.id, "n1"),
    ]  # fmt: skip
    assert plan.blockers[first[2].id]


def test_a_job_that_waits_for_one_of_its_capped_partition_is_planned_at_that_ones_end() -> None:
    cluster = Cluster(nodes=1, cpus=8).partition("cpu", max_cpus_per_node=6)
    cluster.running(nodes=("n1",), cpus=4, ends_in_s=600, partition="cpu")
    waiting = cluster.pending(partitions=("cpu",), ntasks=4)

    plan = decide(cluster.snapshot())

    assert plan.planned[waiting.id].at == cluster.now_at + 600


def test_a_cap_of_each_socket_is_kept_for_the_whole_node() -> None:
    cluster = Cluster(nodes=1, cpus=8, sockets=2, cores_per_socket=4).partition("cpu", max_cpus_per_socket=3)
    jobs = [cluster.pending(partitions=("cpu",), ntasks=2) for _ in range(4)]

    plan = decide(cluster.snapshot())

    assert [start.job_id for start in plan.starts] == [job.id for job in jobs[:3]]


def test_whole_nodes_are_not_bound_by_the_cap() -> None:
    cluster = Cluster(nodes=1, cpus=8).partition("cpu", max_cpus_per_node=6)
    job = cluster.pending(partitions=("cpu",), exclusive="node")

    assert [start.job_id for start in decide(cluster.snapshot()).starts] == [job.id]


@settings(max_examples=50)
@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["cpu", "batch"])), max_size=8),
    st.integers(0, 4),
)
def test_no_pass_goes_over_the_cap(cap: int, asked: list[tuple[int, str]], running: int) -> None:
    cluster = Cluster(nodes=2, cpus=8).partition("cpu", max_cpus_per_node=cap)
    before = {"n1": min(running, cap)}
    if before["n1"]:
        cluster.running(nodes=1, cpus=before["n1"])
        cluster.running_jobs[0] = replace(cluster.running_jobs[0], partition="cpu")
    for tasks, partition in asked:
        cluster.pending(nodes=0, ntasks=tasks, partitions=(partition,))

    plan = decide(cluster.snapshot())

    for name in ("n1", "n2"):
        granted = [
            grant.cpu_count
            for start in plan.starts
            if start.partition == "cpu"
            for grant in start.allocation.grants
            if grant.node == name
        ]
        assert sum(granted) + before.get(name, 0) <= cap
