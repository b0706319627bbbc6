"""What is refused at submission, and what is accepted with a warning."""

import pytest

from sluice.model.request import GresRequest
from sluicectld.scheduler.feasible import Verdict, check_request
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster, make_spec


def check(
    policy: Policy | None = None,
    nodes: int = 1,
    partition: dict | None = None,
    gres: tuple[GresRequest, ...] = (GresRequest(name="gpu", count=2),),
    **spec,
) -> Verdict | None:
    cluster = Cluster(nodes=4, gres=gres, features=("a", "b"))
    cluster.partition("batch", max_limit_s=3600, **(partition or {}))
    known = [free.node for free in cluster.free_by_name.values()]
    return check_request(
        make_spec(nodes, **spec), known, cluster.partitions["batch"], policy or Policy(), tuple(cluster.free_by_name)
    )


@pytest.mark.parametrize(
    ("spec", "code", "text"),
    [
        pytest.param(
            {"cpus_per_task": 9},
            "infeasible",
            "CPU count per node can not be satisfied: 9 CPUs on one node requested, partition batch has at most 4; "
            "-c 4 or fewer would fit",
            id="too many CPUs for a task",
        ),
        pytest.param(
            {"min_cpus_per_node": 9},
            "infeasible",
            "CPU count per node can not be satisfied: 9 CPUs on one node requested, partition batch has at most 4; "
            "--mincpus=4 or fewer would fit",
            id="too many CPUs for a node",
        ),
        pytest.param(
            {"ntasks_per_node": 4, "cpus_per_task": 2},
            "infeasible",
            "CPU count per node can not be satisfied: 8 CPUs on one node (4 tasks of 2) requested, "
            "partition batch has at most 4; -c 1 would fit",
            id="too many CPUs for the tasks of a node",
        ),
        pytest.param(
            {"ntasks_per_node": 4, "cpus_per_task": 6},
            "infeasible",
            "CPU count per node can not be satisfied: 24 CPUs on one node (4 tasks of 6) requested, "
            "partition batch has at most 4; -c 1 would fit",
            id="more for them than the partition has",
        ),
        pytest.param(
            {"ntasks_per_node": 99},
            "infeasible",
            "CPU count per node can not be satisfied: 99 CPUs on one node requested, partition batch has at most 4; "
            "4 tasks or fewer on one node would fit",
            id="more tasks on a node",
        ),
        pytest.param(
            {"ntasks": 20, "max_nodes": 1},
            "infeasible",
            "CPU count per node can not be satisfied: 20 CPUs on one node requested, partition batch has at most 4; "
            "4 tasks or fewer on one node would fit",
            id="more tasks on the only node than the partition has CPUs",
        ),
        pytest.param(
            {"nodes": 2, "ntasks": 19, "max_nodes": 2},
            "infeasible",
            "can not be held by idle nodes: 4 nodes in partition batch, room for 8 tasks on 2 nodes; "
            "needs 2 nodes for 19 tasks",
            id="more tasks on two nodes than the partition has CPUs",
        ),
        pytest.param(
            {"nodes": 99, "memory_per_node_mib": 1 << 20},
            "infeasible",
            "Memory specification can not be satisfied: 1048576 MiB on one node requested, "
            "partition batch has at most 4000 MiB",
            id="too much memory on more nodes than there are",
        ),
        pytest.param(
            {"memory_per_node_mib": 1 << 20},
            "infeasible",
            "Memory specification can not be satisfied: 1048576 MiB on one node requested, "
            "partition batch has at most 4000 MiB",
            id="too much memory",
        ),
        pytest.param(
            {"memory_per_cpu_mib": 9000, "nodes": 2, "exclusive": "node"},
            "infeasible",
            "Memory specification can not be satisfied: 9000 MiB for each CPU of a whole node requested, "
            "partition batch has at most 1000 MiB a CPU",
            id="more memory for a CPU than a whole node has",
        ),
        pytest.param(
            {"memory_per_cpu_mib": 1001, "exclusive": "node"},
            "infeasible",
            "Memory specification can not be satisfied: 1001 MiB for each CPU of a whole node requested, "
            "partition batch has at most 1000 MiB a CPU",
            id="a little too much memory for each CPU of a whole node",
        ),
        pytest.param(
            {"memory_per_cpu_mib": 1001, "partition": {"oversubscribe": "EXCLUSIVE"}},
            "infeasible",
            "Memory specification can not be satisfied: 1001 MiB for each CPU of a whole node requested, "
            "partition batch has at most 1000 MiB a CPU",
            id="the same where the partition gives whole nodes",
        ),
        pytest.param(
            {"tmp_disk_mib": 10},
            "infeasible",
            "Temporary disk specification can not be satisfied: 10 MiB requested, partition batch has at most 0 MiB",
            id="too much local disk",
        ),
        pytest.param(
            {"threads_per_core": 2},
            "infeasible",
            "Socket, core and/or thread specification can not be satisfied: sockets:cores:threads 0:0:2 requested, "
            "partition batch has 1:4:1",
            id="no such threads",
        ),
        pytest.param(
            {"features": "a|zz"}, "invalid_feature", "no node of partition batch has zz; it has a, b", id="a feature"
        ),
        pytest.param(
            {"features": "a&"},
            "invalid_feature",
            "'a&' is not a constraint: expected a feature name, found the end",
            id="a trailing operator",
        ),
        pytest.param({"required_nodes": ("n9",)}, "invalid_node", "no node is called n9", id="an unknown node"),
        pytest.param({"excluded_nodes": ("n9",)}, "invalid_node", "no node is called n9", id="avoided, unknown"),
        pytest.param(
            {"required_nodes": ("n1",), "excluded_nodes": ("n1",)},
            "invalid_node",
            "node n1 is both asked for (--nodelist) and excluded (--exclude)",
            id="a node required and excluded",
        ),
        pytest.param(
            {"required_nodes": ("n1", "n2", "n3"), "excluded_nodes": ("n2", "n1")},
            "invalid_node",
            "nodes n[1-2] are both asked for (--nodelist) and excluded (--exclude)",
            id="nodes required and excluded",
        ),
        pytest.param(
            {"excluded_nodes": ("n1", "n2", "n3", "n4")},
            "infeasible",
            "all 4 nodes of partition batch are excluded",
            id="all nodes excluded",
        ),
        pytest.param(
            {"required_nodes": ("n1", "n2")},
            "node_count",
            "2 nodes named (--nodelist), at most 1 requested (-N)",
            id="too many named",
        ),
        pytest.param(
            {"gres_per_node": (GresRequest(name="fpga"),)},
            "invalid_gres",
            "no node of partition batch has fpga",
            id="an unknown resource",
        ),
        pytest.param(
            {"gres_per_node": (GresRequest(name="gpu", count=3),)},
            "infeasible",
            "gpu:3 on one node requested, partition batch has 2",
            id="too many units on a node",
        ),
        pytest.param(
            {"nodes": 0, "gres_per_job": (GresRequest(name="gpu", count=20),)},
            "infeasible",
            "gpu:20 requested, partition batch has 8",
            id="too many units in all",
        ),
        pytest.param(
            {"gres_per_node": (GresRequest(name="gpu", type="h100"),)},
            "infeasible",
            "gpu:h100:1 on one node requested, partition batch has 0; its nodes name no types",
            id="a type where there are none",
        ),
        pytest.param(
            {"nodes": 2, "ntasks": 3, "ntasks_per_node": 1},
            "infeasible",
            "can not be held by idle nodes: 4 nodes in partition batch, room for 2 tasks on 2 nodes; "
            "needs 2 nodes for 3 tasks",
            id="more tasks than the nodes may take",
        ),
    ],
)
def test_what_can_never_run_is_refused_with_the_numbers(spec, code, text):
    verdict = check(**spec)

    assert verdict is not None
    assert (verdict.is_refusal, verdict.code, verdict.text) == (True, code, text)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param({"nodes": 100}, "100 nodes requested, partition batch has 4", id="more nodes than there are"),
        pytest.param({"nodes": 0, "ntasks": 1000}, "1000 CPUs requested, partition batch has 16", id="more CPUs"),
        pytest.param(
            {"limit_s": 7200},
            "time limit 02:00:00, partition batch allows at most 01:00:00 (MaxTime)",
            id="a longer limit",
        ),
        pytest.param(
            {"is_unlimited": True},
            "time limit UNLIMITED, partition batch allows at most 01:00:00 (MaxTime)",
            id="no limit",
        ),
        pytest.param(
            {"nodes": 2, "partition": {"max_nodes": 1}},
            "2 nodes requested, partition batch allows at most 1 (MaxNodes)",
            id="more nodes than allowed",
        ),
    ],
)
def test_what_waits_for_a_change_is_accepted_with_a_warning(spec, text):
    verdict = check(**spec)

    assert verdict is not None
    assert not verdict.is_refusal
    assert verdict.text.startswith(f"{text}; the job has to wait until it ")


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        pytest.param(
            {"nodes": 5},
            ["4 nodes in partition batch; needs 5 nodes", "nearest request that fits: -N 4 instead of 5"],
            id="nodes",
        ),
        pytest.param(
            {"nodes": 0, "ntasks": 9, "cpus_per_task": 2},
            [
                "4 nodes in partition batch, room for 8 tasks; needs 1 node for 9 tasks",
                "nearest request that fits: -n 8 instead of 9",
            ],
            id="tasks of two CPUs",
        ),
        pytest.param(
            {"nodes": 0, "ntasks": 20},
            [
                "4 nodes in partition batch, room for 16 tasks; needs 1 node for 20 tasks",
                "nearest request that fits: -n 16 instead of 20",
            ],
            id="tasks",
        ),
    ],
)
def test_who_has_to_wait_for_more_nodes_is_told_what_would_fit_now(spec, lines):
    verdict = check(**spec)

    assert verdict is not None
    assert not verdict.is_refusal
    assert verdict.nearest.split("\n") == lines


def test_partition_limits_are_enforced_when_configured():
    verdict = check(policy=Policy(enforce_partition_limits="ALL"), limit_s=7200)

    assert verdict is not None
    assert (verdict.is_refusal, verdict.code) == (True, "time_limit")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"nodes": 4, "ntasks": 16}, id="the whole partition"),
        pytest.param({"features": "[a*2&b*1]", "nodes": 2}, id="counts of features"),
        pytest.param({"exclusive": "node", "gres_per_node": (GresRequest(name="gpu", count=2),)}, id="a whole node"),
    ],
)
def test_what_idle_nodes_hold_is_accepted(spec):
    assert check(**spec) is None


def test_nodes_that_are_down_now_count():
    cluster = Cluster(nodes=2, is_drained=True)
    nodes = [free.node for free in cluster.free_by_name.values()]

    assert check_request(make_spec(2), nodes, cluster.partitions["batch"], Policy()) is None


def test_the_funnel_of_a_refusal_is_told_once():
    cluster = Cluster(nodes=3).node("n1", features=("ssd",))
    cluster.node("n2", memory_mib=32_000)
    known = [free.node for free in cluster.free_by_name.values()]
    spec = make_spec(1, features="ssd", memory_per_node_mib=30_000)

    verdict = check_request(spec, known, cluster.partitions["batch"], Policy(), tuple(cluster.free_by_name))

    assert verdict is not None
    funnel = "3 nodes in partition batch -> 1 with features ssd -> 0 with 30000 MiB; needs 1 node"
    assert verdict.details == f"can not be held by idle nodes: {funnel}"
    assert verdict.nearest == "nearest request that fits: without -C ssd"


def test_a_type_that_no_node_has_is_refused_with_those_that_there_are():
    verdict = check(
        gres=(GresRequest(name="gpu", type="h200"), GresRequest(name="gpu", type="a100")),
        gres_per_node=(GresRequest(name="gpu", type="h100"),),
    )

    assert verdict is not None
    assert verdict.text == "gpu:h100:1 on one node requested, partition batch has 0; it has gpu:a100, gpu:h200"


def test_the_nearest_request_counts_what_the_allowed_nodes_hold():
    verdict = check(ntasks=20, max_nodes=1)

    assert verdict is not None
    assert verdict.nearest.endswith("nearest request that fits: -n 4 instead of 20")
