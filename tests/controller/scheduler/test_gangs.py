"""Rules for heterogeneous jobs in a pass: all components start together, or none does."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.association import Association, AssociationLimits
from sluice.model.reason import Reason
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.builders import Cluster

from .test_plan_properties import POLICY, snapshots


def ids(jobs):
    return [job.id for job in jobs]


def started(plan):
    return [start.job_id for start in plan.starts]


def test_components_that_fit_beside_one_another_start():
    cluster = Cluster(nodes=3)
    gang = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=2))

    plan = decide(cluster.snapshot())

    assert started(plan) == ids(gang)
    assert [len(start.allocation.grants) for start in plan.starts] == [1, 2]
    assert plan.blockers == {}


def test_components_may_share_a_node():
    cluster = Cluster(nodes=1, cpus=4)
    gang = cluster.gang(cluster.pending(ntasks=1), cluster.pending(ntasks=3))

    plan = decide(cluster.snapshot())

    assert started(plan) == ids(gang)
    assert {grant.node for start in plan.starts for grant in start.allocation.grants} == {"n1"}


def test_no_component_starts_while_another_does_not_fit():
    """The first would fit alone; the second needs the node on which a job runs for ten minutes."""
    cluster = Cluster(nodes=2).running(nodes=1, ends_in_s=600)
    gang = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=1, exclusive="node"))

    plan = decide(cluster.snapshot())

    assert started(plan) == []
    assert {job.id: plan.planned[job.id].at for job in gang} == dict.fromkeys(ids(gang), cluster.now_at + 600)
    assert plan.blockers[gang[1].id][0].reason is Reason.RESOURCES
    assert plan.blockers[gang[0].id][0].text == "component 2+1 of its heterogeneous job does not fit beside the others"


def test_what_was_tried_in_vain_is_free_for_others():
    """The gang's first component was placed on n1 and taken back; a later small job gets that node, the same one."""
    cluster = Cluster(nodes=2).running(nodes=("n2",), ends_in_s=600)
    cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=2))
    small = cluster.pending(nodes=1, limit_s=300)

    plan = decide(cluster.snapshot())

    assert started(plan) == [small.id]
    assert plan.starts[0].allocation.nodes == ("n1",)


def test_a_twin_of_a_component_that_was_taken_back_still_finds_its_node():
    """What a shape has looked past for the gang, it looks at again for itself."""
    cluster = Cluster(nodes=2).running(nodes=("n2",), ends_in_s=600)
    cluster.gang(*[cluster.pending(ntasks=1, cpus_per_task=4, nodes=1, limit_s=60) for _ in range(3)])
    twin = cluster.pending(ntasks=1, cpus_per_task=4, nodes=1, limit_s=60)

    assert started(decide(cluster.snapshot())) == [twin.id]


def test_a_gang_that_the_pass_did_not_come_to_the_end_of_waits_for_the_next():
    """Its first component stands before the job with which the pass is over, its last one behind."""
    cluster = Cluster(nodes=4)
    gang = cluster.gang(*[cluster.pending(nodes=1, priority=priority) for priority in (9, 1)])
    between = cluster.pending(nodes=1, priority=5)

    plan = decide(cluster.snapshot(), Policy(starts_max=1))

    assert started(plan) == [between.id]
    assert [plan.blockers[job.id][0].reason for job in gang] == [Reason.NONE, Reason.NONE]


def test_a_gang_counts_as_a_candidate_when_it_is_done_with():
    """One job of each user may be looked at behind one that waits: its own components do not stop a gang."""
    cluster = Cluster(nodes=3).running(nodes=("n3",), ends_in_s=600)
    cluster.pending(nodes=3)
    gang = cluster.gang(*[cluster.pending(nodes=1, limit_s=300) for _ in range(2)])
    late = cluster.pending(ntasks=1, limit_s=300)

    plan = decide(cluster.snapshot(), Policy(backfill_user_jobs_max=1))

    assert started(plan) == ids(gang)
    assert "bf_max_job_user" in plan.blockers[late.id][0].text


def test_components_beside_one_another_keep_to_the_cpus_of_their_partition():
    """Two of four CPUs of the node are the partition's: the planned starts count what the others of the gang hold."""
    cluster = Cluster(nodes=2, cpus=4).running(nodes=("n1", "n2"), ends_in_s=600)
    cluster.partition("capped", max_cpus_per_node=2)
    fields = {"ntasks": 1, "cpus_per_task": 2, "nodes": 1, "partitions": ("capped",)}
    gang = cluster.gang(*[cluster.pending(**fields) for _ in range(2)])

    plan = decide(cluster.snapshot())

    assert {plan.planned[job.id].nodes for job in gang} == {("n1",), ("n2",)}


def test_a_gang_stands_where_its_last_component_stands():
    """The second component is below the other job, so that the first gets nothing before that."""
    cluster = Cluster(nodes=2, cpus=1)
    first = cluster.pending(nodes=1, priority=9)
    second = cluster.pending(nodes=1, priority=1)
    other = cluster.pending(nodes=2, priority=5)
    gang = cluster.gang(first, second)

    plan = decide(cluster.snapshot())

    assert started(plan) == [other.id]
    assert {plan.planned[job.id].at for job in gang} == {cluster.now_at + 3600}


def test_the_planned_start_is_the_first_moment_at_which_all_fit():
    """Half the cluster is free after 100 s, the other half for 200 s only then: together they fit after 500 s."""
    cluster = Cluster(nodes=2).partition("left", ("n1",)).partition("right", ("n2",))
    cluster.running(nodes=("n1",), ends_in_s=100).running(nodes=("n2",), ends_in_s=500)
    gang = cluster.gang(cluster.pending(nodes=1, partitions=("left",)), cluster.pending(nodes=1, partitions=("right",)))
    between = cluster.pending(nodes=1, partitions=("left",), limit_s=300)

    plan = decide(cluster.snapshot())

    assert {plan.planned[job.id].at for job in gang} == {cluster.now_at + 500}
    assert plan.planned[between.id].at == cluster.now_at + 100, "what the gang leaves free until then is others'"


def test_what_fits_alone_at_a_moment_may_fit_together_only_later():
    """Each component fits when the first node is free; both together need the second."""
    cluster = Cluster(nodes=2).running(nodes=("n1",), ends_in_s=100).running(nodes=("n2",), ends_in_s=700)
    gang = cluster.gang(cluster.pending(nodes=1, exclusive="node"), cluster.pending(nodes=1, exclusive="node"))

    plan = decide(cluster.snapshot())

    assert {plan.planned[job.id].at for job in gang} == {cluster.now_at + 700}


def test_a_lower_job_does_not_delay_a_gang():
    cluster = Cluster(nodes=2, cpus=1).running(nodes=("n1",), ends_in_s=600)
    gang = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=1))
    long = cluster.pending(nodes=1, limit_s=3600)
    short = cluster.pending(nodes=1, limit_s=600)

    plan = decide(cluster.snapshot())

    assert started(plan) == [short.id]
    assert {plan.planned[job.id].at for job in gang} == {cluster.now_at + 600}
    assert plan.planned[long.id].at >= cluster.now_at + 600


def test_a_gang_waits_for_a_component_that_is_not_ready():
    """Held, begun later, or waiting for others: such a component is not among the jobs that a pass sees."""
    cluster = Cluster(nodes=3)
    first, held = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=1))
    cluster.pending_jobs.remove(held)

    plan = decide(cluster.snapshot())

    assert started(plan) == []
    text = "1 of the 2 components of its heterogeneous job may not start yet"
    assert [blocker.text for blocker in plan.blockers[first.id]] == [text]


def test_a_component_starts_in_the_first_of_its_partitions_that_has_room():
    cluster = Cluster(nodes=2).partition("left", ("n1",)).partition("right", ("n2",)).running(nodes=("n1",))
    gang = cluster.gang(
        cluster.pending(ntasks=1, partitions=("left", "right")), cluster.pending(ntasks=1, partitions=("right",))
    )

    plan = decide(cluster.snapshot())

    assert [(start.job_id, start.partition) for start in plan.starts] == [(job.id, "right") for job in gang]


def test_without_backfill_a_gang_that_does_not_fit_stops_the_queues_of_all_components():
    cluster = Cluster(nodes=3).partition("other").running(nodes=("n1",))
    cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=3, partitions=("other",)))
    small, elsewhere = cluster.pending(nodes=1), cluster.pending(nodes=1, partitions=("other",))

    plan = decide(cluster.snapshot(), Policy(is_backfilling=False))

    assert started(plan) == []
    assert {blocker.reason for each in (small, elsewhere) for blocker in plan.blockers[each.id]} == {Reason.PRIORITY}


def test_licenses_are_taken_by_all_or_none():
    """One of three is left when the second component is looked at; a later job gets its two all the same."""
    cluster = Cluster(nodes=4).licenses(matlab=3)
    gang = cluster.gang(cluster.pending(nodes=1, licenses="matlab:2"), cluster.pending(nodes=1, licenses="matlab:2"))
    other = cluster.pending(nodes=1, licenses="matlab:3")

    plan = decide(cluster.snapshot())

    assert started(plan) == [other.id]
    assert plan.blockers[gang[1].id]


def test_limits_count_the_components_of_a_gang_together_and_forget_a_gang_that_was_taken_back():
    """Two jobs may run: a gang of three can't start, two other jobs can."""
    cluster = Cluster(nodes=4)
    gang = cluster.gang(*[cluster.pending(nodes=1, account="physics") for _ in range(3)])
    others = [cluster.pending(nodes=1, account="physics") for _ in range(2)]
    account = Association(account="physics", limits=AssociationLimits(group_jobs=2))
    user = Association(account="physics", user="ann", parent="physics")
    associations = {each.key: each for each in (account, user)}
    snapshot = replace(cluster.snapshot(), associations=associations)

    plan = decide(snapshot, Policy(accounting_enforced=frozenset(("associations", "limits"))))

    assert started(plan) == ids(others)
    assert not plan.planned.keys() & set(ids(gang))


def test_a_component_that_no_nodes_in_service_can_hold_says_so():
    cluster = Cluster(nodes=2).node("n2", is_drained=True)
    gang = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=2))

    plan = decide(cluster.snapshot())

    assert [plan.blockers[job.id][0].reason for job in gang] == [Reason.RESOURCES, Reason.REQ_NODE_NOT_AVAIL]
    assert plan.planned == {}


def test_a_gang_larger_than_the_rest_of_a_pass_is_left_for_the_next_one():
    cluster = Cluster(nodes=4)
    one = cluster.pending(nodes=1)
    cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=1))

    plan = decide(cluster.snapshot(), Policy(starts_max=2))

    assert started(plan) == [one.id]
    assert plan.has_more


def test_an_earlier_promise_to_a_gang_is_kept_while_nothing_was_freed():
    policy = Policy(keeps_promises=True)
    cluster = Cluster(nodes=2).running(nodes=("n1",), ends_in_s=600)
    gang = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=2, cpus_per_task=2))
    memory = Memory()
    first = decide(cluster.snapshot(), policy, memory=memory)
    later = replace(cluster.snapshot(), now_at=cluster.now_at + 60, promised=first.planned, is_freed=False)

    again = decide(later, policy, memory=memory)

    assert {again.planned[job.id] for job in gang} == {first.planned[job.id] for job in gang}
    assert again.planned.keys() == set(ids(gang))


# --- laws


def gangs_of(snapshot: Snapshot) -> list[set[int]]:
    found: dict[int, set[int]] = {}
    for job in snapshot.pending:
        if job.is_component:
            found.setdefault(job.het_job_id, set()).add(job.id)
    return list(found.values())


@given(snapshots(), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_whole_or_not_at_all(snapshot, is_backfilling, is_hurried):
    """Of a gang all components start, or none; all have one planned start, or none has; who waits knows why."""
    policy = Policy(
        backfill_window_s=1e9,
        is_backfilling=is_backfilling,
        starts_max=2 if is_hurried else 1000,
        planned_max=1 if is_hurried else 500,
    )
    plan = decide(snapshot, policy)
    for gang in gangs_of(snapshot):
        assert gang <= set(started(plan)) or gang.isdisjoint(started(plan))
        assert gang <= plan.planned.keys() or gang.isdisjoint(plan.planned)
        assert len({plan.planned[job_id].at for job_id in gang & plan.planned.keys()}) <= 1
        assert gang <= set(started(plan)) or all(plan.blockers[job_id] for job_id in gang)


@given(snapshots())
@settings(max_examples=200)
def test_a_gang_that_neither_starts_nor_is_planned_leaves_no_trace(snapshot):
    """Everybody else gets just what they would get without it, on the same nodes and CPUs."""
    policy = Policy(backfill_window_s=0.0)
    plan = decide(snapshot, policy)
    lost = set().union(*gangs_of(snapshot)) - set(started(plan)) - plan.planned.keys()
    others = replace(snapshot, pending=tuple(job for job in snapshot.pending if job.id not in lost))

    assert decide(others, policy).starts == plan.starts


@given(snapshots())
@settings(max_examples=200)
def test_a_gang_starts_no_earlier_than_its_components_could_alone(snapshot):
    """Alone in the queue, a component's first start is at or before the one of the gang."""
    for gang in gangs_of(snapshot):
        jobs = {job.id: job for job in snapshot.pending}
        plan = decide(replace(snapshot, pending=tuple(jobs[each] for each in sorted(gang))), POLICY)
        for job_id in gang & plan.planned.keys():
            alone = replace(jobs[job_id], het_job_id=0, het_offset=0, het_size=0)
            single = decide(replace(snapshot, pending=(alone,)), POLICY)
            own = single.planned.get(job_id)
            assert job_id in started(single) or (own is not None and own.at <= plan.planned[job_id].at)
