"""Limits in whole passes: starts count at once, stopped jobs hold no planned start, and the answer is quick."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.model.qos import QosFlag
from sluice.model.reason import Reason
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.limits import book as book_module
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster
from tests.limits_builder import Site

POLICY = Policy(accounting_enforced=frozenset({"associations", "limits", "qos"}))


def plan_with(cluster: Cluster, site: Site, policy: Policy = POLICY) -> Plan:
    return decide(site.seen_by(cluster.snapshot()), policy)


def physics(**limits: Any) -> Site:
    return Site().account("physics", **limits).user("ann", "physics").user("bob", "physics")


def started(plan: Plan) -> list[int]:
    return [start.job_id for start in plan.starts]


def reasons(plan: Plan, job_id: int) -> list[str]:
    return [str(blocker.reason) for blocker in plan.blockers[job_id]]


def test_starts_within_one_pass_count_at_once() -> None:
    cluster = Cluster(nodes=4)
    jobs = [cluster.pending(user=user) for user in ("ann", "bob", "ann")]

    plan = plan_with(cluster, physics(group_jobs=2))

    assert started(plan) == [jobs[0].id, jobs[1].id]
    assert plan.blockers[jobs[2].id][0].text == "account physics: GrpJobs 2, 2 run"


def test_a_stopped_job_holds_no_planned_start_and_no_place_in_the_queue() -> None:
    """The first job may not run; the second takes the nodes that it would have needed."""
    cluster = Cluster(nodes=2).running(nodes=1, ends_in_s=600)
    stopped = cluster.pending(nodes=2, user="ann")
    lower = cluster.pending(nodes=1, user="bob", limit_s=7200)

    plan = plan_with(cluster, Site().account("physics").user("ann", "physics", max_jobs=0).user("bob", "physics"))

    assert started(plan) == [lower.id]
    assert reasons(plan, stopped.id) == ["AssocMaxJobsLimit"]
    assert not plan.planned


def test_assoc_limit_stop_keeps_the_partition_waiting_behind_a_stopped_job() -> None:
    cluster = Cluster(nodes=2).partition("other")
    stopped = cluster.pending(user="ann")
    lower = cluster.pending(user="bob")
    elsewhere = cluster.pending(user="bob", partitions=("other",))
    site = Site().account("physics").user("ann", "physics", max_jobs=0).user("bob", "physics")

    plan = plan_with(cluster, site, replace(POLICY, stops_at_limits=True))

    assert started(plan) == [elsewhere.id]
    assert plan.blockers[lower.id][0].text == f"behind job {stopped.id} in partition batch"


def test_tasks_of_an_array_start_up_to_the_limit() -> None:
    cluster = Cluster(nodes=4)
    array = cluster.pending(user="ann", tasks=((1, 9, 1),))

    plan = plan_with(cluster, physics(group_tres={"cpu": 2}))

    assert [start.task_id for start in plan.starts] == [1, 2]
    assert reasons(plan, array.id) == ["AssocGrpCpuLimit"]


def test_an_exclusive_job_counts_all_cpus_of_its_node() -> None:
    """One CPU is asked, and the limit would allow it; the node has four."""
    cluster = Cluster(nodes=2, cpus=4)
    whole = cluster.pending(user="ann", exclusive="node")
    part = cluster.pending(user="ann")

    plan = plan_with(cluster, physics(group_tres={"cpu": 3}))

    assert started(plan) == [part.id]
    assert plan.blockers[whole.id][0].text == "account physics: GrpTRES cpu=3, 0 in use, needs 4; 3 would fit"


def test_max_tres_per_node_counts_what_the_placement_gives() -> None:
    cluster = Cluster(nodes=2, cpus=4)
    packed = cluster.pending(nodes=0, ntasks=4, user="ann")
    spread = cluster.pending(nodes=2, ntasks=4, ntasks_per_node=2, user="ann")

    plan = plan_with(cluster, physics(max_tres_per_node={"cpu": 2}))

    assert started(plan) == [spread.id]
    assert reasons(plan, packed.id) == ["AssocMaxCpuPerNode"]


def test_licenses_are_tres_too() -> None:
    cluster = Cluster(nodes=2).licenses(matlab=5)
    jobs = [cluster.pending(user="ann", licenses="matlab:2") for _ in range(2)]

    plan = plan_with(cluster, physics(group_tres={"license/matlab": 3}))

    assert started(plan) == [jobs[0].id]
    assert reasons(plan, jobs[1].id) == ["AssocGrpLicense"]


def test_billing_is_by_the_partitions_weights() -> None:
    cluster = Cluster(nodes=2).partition("batch", billing_weights="CPU=2,Mem=1G")
    jobs = [cluster.pending(user="ann", memory_per_node_mib=1024) for _ in range(2)]

    plan = plan_with(cluster, physics(group_tres={"billing": 5}))

    assert started(plan) == [jobs[0].id]
    assert plan.blockers[jobs[1].id][0].text == "account physics: GrpTRES billing=5, 3 in use, needs 3; 2 would fit"


def test_a_bar_of_the_partition_comes_first_and_the_limits_with_it() -> None:
    cluster = Cluster(nodes=2).partition("batch", state="DOWN")
    job = cluster.pending(user="ann")

    plan = plan_with(cluster, physics(group_jobs=0))

    assert reasons(plan, job.id) == ["PartitionDown", "AssocGrpJobsLimit"]


@pytest.mark.parametrize(
    ("flag", "bounds", "job"),
    [
        (QosFlag.PARTITION_MAX_NODES, {"max_nodes": 1}, {"nodes": 2}),
        (QosFlag.PARTITION_MIN_NODES, {"min_nodes": 2}, {"nodes": 1}),
        (QosFlag.PARTITION_TIME_LIMIT, {"max_limit_s": 60}, {"limit_s": 3600}),
    ],
)
def test_a_qos_may_override_a_bound_of_the_partition(flag, bounds, job) -> None:
    cluster = Cluster(nodes=2).partition("batch", **bounds)
    bound = cluster.pending(user="ann", **job)
    free = cluster.pending(user="ann", qos="free", **job)

    plan = plan_with(cluster, physics().qos("free", (flag,)))

    assert started(plan) == [free.id]
    assert plan.blockers[bound.id][0].reason in (Reason.PARTITION_NODE_LIMIT, Reason.PARTITION_TIME_LIMIT)
    assert len(plan.starts[0].allocation.grants) == job.get("nodes", 1)


@pytest.mark.parametrize("keeps_promises", [False, True], ids=["planned anew", "promised"])
def test_requests_under_such_a_qos_are_as_many_shapes_after_many_passes_as_after_one(keeps_promises) -> None:
    """Three requests, each bound and free of bounds; new jobs come in each pass and ask for the same."""
    cluster = Cluster(nodes=4).partition("batch", max_limit_s=60).running(nodes=3, ends_in_s=600)
    site = physics().qos("free", (QosFlag.PARTITION_TIME_LIMIT,))
    policy = replace(POLICY, keeps_promises=keeps_promises)
    memory = Memory()
    promised = {}
    counts = []
    for _ in range(5):
        for nodes in (2, 3, 4):
            for qos in ("", "free"):
                cluster.pending(user="ann", qos=qos, nodes=nodes, limit_s=3600)
        snapshot = replace(cluster.snapshot(), promised=promised, is_freed=False)
        plan = decide(site.seen_by(snapshot), policy, memory=memory)
        promised = plan.planned
        counts.append(plan.tested_shapes)

    assert counts == [6] * 5


def test_the_bounds_of_another_configuration_count_from_then_on() -> None:
    """What a QOS overrides is made again from the partition as it is now."""
    cluster = Cluster(nodes=2).partition("batch", max_limit_s=60, max_nodes=2)
    site = physics().qos("free", (QosFlag.PARTITION_TIME_LIMIT,))
    memory = Memory()
    job = cluster.pending(user="ann", qos="free", nodes=2, limit_s=3600)
    assert started(decide(site.seen_by(cluster.snapshot()), POLICY, memory=memory)) == [job.id]

    cluster.partition("batch", max_limit_s=60, max_nodes=1)

    plan = decide(site.seen_by(cluster.snapshot()), POLICY, memory=memory)
    assert reasons(plan, job.id)[0] == str(Reason.PARTITION_NODE_LIMIT)


@pytest.mark.parametrize(
    "qos",
    [{"flags": (QosFlag.NO_RESERVE,)}, {"min_priority_threshold": 2_000_000}],
    ids=["NoReserve", "MinPrioThreshold"],
)
def test_a_qos_may_keep_its_jobs_from_holding_planned_starts(qos) -> None:
    cluster = Cluster(nodes=2).running(nodes=1, ends_in_s=600)
    modest = cluster.pending(nodes=2, user="ann", qos="modest")
    lower = cluster.pending(nodes=1, user="bob", limit_s=7200)

    plan = plan_with(cluster, physics().qos("modest", **qos))

    assert started(plan) == [lower.id]
    assert modest.id not in plan.planned
    assert reasons(plan, modest.id) == ["Resources"]


def test_lists_of_partitions_hold_without_any_accounting() -> None:
    cluster = Cluster(nodes=2).partition("batch", deny_accounts=("physics",))
    job = cluster.pending(user="ann", account="physics")

    plan = decide(cluster.snapshot())

    assert reasons(plan, job.id) == ["AccountNotAllowed"]


def test_twins_share_one_look_at_the_limits(monkeypatch) -> None:
    """A thousand stopped jobs of one user cost one comparison a rule."""
    looks = []
    find_excess = book_module.find_excess
    monkeypatch.setattr(book_module, "find_excess", lambda *args: looks.append(args) or find_excess(*args))
    cluster = Cluster(nodes=2)
    jobs = [cluster.pending(user="ann") for _ in range(1000)]

    plan = plan_with(cluster, physics(group_jobs=0, group_tres={"cpu": 1}))

    assert len(plan.blockers) == len(jobs)
    assert len(looks) == 2
