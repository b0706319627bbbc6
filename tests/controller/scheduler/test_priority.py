"""Priorities as numbers, with the built-in plugins as the registry finds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.priority import JobPriority, PrioritySetup, PriorityTables
from sluice.model.request import GresRequest
from sluice_plugins.registry import prepare_priority
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.memo import StandingMemo
from sluicectld.scheduler.priority import compute_context, compute_priorities, explain_priorities, is_lasting
from sluicectld.scheduler.queue import rank
from sluicectld.scheduler.snapshot import Policy
from sluicectld.scheduler.totals import compute_totals
from tests.builders import Cluster

#: Weights and cluster with which Slurm 22.05 was observed: 4 nodes of 4 CPUs and 16000 MiB, two partitions.
OBSERVED = PrioritySetup(
    weights={"jobsize": 1_000_000, "partition": 10_000_000},
    tres_weights={"cpu": 1e6, "mem": 1e6, "node": 1e6},
)


def observed_cluster() -> Cluster:
    cluster = Cluster(nodes=4, cpus=4, memory_mib=16_000).partition("batch", priority_job_factor=10)
    return cluster.partition("half", ("n1", "n2"), priority_job_factor=5)


def policy_for(cluster: Cluster, setup: PrioritySetup | None = None, **weights: int) -> Policy:
    setup = PrioritySetup(weights=weights) if setup is None else setup
    nodes = [free.node for free in cluster.free_by_name.values()]
    totals = compute_totals(nodes, cluster.partitions.values(), cluster.licenses_free)
    return Policy(priority=setup, priority_rule=prepare_priority(setup), totals=totals, default_memory_per_cpu_mib=4000)


def priority(
    cluster: Cluster,
    job: Job,
    policy: Policy,
    partition: str = "batch",
    after_s: float = 0.0,
    tables: PriorityTables | None = None,
) -> int:
    partitions = cluster.partitions
    context = compute_context(policy, tables or PriorityTables(), partitions.values(), cluster.now_at + after_s)
    return compute_priorities([(job, partitions[partition])], policy, context)[0]


def explain(cluster: Cluster, job: Job, policy: Policy, tables: PriorityTables | None = None) -> JobPriority:
    context = compute_context(policy, tables or PriorityTables(), cluster.partitions.values(), cluster.now_at)
    return explain_priorities([(job, cluster.partitions[job.partition])], policy, context)[0]


#: For laws, which are asked many times: looking for plugins takes milliseconds.
EVERY_FACTOR = policy_for(
    Cluster(nodes=4), age=1000, assoc=1000, fairshare=1000, jobsize=1000, partition=1000, qos=1000
)


@pytest.mark.parametrize("policy", [Policy(), Policy(priority_rule=prepare_priority(PrioritySetup(type="basic")))])
def test_the_order_of_arrival(policy: Policy) -> None:
    """The first two numbers are what Slurm 22.05 gives to jobs 1 and 2."""
    cluster = Cluster()
    jobs = [cluster.pending(), cluster.pending(), cluster.pending(nice=7)]

    numbers = [priority(cluster, job, policy) for job in jobs]

    assert numbers == [4294901759, 4294901758, 4294901757 - 7]
    assert is_lasting(policy)


def test_multifactor_without_weights_is_the_order_of_arrival() -> None:
    cluster = Cluster()

    assert priority(cluster, cluster.pending(), policy_for(cluster, PrioritySetup())) == 4294901759


def test_tasks_of_an_array_keep_their_arrays_place() -> None:
    cluster = Cluster()
    first = cluster.pending()
    task = replace(first, id=99, array_job_id=first.id)

    assert priority(cluster, first, Policy()) == priority(cluster, task, Policy())


def test_factors_are_weighted_and_summed() -> None:
    """Two of four nodes and half the CPUs, a partition with half of the largest factor, a quarter of the full age."""
    cluster = Cluster(nodes=4).partition("batch", priority_job_factor=2).partition("best", priority_job_factor=4)
    job = cluster.pending(nodes=2, ntasks=8, nice=5)
    setup = PrioritySetup(weights={"age": 1000, "jobsize": 100, "partition": 10}, max_age_s=1000.0)

    assert priority(cluster, job, policy_for(cluster, setup), after_s=250) == 250 + 50 + 5 - 5


@pytest.mark.parametrize(
    ("nodes", "fields", "number"),
    [
        (0, {"ntasks": 1}, 10_531_250),
        (1, {"ntasks": 2}, 10_687_500),
        (2, {"ntasks": 5}, 11_531_250),
        (4, {"ntasks": 16}, 14_000_000),
        (0, {"ntasks": 3}, 10_843_750),
        (0, {"ntasks": 1, "memory_per_node_mib": 0}, 10_718_750),
        (0, {"ntasks": 2, "cpus_per_task": 2}, 11_000_000),
        (2, {}, 11_062_500),
    ],
    ids=["-n1", "-N1 -n2", "-N2 -n5", "-N4 -n16", "-n3", "-n1 --mem=0", "-n2 -c2", "-N2"],
)
def test_size_and_tres_are_those_of_slurm(nodes: int, fields: dict[str, int], number: int) -> None:
    cluster = observed_cluster()
    job = cluster.pending(nodes, **({"memory_per_cpu_mib": 4000} | fields))

    assert priority(cluster, job, policy_for(cluster, OBSERVED)) == number


@pytest.mark.parametrize(
    ("setup", "limit_min", "number"),
    [
        (replace(OBSERVED, is_small_favored=True), 100, 593_750),
        (replace(OBSERVED, flags=frozenset({"SMALL_RELATIVE_TO_TIME"})), 1, 500_000),
        (replace(OBSERVED, flags=frozenset({"SMALL_RELATIVE_TO_TIME"})), 10, 50_000),
        (replace(OBSERVED, flags=frozenset({"SMALL_RELATIVE_TO_TIME"})), None, 0),
        (replace(OBSERVED, flags=frozenset({"SMALL_RELATIVE_TO_TIME"}), is_small_favored=True), 10, 950_000),
    ],
    ids=["PriorityFavorSmall", "for a minute", "for ten minutes", "without limit", "small and relative"],
)
def test_the_size_factor_turned_around(setup: PrioritySetup, limit_min: int | None, number: int) -> None:
    """-N2 -n5, as sprio of 22.05 shows its size."""
    cluster = observed_cluster()
    limit_s = None if limit_min is None else limit_min * 60
    job = cluster.pending(2, limit_s, ntasks=5, memory_per_cpu_mib=4000)

    assert round(explain(cluster, job, policy_for(cluster, setup)).weighted["jobsize"]) == number


def test_tres_are_parts_of_the_partition() -> None:
    """-n3 in the partition with half of the nodes, as observed."""
    cluster = observed_cluster()
    job = cluster.pending(0, partitions=("half",), ntasks=3, memory_per_cpu_mib=4000)

    assert priority(cluster, job, policy_for(cluster, OBSERVED), "half") == 6_468_750


def test_numbers_that_are_not_normalised() -> None:
    """PriorityFlags=NO_NORMAL_ALL with weights of 1000, 10, cpu=3 and mem=1, -N1 -n2: cut off, not rounded."""
    cluster = observed_cluster()
    job = cluster.pending(1, ntasks=2, memory_per_cpu_mib=4000)
    setup = PrioritySetup(
        weights={"jobsize": 1000, "partition": 10},
        tres_weights={"cpu": 3.0, "mem": 1.0},
        flags=frozenset({"NO_NORMAL_ALL"}),
    )

    assert priority(cluster, job, policy_for(cluster, setup)) == 8293


def test_gres_and_licenses_count_by_name() -> None:
    """A quarter of the GPUs and half of the licenses."""
    cluster = Cluster(nodes=2, gres=(GresRequest(name="gpu", type="A100", count=4),)).licenses(matlab=6)
    job = cluster.pending(gres_per_node=(GresRequest(name="gpu", count=2),), licenses="matlab:3")
    setup = PrioritySetup(tres_weights={"gres/gpu": 1000.0, "license/matlab": 10.0})

    assert priority(cluster, job, policy_for(cluster, setup)) == 250 + 5


def test_a_partition_whose_nodes_were_changed_is_counted_anew() -> None:
    cluster = Cluster(nodes=4)
    policy = policy_for(cluster, PrioritySetup(tres_weights={"node": 100.0}))
    job = cluster.pending(1)
    before = priority(cluster, job, policy)
    cluster.partition("batch", ("n1", "n2"))

    assert (before, priority(cluster, job, policy)) == (25, 50)


def test_age_counts_up_to_its_maximum() -> None:
    cluster = Cluster()
    policy = policy_for(cluster, PrioritySetup(weights={"age": 1000}, max_age_s=1000.0))

    assert priority(cluster, cluster.pending(), policy, after_s=9999) == 1000


@pytest.mark.parametrize(("flags", "number"), [((), 100), (("ACCRUE_ALWAYS",), 600)])
def test_age_counts_from_eligibility_or_always(flags: tuple[str, ...], number: int) -> None:
    cluster = Cluster()
    job = replace(cluster.pending(), submitted_at=cluster.now_at - 500)
    setup = PrioritySetup(weights={"age": 1000}, max_age_s=1000.0, flags=frozenset(flags))

    assert priority(cluster, job, policy_for(cluster, setup), after_s=100) == number


def test_tables_of_accounting_count() -> None:
    cluster = Cluster()
    job = cluster.pending(account="physics", user="ann", qos="high")
    tables = PriorityTables(
        fair_shares={("physics", "ann", ""): 0.25},
        association_priorities={("physics", "ann", ""): 3, ("physics", "bob", ""): 6},
        qos_priorities={"high": 10, "urgent": 40},
        site_factors={job.id: 7},
    )

    assert (
        priority(cluster, job, policy_for(cluster, fairshare=1000, assoc=100, qos=100), tables=tables)
        == 250 + 50 + 25 + 7
    )


def test_without_tables_nobody_is_favoured() -> None:
    cluster = Cluster()
    jobs = [cluster.pending(user="ann", account="physics"), cluster.pending(user="bob", qos="high")]
    policy = policy_for(cluster, fairshare=1000, assoc=100, qos=100)

    assert {priority(cluster, job, policy) for job in jobs} == {1}


def test_an_association_of_the_partition_goes_before_the_general_one() -> None:
    cluster = Cluster()
    job = cluster.pending(account="a", user="ann")
    tables = PriorityTables(fair_shares={("a", "ann", ""): 0.5, ("a", "ann", "batch"): 1.0})

    assert priority(cluster, job, policy_for(cluster, fairshare=100), tables=tables) == 100


def test_a_priority_set_by_hand_stays() -> None:
    cluster = Cluster()
    job = cluster.pending()
    job = replace(job, spec=replace(job.spec, priority=12, nice=3))
    explained = explain(cluster, job, policy_for(cluster, partition=10))

    assert (explained.priority, explained.is_manual, explained.factors) == (12, True, {})


@pytest.mark.parametrize("policy", [Policy(), policy_for(Cluster(), partition=10)], ids=["arrival", "weighted"])
def test_it_never_falls_to_zero_which_means_held(policy: Policy) -> None:
    cluster = Cluster()

    assert priority(cluster, cluster.pending(nice=2**40), policy) == 1


def test_the_parts_add_up_to_the_whole() -> None:
    cluster = observed_cluster()
    job = cluster.pending(2, ntasks=5, memory_per_cpu_mib=4000, nice=1000)
    found = explain(cluster, job, policy_for(cluster, OBSERVED), PriorityTables(site_factors={job.id: 50}))

    assert found.factors == {"jobsize": 0.40625, "partition": 1.0}
    assert found.tres_factors == {"cpu": 0.3125, "mem": 0.3125, "node": 0.5}
    parts = sum(found.weighted.values()) + sum(found.tres_weighted.values()) + found.site - found.nice
    assert found.priority == parts == 11_530_300


# --- the queue


def test_a_job_has_a_priority_in_each_of_its_partitions() -> None:
    """It is shown with that of the first one, as Slurm does, and considered in the better one first."""
    cluster = observed_cluster()
    both = cluster.pending(1, partitions=("half", "batch"))
    other = cluster.pending(1, partitions=("half",), nice=-2)

    queue = rank(cluster.snapshot(), policy_for(cluster, partition=10))

    assert [(job.id, partition.name) for job, partition in queue.entries] == [
        (both.id, "batch"),
        (other.id, "half"),
        (both.id, "half"),
    ]
    assert queue.priorities == {both.id: 5, other.id: 7}


def test_equal_priorities_go_in_the_order_of_submission() -> None:
    cluster = Cluster()
    jobs = [cluster.pending() for _ in range(5)]

    queue = rank(replace(cluster.snapshot(), pending=tuple(reversed(jobs))), policy_for(cluster, partition=10))

    assert [job.id for job, _ in queue.entries] == [job.id for job in jobs]


def test_with_incr_only_no_priority_falls() -> None:
    cluster = Cluster()
    job, manual = cluster.pending(), cluster.pending()
    manual = replace(manual, spec=replace(manual.spec, priority=3))
    setup = PrioritySetup(weights={"partition": 10}, flags=frozenset({"INCR_ONLY"}))
    snapshot = replace(cluster.snapshot(), pending=(job, manual), priorities={job.id: 99, manual.id: 99})

    assert rank(snapshot, policy_for(cluster, setup)).priorities == {job.id: 99, manual.id: 3}


def test_a_plan_tells_the_priorities_of_jobs_that_run_too() -> None:
    """PriorityFlags=CALCULATE_RUNNING: the state hands them over."""
    cluster = Cluster()
    job, running = cluster.pending(nodes=9), replace(cluster.pending(), id=77)

    plan = decide(replace(cluster.snapshot(), pending=(job,), renumbered=(running,)), policy_for(cluster, partition=10))

    assert plan.priorities == {job.id: 10, 77: 10}


def test_where_priorities_last_a_plan_tells_none() -> None:
    cluster = Cluster()
    cluster.pending()

    assert decide(cluster.snapshot()).priorities == {}


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=8))
def test_what_the_memo_knows_changes_nothing(jobs: list[tuple[int, str, int]]) -> None:
    """A policy that has ranked other jobs before ranks as a new one."""
    cluster = observed_cluster()
    used = replace(EVERY_FACTOR, memo=StandingMemo())
    for nodes, user, hours in jobs:
        cluster.pending(nodes, limit_s=hours * 3600 or None, user=user, partitions=("batch", "half"))
        snapshot = cluster.snapshot()
        assert rank(snapshot, used).priorities == rank(snapshot, replace(used, memo=StandingMemo())).priorities


@given(factor=st.integers(1, 100), nodes=st.integers(1, 4), waited_s=st.floats(0, 1e9), share=st.floats(0, 1))
def test_factors_are_between_zero_and_one(factor: int, nodes: int, waited_s: float, share: float) -> None:
    cluster = Cluster(nodes=4).partition("batch", priority_job_factor=factor).partition("p", priority_job_factor=50)
    job = cluster.pending(nodes, account="a", user="ann", qos="q")
    cluster.now_at += waited_s
    tables = PriorityTables(
        fair_shares={("a", "ann", ""): share},
        association_priorities={("a", "ann", ""): factor, ("b", "bob", ""): 50},
        qos_priorities={"q": factor, "r": 50},
    )

    factors = explain(cluster, job, replace(EVERY_FACTOR, memo=StandingMemo()), tables).factors

    assert factors.keys() == {"age", "assoc", "fairshare", "jobsize", "partition", "qos"}
    assert all(0.0 <= number <= 1.0 for number in factors.values())


@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_the_larger_fair_share_has_the_larger_priority(first: float, second: float) -> None:
    cluster = Cluster()
    job = cluster.pending(account="a", user="ann")
    low, high = (
        priority(cluster, job, EVERY_FACTOR, tables=PriorityTables(fair_shares={("a", "ann", ""): share}))
        for share in sorted((first, second))
    )

    assert low <= high


def test_a_job_in_no_partition_is_told_apart() -> None:
    cluster = Cluster()
    orphan = cluster.pending(partitions=("gone",))

    queue = rank(cluster.snapshot(), policy_for(cluster, partition=10))

    assert (queue.entries, queue.orphans) == ([], [orphan])


def test_totals_count_equal_nodes_once_each() -> None:
    cluster = observed_cluster()
    totals = compute_totals(
        [free.node for free in cluster.free_by_name.values()], cluster.partitions.values(), {"Matlab": 2}
    )

    assert (totals.nodes, totals.cpus) == (4, 16)
    assert totals.of_partition(cluster.partitions["half"]) == {
        "cpu": 8,
        "mem": 32_000,
        "node": 2,
        "billing": 8,
        "license/matlab": 2,
    }
    assert totals.of_partition(Partition(name="new", nodes=("n1", "gone")))["node"] == 1


def test_the_memo_keeps_a_queue_and_lets_go_of_what_left_it() -> None:
    """One question about one job must not make the next pass find out everything again."""
    cluster = Cluster(nodes=4)
    policy = replace(EVERY_FACTOR, memo=StandingMemo())
    for _ in range(1200):
        cluster.pending()
    long_queue = cluster.snapshot()
    rank(long_queue, policy)
    priority(cluster, cluster.pending_jobs[0], policy)
    kept = len(policy.memo.by_spec)

    rank(replace(long_queue, pending=long_queue.pending[:3]), policy)

    assert (kept, len(policy.memo.by_spec)) == (1200, 3)
