"""Failures that other schedulers are known for, each as a rule that a pass keeps.

Wide jobs that never start, planned starts taken from the wrong end of a running job, jobs that stand in their own way,
arrays that stay planned after their last task has started.
"""

import random

import pytest
from msgspec.structs import replace

from sluice.model.allocation import Allocation
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.snapshot import Policy, RunningJob
from tests.builders import Cluster

HOUR = 3600


def started(plan):
    return [start.job_id for start in plan.starts]


def test_a_wide_job_holds_a_planned_start_though_fewer_nodes_are_free_than_it_needs():
    """One node of eight is free: the wide job is planned for when the last one is, and keeps its place until then."""
    cluster = Cluster(nodes=8, cpus=1)
    for number in range(1, 8):
        cluster.running(nodes=(f"n{number}",), ends_in_s=600.0 * number)
    wide = cluster.pending(nodes=8)
    narrow = cluster.pending(nodes=1, limit_s=2 * HOUR)

    plan = decide(cluster.snapshot())

    assert plan.planned[wide.id].at == cluster.now_at + 4200
    assert len(plan.planned[wide.id].nodes) == 8
    assert started(plan) == []
    assert plan.planned[narrow.id].at >= cluster.now_at + 4200 + HOUR


def test_running_jobs_end_at_their_own_limit_and_not_at_the_partitions():
    cluster = Cluster(nodes=2, cpus=1).partition("batch", max_limit_s=24 * HOUR)
    cluster.running(nodes=("n1",), ends_in_s=300).running(nodes=("n2",), ends_in_s=900)
    first, second = cluster.pending(nodes=1), cluster.pending(nodes=1)

    plan = decide(cluster.snapshot())

    assert [plan.planned[job.id].at - cluster.now_at for job in (first, second)] == [300, 900]


def test_a_running_job_without_a_limit_frees_nothing():
    cluster = Cluster(nodes=2, cpus=1).running(nodes=("n1",), ends_in_s=None).running(nodes=("n2",), ends_in_s=600)
    narrow, wide = cluster.pending(nodes=1), cluster.pending(nodes=2)

    plan = decide(cluster.snapshot())

    assert plan.planned[narrow.id].at == cluster.now_at + 600
    assert wide.id not in plan.planned


def test_a_waiting_job_without_a_limit_is_planned_and_nothing_is_planned_after_it():
    cluster = Cluster(nodes=1, cpus=1).running(nodes=1, ends_in_s=600)
    endless, after = cluster.pending(nodes=1, limit_s=None), cluster.pending(nodes=1)

    plan = decide(cluster.snapshot())

    assert plan.planned[endless.id].at == cluster.now_at + 600
    assert after.id not in plan.planned


def test_a_job_without_a_limit_starts_where_no_planned_start_needs_the_node():
    cluster = Cluster(nodes=3, cpus=1).running(nodes=("n1",), ends_in_s=600)
    cluster.pending(nodes=2, required_nodes=("n1", "n2"))
    endless = cluster.pending(nodes=1, limit_s=None)

    plan = decide(cluster.snapshot())

    assert started(plan) == [endless.id]
    assert plan.starts[0].allocation.nodes == ("n3",)


def test_a_job_of_several_partitions_does_not_stand_in_its_own_way():
    """Its planned start in the first partition takes n2 from it in the second, unless that is given back."""
    cluster = Cluster(nodes=2, cpus=1).partition("all").partition("one", ("n2",)).running(nodes=("n1",), ends_in_s=600)
    job = cluster.pending(nodes=1, required_nodes=("n1",), partitions=("all",), limit_s=60)
    both = cluster.pending(nodes=2, max_nodes=2, partitions=("all",))
    either = cluster.pending(nodes=1, partitions=("one", "all"), limit_s=600)

    plan = decide(cluster.snapshot())

    assert job.id in plan.planned
    assert both.id in plan.planned
    assert started(plan) == [either.id]
    assert either.id not in plan.planned
    assert either.id not in plan.blockers


def test_a_job_planned_in_one_partition_starts_in_another_whose_node_is_its_own_planned_one():
    """The first partition wants two nodes a job, n1 and n2; the second is content with n2, which is free."""
    cluster = Cluster(nodes=2, cpus=1).partition("wide", min_nodes=2).partition("small", ("n2",))
    cluster.running(nodes=("n1",), ends_in_s=600)
    job = cluster.pending(nodes=1, max_nodes=2, partitions=("wide", "small"))

    plan = decide(cluster.snapshot())

    assert [(start.job_id, start.partition) for start in plan.starts] == [(job.id, "small")]
    assert plan.planned == {}
    assert plan.has_more, "what was kept for it is free again"


def test_an_array_of_several_partitions_that_has_started_keeps_neither_planned_start_nor_blockers():
    """Its first task goes to one partition, the second waits there and is planned, and then starts in the other."""
    cluster = Cluster(nodes=2, cpus=1).partition("left", ("n1",)).partition("right", ("n2",))
    cluster.pending(nodes=1, partitions=("left", "right"), tasks=((0, 1, 1),))

    plan = decide(cluster.snapshot())

    assert [(start.task_id, start.partition) for start in plan.starts] == [(0, "left"), (1, "right")]
    assert plan.planned == {}
    assert plan.blockers == {}


def test_an_array_that_has_not_wholly_started_is_planned_and_says_why():
    cluster = Cluster(nodes=2, cpus=1).partition("left", ("n1",)).partition("right", ("n2",))
    array = cluster.pending(nodes=1, partitions=("left", "right"), tasks=((0, 2, 1),))

    plan = decide(cluster.snapshot())

    assert [start.task_id for start in plan.starts] == [0, 1]
    assert plan.planned.keys() == {array.id}
    assert {blocker.reason for blocker in plan.blockers[array.id]} <= {Reason.RESOURCES, Reason.PRIORITY}


# --- starvation, over virtual time

NODES = 16


class Machine:
    """Sixteen nodes of one CPU, a stream of narrow jobs that never leaves them idle, and time that passes."""

    def __init__(self, seed: int, policy: Policy) -> None:
        self.random = random.Random(seed)
        self.policy = policy
        self.memory = Memory()
        self.cluster = Cluster(nodes=NODES, cpus=1)
        self.idle = dict(self.cluster.free_by_name)
        self.promised: dict = {}
        self.ends: dict[int, tuple[float, RunningJob]] = {}
        self.now_at = self.cluster.now_at

    def submit_narrow(self) -> None:
        limit_s = self.random.choice([600, 1800, 3600])
        self.cluster.pending(nodes=self.random.randint(1, 3), limit_s=limit_s)

    def pass_(self) -> set[int]:
        """Let a pass decide and its jobs begin; return them."""
        snapshot = replace(
            self.cluster.snapshot(),
            now_at=self.now_at,
            promised=self.promised if self.policy.keeps_promises else {},
        )
        plan = decide(snapshot, self.policy, memory=self.memory)
        self.promised = plan.planned
        jobs = {job.id: job for job in self.cluster.pending_jobs}
        for start in plan.starts:
            self._begin(jobs[start.job_id], start.allocation)
        ids = set(started(plan))
        self.cluster.pending_jobs = [job for job in self.cluster.pending_jobs if job.id not in ids]
        return ids

    def _begin(self, job: Job, allocation: Allocation) -> None:
        assert job.limit_s is not None, "a stream of limited jobs"
        # Most jobs end well before their limit.
        ran_s = job.limit_s * self.random.choice([0.2, 0.5, 1.0])
        running = RunningJob(job.id, "job", allocation, self.now_at + job.limit_s, 1000, "batch")
        self.ends[job.id] = (self.now_at + ran_s, running)
        for name in allocation.nodes:
            self.cluster.free_by_name[name] = replace(
                self.idle[name], free_cpus=0, free_memory_mib=3999, job_count=1, uids=(1000,)
            )
        self.cluster.running_jobs.append(running)

    def pass_time(self) -> None:
        """Go on to the next end of a job."""
        self.now_at = min(end_at for end_at, _ in self.ends.values())
        for job_id in [each for each, (end_at, _) in self.ends.items() if end_at <= self.now_at]:
            _, running = self.ends.pop(job_id)
            self.cluster.running_jobs.remove(running)
            for name in running.allocation.nodes:
                self.cluster.free_by_name[name] = self.idle[name]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "policy",
    [Policy(), Policy(planned_max=1), Policy(keeps_promises=True)],
    ids=["backfill", "EASY", "kept promises"],
)
def test_a_wide_job_under_a_stream_of_narrow_ones_starts_within_the_longest_limit(policy, seed):
    """It is at the head when it comes; whatever narrow ones come after it, none delays it beyond what runs already."""
    machine = Machine(seed, policy)
    for _ in range(20):
        machine.submit_narrow()
    machine.pass_()
    machine.cluster.pending_jobs.clear()
    wide = machine.cluster.pending(nodes=NODES, limit_s=600)
    came_at = machine.now_at
    first_planned_at = None
    for _ in range(300):
        for _ in range(3):
            machine.submit_narrow()
        if wide.id in machine.pass_():
            break
        planned_at = machine.promised[wide.id].at
        assert first_planned_at is None or planned_at <= first_planned_at, "a planned start moved later"
        first_planned_at = planned_at
        machine.pass_time()
    else:
        pytest.fail("the wide job never started")
    assert machine.now_at <= came_at + HOUR
