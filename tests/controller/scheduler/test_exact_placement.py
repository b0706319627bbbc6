"""Which CPUs and units come together: sockets, units near cores, parts of GPUs, shared CPUs."""

from __future__ import annotations

import pytest

from sluice.model.allocation import Allocation
from sluice.model.node import GresPlace
from sluice.model.request import GresRequest
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster

TWO_SOCKETS = {"cpus": 8, "sockets": 2, "cores_per_socket": 4}
#: GPU 0 and 1 at the first socket, 2 and 3 at the second.
GPU4 = (GresRequest(name="gpu", count=4),)
NEAR = (GresPlace(name="gpu", count=2, cores="0-3"), GresPlace(name="gpu", count=2, cores="4-7"))


def gpu(count: int, kind: str = "") -> tuple[GresRequest, ...]:
    return (GresRequest(name="gpu", type=kind, count=count),)


def starts_of(cluster: Cluster, policy: Policy | None = None) -> list[Allocation]:
    return [start.allocation for start in decide(cluster.snapshot(), policy or Policy()).starts]


def cpus_of(cluster: Cluster, policy: Policy | None = None) -> list[str]:
    return [allocation.grants[0].cpus for allocation in starts_of(cluster, policy)]


def units_of(allocation: Allocation) -> dict[str, str]:
    return {item.name: item.units for item in allocation.grants[0].gres}


@pytest.mark.parametrize(
    ("request_", "cpus"),
    [
        pytest.param({"ntasks": 2}, "0,4", id="two tasks, the sockets in turn"),
        pytest.param({"ntasks": 5}, "0-2,4-5", id="five tasks"),
        pytest.param({"ntasks": 2, "distribution": "block:block"}, "0-1", id="on few sockets when asked"),
        pytest.param({"ntasks": 5, "distribution": "block:block"}, "0-4", id="more than a socket"),
        pytest.param({"ntasks": 2, "ntasks_per_socket": 1, "cpus_per_task": 3}, "0-2,4-6", id="a task a socket"),
        pytest.param({"ntasks": 1, "ntasks_per_socket": 1, "cpus_per_task": 3}, "0-2", id="a task on one socket"),
    ],
)
def test_cores_of_two_sockets(request_, cpus):
    """As Slurm 22.05 was seen to do."""
    cluster = Cluster(**TWO_SOCKETS)
    cluster.pending(**request_)

    assert cpus_of(cluster) == [cpus]


def test_a_block_goes_where_it_leaves_least():
    """One core of the first socket is taken: three more fill it."""
    cluster = Cluster(**TWO_SOCKETS).running(1, cpus=1)
    cluster.pending(ntasks=3, distribution="block:block")

    assert cpus_of(cluster) == ["1-3"]


def test_tasks_a_socket_bound_the_tasks_of_a_node():
    cluster = Cluster(nodes=2, **TWO_SOCKETS)
    cluster.pending(nodes=0, ntasks=4, ntasks_per_socket=1)

    assert [(grant.node, grant.cpus) for grant in starts_of(cluster)[0].grants] == [("n1", "0,4"), ("n2", "0,4")]


def test_a_task_does_not_straddle_sockets_when_they_are_counted():
    """Two cores are free on each socket; a task of three with a bound by socket has to wait."""
    cluster = Cluster(**TWO_SOCKETS)
    cluster.pending(ntasks=4, limit_s=60)
    waiting = cluster.pending(ntasks=1, cpus_per_task=3, ntasks_per_socket=1)
    plan = decide(cluster.snapshot())

    assert waiting.id in plan.blockers
    assert plan.planned[waiting.id].at == cluster.now_at + 60


class TestNearUnits:
    def test_cores_come_from_the_socket_of_the_gpus(self):
        cluster = Cluster(gres=GPU4, gres_places=NEAR, **TWO_SOCKETS)
        cluster.pending(ntasks=2, gres_per_node=gpu(1))
        cluster.pending(ntasks=2, gres_per_node=gpu(2))

        first, second = starts_of(cluster)

        assert (first.grants[0].cpus, units_of(first)) == ("0-1", {"gpu": "0"})
        assert (second.grants[0].cpus, units_of(second)) == ("4-5", {"gpu": "2-3"})

    def test_far_cores_do_when_there_are_no_near_ones(self):
        cluster = Cluster(gres=GPU4, gres_places=NEAR, **TWO_SOCKETS)
        cluster.pending(ntasks=6, gres_per_node=gpu(1))

        assert cpus_of(cluster) == ["0-5"]

    def test_enforced_binding_waits_for_near_cores(self):
        """Each socket has a free GPU, the near cores of both are taken but for one of the first."""
        cluster = Cluster(gres=GPU4, gres_places=NEAR, **TWO_SOCKETS)
        cluster.pending(ntasks=3, distribution="block:block")
        cluster.pending(ntasks=4, distribution="block:block")
        enforced = cluster.pending(
            ntasks=2, limit_s=60, gres_per_node=gpu(1), other=(("gres-flags", "enforce-binding"),)
        )

        plan = decide(cluster.snapshot())

        assert len(plan.starts) == 2
        assert enforced.id in plan.blockers

    def test_enforced_binding_takes_gpus_of_one_socket_for_one_core(self):
        """Two GPUs and one core: a GPU of another socket would have no core near it."""
        cluster = Cluster(gres=GPU4, gres_places=NEAR, **TWO_SOCKETS)
        cluster.pending(gres_per_node=gpu(1))
        cluster.pending(gres_per_node=gpu(1), other=(("gres-flags", "disable-binding"),))
        cluster.pending(gres_per_node=gpu(2), other=(("gres-flags", "enforce-binding"),))

        assert [units_of(each)["gpu"] for each in starts_of(cluster)] == ["0", "1", "2-3"]

    def test_units_by_socket_come_from_so_many_sockets(self):
        cluster = Cluster(gres=GPU4, gres_places=NEAR, **TWO_SOCKETS)
        cluster.pending(ntasks=2, gres_per_socket=gpu(1), sockets_per_node=2)

        (allocation,) = starts_of(cluster)

        assert (allocation.grants[0].cpus, units_of(allocation)) == ("0,4", {"gpu": "0,2"})


class TestPartsOfGpus:
    SHARDS = (GresRequest(name="gpu", count=2), GresRequest(name="shard", count=8))

    def test_parts_fill_one_gpu_and_leave_the_other_whole(self):
        cluster = Cluster(cpus=8, gres=self.SHARDS)
        for count in (2, 2):
            cluster.pending(gres_per_node=(GresRequest(name="shard", count=count),))
        cluster.pending(gres_per_node=gpu(1))

        assert [units_of(each) for each in starts_of(cluster)] == [{"shard": "0-1"}, {"shard": "2-3"}, {"gpu": "1"}]

    def test_a_gpu_in_parts_is_not_given_whole(self):
        cluster = Cluster(cpus=8, gres=self.SHARDS)
        cluster.pending(gres_per_node=(GresRequest(name="shard", count=1),))
        waiting = cluster.pending(gres_per_node=gpu(2))

        plan = decide(cluster.snapshot())

        assert len(plan.starts) == 1
        assert waiting.id in plan.planned

    def test_a_whole_gpu_is_not_given_in_parts(self):
        cluster = Cluster(cpus=8, gres=self.SHARDS)
        cluster.pending(gres_per_node=gpu(1))
        cluster.pending(gres_per_node=(GresRequest(name="shard", count=4),))
        waiting = cluster.pending(gres_per_node=(GresRequest(name="shard", count=1),))

        plan = decide(cluster.snapshot())

        assert [units_of(start.allocation) for start in plan.starts] == [{"gpu": "0"}, {"shard": "4-7"}]
        assert waiting.id in plan.blockers


class TestSharedCpus:
    def cluster(self, oversubscribe: str) -> Cluster:
        return Cluster(cpus=4).partition("batch", oversubscribe=oversubscribe)

    def test_a_forced_partition_has_several_jobs_on_a_cpu(self):
        cluster = self.cluster("FORCE:2")
        for _ in range(3):
            cluster.pending(ntasks=4)

        plan = decide(cluster.snapshot())

        assert [start.allocation.grants[0].cpus for start in plan.starts] == ["0-3", "0-3"]
        assert all(start.allocation.is_sharing for start in plan.starts)
        assert len(plan.planned) == 1

    def test_idle_cpus_come_before_shared_ones(self):
        cluster = self.cluster("FORCE:2")
        for _ in range(3):
            cluster.pending(ntasks=2)

        assert cpus_of(cluster) == ["0-1", "2-3", "0-1"]

    def test_memory_is_never_shared(self):
        cluster = self.cluster("FORCE:4")
        for _ in range(3):
            cluster.pending(memory_per_node_mib=2000)

        assert len(starts_of(cluster)) == 2

    def test_jobs_share_only_when_they_ask_where_it_is_allowed(self):
        cluster = self.cluster("YES:2")
        cluster.pending(ntasks=4, can_oversubscribe=True)
        alone = cluster.pending(ntasks=4)
        cluster.pending(ntasks=4, can_oversubscribe=True)

        plan = decide(cluster.snapshot())

        assert [start.job_id for start in plan.starts] == [1, 3]
        assert alone.id in plan.planned

    def test_a_job_that_does_not_share_keeps_its_cpus(self):
        cluster = self.cluster("YES:2")
        cluster.pending(ntasks=4)
        cluster.pending(ntasks=4, can_oversubscribe=True)

        assert len(starts_of(cluster)) == 1

    def test_other_partitions_do_not_come_onto_shared_cpus(self):
        cluster = self.cluster("FORCE:2").partition("other", oversubscribe="FORCE:2")
        cluster.pending(ntasks=4)
        cluster.pending(ntasks=4, partitions=("other",))

        assert len(starts_of(cluster)) == 1

    def test_planned_starts_count_the_jobs_on_a_cpu(self):
        """One of two jobs ends first; the third one starts then, the fourth when both are gone."""
        cluster = self.cluster("FORCE:2")
        cluster.pending(ntasks=4, limit_s=60)
        cluster.pending(ntasks=4, limit_s=300)
        third = cluster.pending(ntasks=4, limit_s=3000)
        fourth = cluster.pending(ntasks=4, limit_s=3000)

        planned = decide(cluster.snapshot()).planned

        assert planned[third.id].at == cluster.now_at + 60
        assert planned[fourth.id].at == cluster.now_at + 300


def test_cores_of_the_system_are_given_to_nobody():
    """The last core of each socket is withheld, and memory."""
    cluster = Cluster(memory_mib=1000, core_spec_count=2, mem_spec_limit_mib=200, **TWO_SOCKETS)
    cluster.pending(exclusive="node", memory_per_node_mib=0)

    (allocation,) = starts_of(cluster)

    assert (allocation.grants[0].cpus, allocation.memory_mib) == ("0-2,4-6", 800)


def test_core_spec_leaves_fewer_cores_for_tasks_of_a_whole_node():
    policy = Policy(allows_core_spec=True)
    fitting, asking_too_much = Cluster(cpus=4), Cluster(cpus=4)
    fitting.pending(ntasks=3, core_spec=1)
    asking_too_much.pending(ntasks=4, core_spec=1)

    assert cpus_of(fitting, policy) == ["0-3"]
    assert cpus_of(asking_too_much, policy) == []


def test_units_that_are_only_counted_have_no_numbers():
    places = (GresPlace(name="bandwidth", count=1 << 32, is_counted=True),)
    cluster = Cluster(gres=(GresRequest(name="bandwidth", count=1 << 32),), gres_places=places)
    cluster.pending(gres_per_node=(GresRequest(name="bandwidth", count=1 << 31),))
    cluster.pending(gres_per_node=(GresRequest(name="bandwidth", count=(1 << 31) + 1),))

    (allocation,) = starts_of(cluster)

    assert allocation.grants[0].gres[0].count == 1 << 31
    assert units_of(allocation) == {"bandwidth": ""}


def test_types_may_be_mixed():
    gres = (GresRequest(name="gpu", type="a100", count=2), GresRequest(name="gpu", type="h100", count=2))
    cluster = Cluster(gres=gres)
    cluster.pending(gres_per_node=(*gpu(2, "a100"), *gpu(1, "h100")))

    (allocation,) = starts_of(cluster)

    assert [(item.type, item.units) for item in allocation.grants[0].gres] == [("a100", "0-1"), ("h100", "2")]


def test_tasks_share_gpus_as_many_as_asked():
    """Five tasks, two to a GPU: three GPUs."""
    cluster = Cluster(cpus=8, gres=GPU4)
    cluster.pending(ntasks=5, other=(("ntasks-per-gpu", "2"),))

    assert units_of(starts_of(cluster)[0]) == {"gpu": "0-2"}


def test_memory_above_the_limit_a_cpu_takes_more_cpus():
    cluster = Cluster(cpus=4)
    cluster.pending(memory_per_cpu_mib=2500)

    (allocation,) = starts_of(cluster, Policy(max_memory_per_cpu_mib=1000))

    assert (allocation.cpu_count, allocation.memory_mib) == (3, 2502)


@pytest.mark.parametrize(
    ("policy", "node"),
    [
        pytest.param(Policy(), "n1", id="the first node"),
        pytest.param(Policy(puts_serial_last=True), "n3", id="serial jobs at the end"),
        pytest.param(Policy(is_least_loaded=True), "n2", id="the node with most idle CPUs"),
    ],
)
def test_orderings(policy, node):
    cluster = Cluster(nodes=3).running(("n1",), cpus=1).running(("n3",), cpus=2)
    cluster.pending()

    assert starts_of(cluster, policy)[0].nodes == (node,)


def test_planned_starts_prefer_nodes_in_use_when_told_to():
    """Two nodes come free together with the third, which is in use in part."""
    cluster = Cluster(nodes=3, cpus=4).running(("n3",), cpus=1, ends_in_s=600).running(("n2",), ends_in_s=600)
    waiting = cluster.pending(nodes=2, exclusive="node")

    assert decide(cluster.snapshot()).planned[waiting.id].nodes == ("n1", "n2")
    assert decide(cluster.snapshot(), Policy(prefers_busy_nodes=True)).planned[waiting.id].nodes == ("n2", "n3")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({"ntasks": 5}, {"n1": 2, "n2": 2, "n3": 1}, id="five tasks"),
        pytest.param({"ntasks": 2}, {"n1": 1, "n2": 1}, id="two tasks"),
        pytest.param({"ntasks": 12}, {"n1": 4, "n2": 4, "n3": 4}, id="all there is"),
        pytest.param({"ntasks": 6, "max_nodes": 2}, {"n1": 3, "n2": 3}, id="on two nodes at most"),
    ],
)
def test_a_spread_job_is_on_many_nodes(request_, expected):
    cluster = Cluster(nodes=3)
    cluster.pending(nodes=request_.pop("nodes", 0), other=(("spread-job", ""),), **request_)

    (allocation,) = starts_of(cluster)

    assert dict(zip(allocation.nodes, allocation.tasks_per_node, strict=True)) == expected


def test_a_range_of_nodes_takes_the_fewest_when_asked():
    cluster = Cluster(nodes=3)
    cluster.pending(nodes=1, max_nodes=3, ntasks=3, other=(("use-min-nodes", ""),))

    assert starts_of(cluster)[0].nodes == ("n1",)


@pytest.mark.parametrize(
    ("policy", "tasks"),
    [
        pytest.param(Policy(), (3, 2, 2), id="evenly, as Slurm 22.05 was seen to do"),
        pytest.param(Policy(packs_tasks=True), (5, 1, 1), id="packed when configured"),
    ],
)
def test_tasks_of_whole_nodes(policy, tasks):
    cluster = Cluster(nodes=3, cpus=8)
    cluster.pending(nodes=3, ntasks=7, exclusive="node")

    assert starts_of(cluster, policy)[0].tasks_per_node == tasks
