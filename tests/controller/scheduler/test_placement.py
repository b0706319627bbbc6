"""Which nodes, CPUs and units a request gets.  The tables are what Slurm 22.05 was seen to do."""

import pytest

from sluice.model.allocation import Allocation
from sluice.model.request import GresRequest
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster

GPU2 = (GresRequest(name="gpu", count=2),)


def gpu(count: int, kind: str = "") -> tuple[GresRequest, ...]:
    return (GresRequest(name="gpu", type=kind, count=count),)


def place(cluster: Cluster, policy: Policy | None = None, **request) -> Allocation:
    cluster.pending(**request)
    starts = decide(cluster.snapshot(), policy or Policy()).starts
    assert len(starts) == 1, "the job did not start"
    return starts[0].allocation


def layout(allocation: Allocation) -> dict[str, tuple[int, int]]:
    """Return (CPUs, tasks) by node."""
    pairs = zip(allocation.grants, allocation.tasks_per_node, strict=True)
    return {grant.node: (grant.cpu_count, tasks) for grant, tasks in pairs}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({"nodes": 2, "ntasks": 3}, {"n1": (2, 2), "n2": (1, 1)}, id="-N2 -n3"),
        pytest.param({"nodes": 2, "ntasks": 6}, {"n1": (4, 4), "n2": (2, 2)}, id="-N2 -n6"),
        pytest.param({"nodes": 3, "ntasks": 7}, {"n1": (4, 4), "n2": (2, 2), "n3": (1, 1)}, id="-N3 -n7"),
        pytest.param({"nodes": 0, "ntasks": 6}, {"n1": (4, 4), "n2": (2, 2)}, id="-n6"),
        pytest.param({"nodes": 2}, {"n1": (1, 1), "n2": (1, 1)}, id="-N2"),
        pytest.param(
            {"nodes": 0, "ntasks": 8, "cpus_per_task": 2}, {f"n{i}": (4, 2) for i in range(1, 5)}, id="-n8 -c2"
        ),
        pytest.param(
            {"nodes": 2, "max_nodes": 4, "ntasks": 9},
            {"n1": (4, 4), "n2": (3, 3), "n3": (1, 1), "n4": (1, 1)},
            id="-N2-4 -n9",
        ),
        pytest.param({"nodes": 2, "max_nodes": 4}, {f"n{i}": (1, 1) for i in range(1, 5)}, id="-N2-4"),
        pytest.param({"nodes": 2, "max_nodes": 4, "ntasks": 3}, {f"n{i}": (1, 1) for i in range(1, 4)}, id="-N2-4 -n3"),
        pytest.param({"nodes": 0, "min_cpus_per_node": 3, "ntasks": 2}, {"n1": (3, 2)}, id="--mincpus=3 -n2"),
        pytest.param({"nodes": 2, "ntasks_per_node": 3}, {"n1": (3, 3), "n2": (3, 3)}, id="-N2 --ntasks-per-node=3"),
        pytest.param({"nodes": 1, "ntasks": 9, "is_overcommitted": True}, {"n1": (1, 9)}, id="-N1 -n9 -O"),
        pytest.param(
            {"nodes": 2, "ntasks": 9, "is_overcommitted": True}, {"n1": (1, 5), "n2": (1, 4)}, id="-N2 -n9 -O"
        ),
        pytest.param({"nodes": 0, "ntasks": 1, "exclusive": "node"}, {"n1": (4, 1)}, id="-n1 --exclusive"),
        pytest.param({"nodes": 2, "exclusive": "node"}, {"n1": (4, 4), "n2": (4, 4)}, id="-N2 --exclusive"),
        pytest.param(
            {"nodes": 2, "exclusive": "node", "cpus_per_task": 2},
            {"n1": (4, 2), "n2": (4, 2)},
            id="--exclusive -c2",
        ),
        pytest.param({"nodes": 0, "ntasks": 6, "required_nodes": ("n3",)}, {"n3": (4, 4), "n4": (2, 2)}, id="-w n3"),
        pytest.param(
            {"nodes": 0, "ntasks": 4, "required_nodes": ("n3", "n2")}, {"n2": (3, 3), "n3": (1, 1)}, id="-n4 -w n3,n2"
        ),
        pytest.param({"nodes": 0, "ntasks": 8, "required_nodes": ("n4",)}, {"n3": (4, 4), "n4": (4, 4)}, id="-w n4"),
        pytest.param({"nodes": 1, "excluded_nodes": ("n1", "n2")}, {"n3": (1, 1)}, id="-x n[1-2]"),
    ],
)
def test_idle_nodes_of_four_cpus(request_, expected):
    assert layout(place(Cluster(nodes=4), **request_)) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({"nodes": 0, "ntasks": 2}, {"n2": 2}, id="-n2"),
        pytest.param({"nodes": 0, "ntasks": 4}, {"n3": 4}, id="-n4"),
        pytest.param({"nodes": 0, "ntasks": 5}, {"n1": 1, "n2": 3, "n3": 1}, id="-n5"),
        pytest.param({"nodes": 0, "ntasks": 6}, {"n1": 1, "n2": 3, "n3": 2}, id="-n6"),
        pytest.param({"nodes": 2, "ntasks": 5}, {"n1": 1, "n3": 4}, id="-N2 -n5"),
        pytest.param({"nodes": 2, "ntasks": 7}, {"n2": 3, "n3": 4}, id="-N2 -n7"),
        pytest.param({"nodes": 3, "ntasks": 8}, {"n1": 1, "n2": 3, "n3": 4}, id="-N3 -n8"),
        pytest.param({"nodes": 2, "ntasks": 2, "cpus_per_task": 3}, {"n2": 3, "n3": 3}, id="-N2 -n2 -c3"),
        pytest.param({"nodes": 0, "ntasks": 8, "required_nodes": ("n2",)}, {"n2": 3, "n3": 4, "n4": 1}, id="-n8 -w n2"),
        pytest.param({"nodes": 1, "max_nodes": 3, "ntasks": 4}, {"n1": 1, "n2": 2, "n3": 1}, id="-N1-3 -n4"),
        pytest.param({"nodes": 1, "max_nodes": 2, "ntasks": 8}, {"n3": 4, "n4": 4}, id="-N1-2 -n8"),
    ],
)
def test_nodes_with_one_three_and_four_cpus_free(request_, expected):
    cluster = Cluster(nodes=4).running(("n1",), cpus=3).running(("n2",), cpus=1)

    allocation = place(cluster, **request_)

    assert {grant.node: grant.cpu_count for grant in allocation.grants} == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({"nodes": 0, "gres_per_job": gpu(3)}, {"n1": "0-1", "n2": "0"}, id="-G3"),
        pytest.param({"nodes": 2, "gres_per_job": gpu(3)}, {"n1": "0-1", "n2": "0"}, id="-G3 -N2"),
        pytest.param({"nodes": 0, "ntasks": 3, "gres_per_task": gpu(1)}, {"n1": "0-1", "n2": "0"}, id="-n3 1 a task"),
        pytest.param({"nodes": 2, "ntasks": 4, "gres_per_node": gpu(1)}, {"n1": "0", "n2": "0"}, id="-N2 1 a node"),
    ],
)
def test_units_are_given_lowest_first(request_, expected):
    allocation = place(Cluster(nodes=4, gres=GPU2), **request_)

    assert {grant.node: grant.gres[0].units for grant in allocation.grants} == expected


def test_cpus_follow_the_gpus_when_asked():
    allocation = place(Cluster(nodes=4, gres=GPU2), nodes=0, gres_per_job=gpu(3), cpus_per_gpu=2)

    assert [grant.cpu_count for grant in allocation.grants] == [4, 2]


def test_a_type_is_taken_from_its_own_units():
    both = (GresRequest(name="gpu", type="a", count=2), GresRequest(name="gpu", type="b", count=2))

    allocation = place(Cluster(gres=both), gres_per_node=gpu(1, "b"))

    assert [(item.type, item.units) for item in allocation.grants[0].gres] == [("b", "2")]


def test_a_whole_node_comes_with_its_units_and_the_memory_that_was_asked():
    allocation = place(Cluster(gres=GPU2), exclusive="node", memory_per_node_mib=100)

    grant = allocation.grants[0]
    assert (grant.cpus, grant.memory_mib, grant.gres[0].units) == ("0-3", 100, "0-1")


def test_whole_cores_are_granted():
    cluster = Cluster(cpus=8, cores_per_socket=4, threads_per_core=2)

    assert place(cluster, ntasks=3).grants[0].cpus == "0-3"


def test_single_cpus_are_counted_when_the_policy_says_so():
    """The core of the last CPU goes to nobody else, as Slurm 22.05 was seen to do."""
    cluster = Cluster(cpus=8, cores_per_socket=4, threads_per_core=2)

    grant = place(cluster, Policy(select_unit="cpu"), ntasks=3, memory_per_cpu_mib=100).grants[0]

    assert (grant.cpus, grant.cpu_count, grant.memory_mib) == ("0-3", 3, 300)


def test_one_thread_a_core_doubles_the_cores():
    cluster = Cluster(cpus=8, cores_per_socket=4, threads_per_core=2)

    assert place(cluster, ntasks=3, hint="nomultithread").grants[0].cpus == "0-5"


def test_memory_per_cpu_counts_the_granted_cpus():
    cluster = Cluster(nodes=2, cpus=4, memory_mib=3000)

    allocation = place(cluster, nodes=0, ntasks=4, memory_per_cpu_mib=1000)

    assert [(grant.cpu_count, grant.memory_mib) for grant in allocation.grants] == [(3, 3000), (1, 1000)]


def test_memory_that_nobody_limits_is_the_whole_nodes():
    cluster = Cluster(nodes=2).running(("n1",), cpus=1, memory_mib=1)

    grant = place(cluster, memory_per_node_mib=0).grants[0]

    assert (grant.node, grant.memory_mib) == ("n2", 4000)


def test_light_nodes_are_used_first():
    cluster = Cluster(nodes=3, weight=5).node("n3", weight=1)

    assert place(cluster).nodes == ("n3",)


def test_neighbours_are_found_for_a_contiguous_job():
    cluster = Cluster(nodes=5).running(("n2",))

    assert place(cluster, nodes=2, is_contiguous=True).nodes == ("n3", "n4")


@pytest.mark.parametrize(
    ("expression", "nodes", "expected"),
    [
        pytest.param("ib", 1, ("n2",), id="a feature"),
        pytest.param("ib&big", 1, ("n3",), id="both"),
        pytest.param("big|ib", 2, ("n2", "n3"), id="either"),
        pytest.param("[ib*1&big*2]", 3, ("n2", "n3", "n4"), id="counts"),
        pytest.param("[ib|big]", 2, ("n2", "n3"), id="all alike"),
        pytest.param("[rare|big]", 2, ("n3", "n4"), id="the first kind has too few"),
    ],
)
def test_features_choose_the_nodes(expression, nodes, expected):
    cluster = Cluster(nodes=4).node("n1", features=("rare",)).node("n2", features=("ib",))
    cluster.node("n3", features=("ib", "big")).node("n4", features=("big",))

    assert place(cluster, nodes=nodes, features=expression).nodes == expected


def test_the_least_loaded_node_is_taken_when_the_partition_says_so():
    cluster = Cluster(nodes=2).partition("batch", least_loaded=True).running(("n1",), cpus=1)
    cluster.pending()
    cluster.pending(ntasks=2)

    plan = decide(cluster.snapshot())

    assert [start.allocation.nodes for start in plan.starts] == [("n2",), ("n1",)]


def test_a_node_kept_to_one_user_takes_no_other():
    cluster = Cluster(nodes=2).running(("n1",), cpus=1, uid=1, exclusive_uid=1)

    assert place(cluster, uid=2).nodes == ("n2",)


def test_a_job_that_wants_no_other_users_avoids_them():
    cluster = Cluster(nodes=2).running(("n1",), cpus=1, uid=1)

    assert place(cluster, uid=2, exclusive="user").nodes == ("n2",)


def test_an_exclusive_partition_gives_whole_nodes():
    cluster = Cluster(nodes=2).partition("batch", oversubscribe="EXCLUSIVE").running(("n1",), cpus=1)

    assert layout(place(cluster, ntasks=1)) == {"n2": (4, 1)}


def test_a_contiguous_job_for_one_node_passes_over_neighbours_that_are_too_small():
    """n1 and n2 have two CPUs free each, n3 has four."""
    cluster = Cluster(nodes=3, cpus=4).running(("n1",), cpus=2).running(("n2",), cpus=2)
    cluster.pending(ntasks=4, max_nodes=1, is_contiguous=True)

    assert decide(cluster.snapshot()).starts[0].allocation.nodes == ("n3",)


ARBITRARY = {"nodes": 2, "ntasks": 3, "required_nodes": ("n1", "n3"), "given": frozenset({"ntasks"})}


def test_an_arbitrary_distribution_gets_what_its_list_names_on_each_node():
    allocation = place(Cluster(nodes=3), **ARBITRARY, task_nodes=("n3", "n1", "n3"))

    assert layout(allocation) == {"n1": (1, 1), "n3": (2, 2)}


def test_it_waits_while_a_named_node_has_room_for_fewer():
    cluster = Cluster(nodes=3).running(("n3",), cpus=3, ends_in_s=600)
    job = cluster.pending(**ARBITRARY, task_nodes=("n3", "n1", "n3"))

    plan = decide(cluster.snapshot(), Policy())

    assert plan.planned[job.id].at == cluster.now_at + 600
    assert "2 nodes for 3 tasks, 1 task on n1, 2 tasks on n3" in plan.blockers[job.id][0].text


@pytest.mark.parametrize("change", [{"ntasks": 4}, {"required_nodes": ("n1", "n2")}], ids=["tasks", "nodes"])
def test_a_list_that_was_outdated_by_an_update_binds_no_more(change):
    allocation = place(Cluster(nodes=3), **{**ARBITRARY, **change}, task_nodes=("n3", "n1", "n3"))

    assert sum(allocation.tasks_per_node) == change.get("ntasks", 3)
