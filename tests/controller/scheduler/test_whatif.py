"""What would let a job start now: each suggestion is applied and seen to start."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.request import Dependency, DependencyTerm
from sluice.model.states import Hold
from sluicectld.scheduler.change import Ground
from sluicectld.scheduler.changes import CHANGES
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.queue import cut, rank
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.scheduler.stage import set_stage
from sluicectld.scheduler.whatif import find_changes
from tests.builders import Cluster
from tests.controller.scheduler.cluster_draws import GPUS, clusters


def suggest(cluster: Cluster, job: Job, policy: Policy | None = None, partitions: tuple[str, ...] = (), name: str = ""):
    return search(cluster.snapshot(), policy or Policy(), job, partitions, name)


def search(
    snapshot: Snapshot,
    policy: Policy,
    job: Job,
    partitions: tuple[str, ...] = (),
    name: str = "",
    plan: Plan | None = None,
):
    pending = (*(each for each in snapshot.pending if each.id != job.id), job)
    with set_stage(replace(snapshot, pending=pending), policy) as stage:
        return find_changes(snapshot, stage, job, partitions, name, plan)


def words(cluster: Cluster, job: Job, **more) -> list[str]:
    return [", ".join(each.words) for each in suggest(cluster, job, **more)]


def test_a_job_that_starts_anyway_needs_no_change():
    cluster = Cluster()

    assert suggest(cluster, cluster.pending()) == ()


def test_nodes_are_given_up_no_further_than_the_rest_holds_the_tasks():
    cluster = Cluster(nodes=3)

    assert words(cluster, cluster.pending(nodes=5, max_nodes=5, ntasks=5)) == ["-N 3 instead of 5"]


def test_the_longest_limit_that_ends_before_the_planned_start_is_found():
    cluster = Cluster(nodes=2).running(("n1",), ends_in_s=1800)
    cluster.pending(nodes=2, ntasks=8)
    job = cluster.pending(limit_s=7200)

    first = suggest(cluster, job)[0]

    assert first.words == ("-t 00:30:00 instead of 02:00:00",)
    assert first.command == f"scontrol update JobId={job.id} TimeLimit=30"


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        pytest.param({"ntasks": 1, "cpus_per_task": 4}, "-c 2 instead of 4", id="fewer CPUs of a task"),
        pytest.param({"ntasks": 4}, "-n 2 instead of 4", id="fewer tasks"),
        pytest.param({"memory_per_node_mib": 3500}, "--mem=2000M instead of 3500M", id="less memory"),
        pytest.param({"memory_per_cpu_mib": 3500}, "--mem-per-cpu=2000M instead of 3500M", id="less memory a CPU"),
        pytest.param({"features": "fast"}, "without -C fast", id="no feature"),
        pytest.param({"licenses": "matlab"}, "without -L matlab", id="no license"),
        pytest.param({"exclusive": "node"}, "without --exclusive", id="not the whole node"),
        pytest.param(
            {"gres_per_node": GPUS}, "--gres=gpu:a100:1 instead of gpu:a100:2", id="fewer units of a resource"
        ),
    ],
)
def test_the_cheapest_change_is_told(request_fields, expected):
    """One node with half of everything in use."""
    cluster = Cluster(gres=GPUS).running(cpus=2, memory_mib=2000, gres=(("gpu", 1),), ends_in_s=None)
    job = cluster.pending(**{"nodes": 1} | request_fields)

    assert words(cluster, job)[0] == expected


def test_fewer_nodes_are_suggested_where_nodes_are_short():
    cluster = Cluster(nodes=4).running(nodes=2, ends_in_s=None)

    assert words(cluster, cluster.pending(nodes=3)) == ["-N 2 instead of 3"]


def test_another_partition_counts_only_if_its_user_may_use_it():
    cluster = Cluster(nodes=2).running(("n1",), ends_in_s=None)
    cluster.partition("batch", ("n1",)).partition("spare", ("n2",))
    job = cluster.pending()

    assert words(cluster, job, partitions=("spare",)) == ["-p spare"]
    assert words(cluster, job) == []


def test_a_named_node_may_be_given_up():
    cluster = Cluster(nodes=2).running(("n1",), ends_in_s=None)
    job = cluster.pending(required_nodes=("n1",))

    assert words(cluster, job) == ["without -w n1"]


def test_a_pair_is_looked_for_when_no_single_change_helps():
    cluster = Cluster().running(cpus=2, memory_mib=2000, ends_in_s=None)
    job = cluster.pending(ntasks=1, cpus_per_task=4, memory_per_node_mib=4000)

    first = suggest(cluster, job)[0]

    assert first.words == ("--mem=2000M instead of 4000M", "-c 2 instead of 4")
    assert first.command == f"scontrol update JobId={job.id} MinMemoryNode=2000 CPUsPerTask=2"


def test_what_holds_the_job_is_part_of_every_suggestion():
    cluster = Cluster().running(cpus=2, ends_in_s=None)
    job = replace(cluster.pending(ntasks=4), hold=Hold.USER, begin_at=cluster.now_at + 60)
    cluster.pending_jobs.clear()

    first = suggest(cluster, job)[0]

    assert first.words == ("release it", "begin now, without --begin", "-n 2 instead of 4")
    assert first.command == (f"scontrol release {job.id} && scontrol update JobId={job.id} StartTime=now NumTasks=2")


def test_lifting_what_holds_the_job_may_be_all():
    cluster = Cluster()
    awaited = Dependency(terms=(DependencyTerm(type="afterok", job_id=9),))
    job = replace(cluster.pending(), dependency=awaited)
    cluster.pending_jobs.clear()

    assert words(cluster, job) == ["without --dependency"]


def test_a_throttled_array_may_run_one_task_more():
    cluster = Cluster(nodes=2)
    job = cluster.pending(tasks=((3, 9, 1),), throttle=2)
    cluster.running_tasks[job.id] = 2

    first = suggest(cluster, job, name="1_[3-9]")[0]

    assert first.words == ("3 tasks of the array at a time",)
    assert first.command == "scontrol update JobId=1 ArrayTaskThrottle=3"


def test_another_partition_may_be_one_of_a_pair():
    cluster = Cluster(nodes=3).running(("n1",), ends_in_s=None)
    cluster.partition("batch", ("n1",)).partition("spare", ("n2", "n3"))
    job = cluster.pending(nodes=3)

    assert words(cluster, job, partitions=("spare",)) == ["-p spare, -N 2 instead of 3"]


def test_commands_quote_what_the_shell_would_read():
    cluster = Cluster().running(cpus=2, ends_in_s=None)
    job = cluster.pending(ntasks=4, tasks=((3, 9, 1),))

    assert suggest(cluster, job, name="2_[3-9]")[0].command == ("scontrol update JobId='2_[3-9]' NumTasks=2")


def test_a_change_that_takes_a_new_submission_has_no_command():
    cluster = Cluster().running(cpus=2, ends_in_s=None)

    assert suggest(cluster, cluster.pending(exclusive="node"))[0].command == ""


def test_jobs_below_do_not_matter_to_a_job():
    cluster = Cluster(nodes=2)
    above, job = cluster.pending(), cluster.pending()
    cluster.pending()

    kept = cut(rank(cluster.snapshot(), Policy()), Policy(), job.id).entries

    assert [each.id for each, _ in kept] == [above.id, job.id]


def test_the_order_of_shortest_first_is_left_alone():
    cluster = Cluster()
    job = cluster.pending()
    cluster.pending()

    policy = Policy(is_shortest_first=True)
    queue = rank(cluster.snapshot(), policy)

    assert cut(queue, policy, job.id) is queue


def test_every_change_has_a_name_of_its_own_and_the_table_goes_by_cost():
    assert len({change.name for change in CHANGES}) == len(CHANGES)
    assert [change.cost for change in CHANGES] == sorted(change.cost for change in CHANGES)


@settings(max_examples=60)
@given(clusters(), st.data())
def test_a_suggestion_applied_starts_the_job_in_the_next_pass(drawn, data):
    snapshot, policy = drawn.snapshot, drawn.policy
    job = data.draw(st.sampled_from(snapshot.pending))
    ground = Ground(now_at=snapshot.now_at, node_memory_mib=4000)

    for suggestion in search(snapshot, policy, job, ("batch", "small")):
        changed = apply_words(job, suggestion.words, ground)
        pending = tuple([changed if each.id == job.id else each for each in snapshot.pending])
        plan = decide(replace(snapshot, pending=pending), policy)

        assert job.id in [start.job_id for start in plan.starts], suggestion


@settings(max_examples=60)
@given(clusters(), st.data())
def test_a_plan_of_the_same_state_spares_a_pass_and_changes_nothing(drawn, data):
    snapshot, policy = settled(drawn.snapshot, drawn.policy), drawn.policy
    job = data.draw(st.sampled_from(snapshot.pending))

    assert search(snapshot, policy, job, ("batch", "small"), plan=decide(snapshot, policy)) == search(
        snapshot, policy, job, ("batch", "small")
    )


def settled(snapshot: Snapshot, policy: Policy) -> Snapshot:
    """Return the snapshot with just the jobs that do not start in a pass over them."""
    waiting = snapshot.pending
    while starts := {start.job_id for start in decide(replace(snapshot, pending=waiting), policy).starts}:
        kept = tuple([job for job in waiting if job.id not in starts])
        waiting = kept or waiting[:1]
        if not kept:
            break
    return replace(snapshot, pending=waiting)


def apply_words(job: Job, told: tuple[str, ...], ground: Ground) -> Job:
    """Return the job with the changes that have these words: found again from what the user is told."""
    ground = replace(ground, partitions=("batch", "small"))
    changed = job
    for text in told:
        change, value = next(
            (change, value)
            for change in CHANGES
            for value in change.values(job, ground)
            if change.words(job, value) == text
        )
        changed = change.apply(changed, value)
    return changed
