"""Heterogeneous jobs and preemption, rule by rule: all components make room or get it together, or none does."""

import pytest
from msgspec.structs import replace

from sluice.model.association import Association, AssociationLimits
from sluice.model.job import Job
from sluice.model.node import NodeState
from sluice.model.preemption import PreemptMode, Room
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.plan import Plan
from tests.preempt_builder import HOUR_S, Rivals

#: A component that needs all CPUs of a node.
NODE = {"cpus_per_task": 4}


def urgent_gang(rivals: Rivals, *components: dict) -> tuple[Job, ...]:
    return rivals.gang(*[rivals.urgent(**fields) for fields in components])


def nodes_of(plan: Plan, gang: tuple[Job, ...]) -> list[tuple[str, ...]]:
    return [plan.planned[job.id].nodes for job in gang]


# --- a heterogeneous job that preempts


def test_room_is_made_for_all_components_together() -> None:
    """Each needs a node, and each node has its victim; every order names both rooms, and both places are kept."""
    rivals = Rivals(nodes=2)
    victims = [rivals.runs(), rivals.runs()]
    gang = urgent_gang(rivals, NODE, NODE)

    plan = rivals.plan()

    assert sorted(order.job_id for order in plan.preemptions) == victims
    assert {order.for_job_id for order in plan.preemptions} == {gang[0].id}
    rooms = [(room.job_id, room.nodes) for room in plan.preemptions[0].rooms]
    assert rooms == [(gang[0].id, ("n1",)), (gang[1].id, ("n2",))]
    assert nodes_of(plan, gang) == [("n1",), ("n2",)]
    assert not plan.starts
    for job in gang:
        assert plan.blockers[job.id][0].text.startswith("requeues job 2, requeues job 1; starts on")


def test_a_component_that_fits_already_waits_where_it_will_start() -> None:
    rivals = Rivals(nodes=2)
    victim = rivals.runs(("n2",))
    gang = urgent_gang(rivals, {"ntasks": 4}, {"ntasks": 4})
    below = rivals.pending(nodes=1, partitions=("low",), limit_s=None)

    plan = rivals.plan()

    assert [order.job_id for order in plan.preemptions] == [victim]
    assert nodes_of(plan, gang) == [("n1",), ("n2",)]
    assert below.id not in [start.job_id for start in plan.starts]


def test_nothing_is_preempted_when_one_component_would_not_fit_even_then() -> None:
    rivals = Rivals(nodes=2)
    rivals.runs(("n1",))
    rivals.runs(("n2",), partition="high", ends_in_s=None)
    gang = urgent_gang(rivals, NODE, NODE)

    plan = rivals.plan()

    assert not plan.preemptions
    assert {plan.blockers[job.id][0].reason for job in gang} == {Reason.RESOURCES}


@pytest.mark.parametrize(("cpus", "count"), [(2, 1), (3, 2)])
def test_components_share_what_a_victim_leaves(cpus: int, count: int) -> None:
    """Two of two CPUs find room on one node of four, two of three CPUs do not."""
    rivals = Rivals(nodes=2)
    rivals.runs()
    rivals.runs()
    urgent_gang(rivals, {"cpus_per_task": cpus}, {"cpus_per_task": cpus})

    assert len(rivals.victims()) == count


def test_no_more_are_preempted_than_all_components_need() -> None:
    rivals = Rivals(nodes=3)
    rivals.runs(priority=9)
    cheap = [rivals.runs(priority=1), rivals.runs(priority=2)]
    urgent_gang(rivals, NODE, NODE)

    assert sorted(rivals.victims()) == cheap


def test_a_component_gets_no_room_of_those_that_only_another_one_may_preempt() -> None:
    """Otherwise a small urgent component would open the cluster for a large one that is not."""
    rivals = Rivals(nodes=2)
    rivals.runs(("n1",), cpus=2)
    rivals.runs(("n2",), cpus=4)
    urgent_gang(rivals, {"cpus_per_task": 2}, {"partitions": ("low",), "cpus_per_task": 4})
    assert rivals.victims() == {}


def test_a_component_that_may_preempt_nobody_uses_what_is_free() -> None:
    rivals = Rivals(nodes=2)
    victim = rivals.runs(("n1",))
    rivals.runs(("n2",), cpus=2)
    gang = urgent_gang(rivals, {"cpus_per_task": 4}, {"partitions": ("low",), "cpus_per_task": 2})

    plan = rivals.plan()

    assert [order.job_id for order in plan.preemptions] == [victim]
    assert nodes_of(plan, gang) == [("n1",), ("n2",)]


def test_licenses_of_all_components_are_reclaimed() -> None:
    rivals = Rivals(nodes=3, reclaims_licenses=True)
    rivals.licenses(matlab=0)
    for _ in range(3):
        rivals.runs(cpus=1, licenses=(("matlab", 1),))
    urgent_gang(rivals, {"licenses": "matlab:1"}, {"licenses": "matlab:1"})

    assert len(rivals.victims()) == 2


def test_a_limit_that_all_components_together_reach_comes_first() -> None:
    rivals = Rivals(nodes=2)
    rivals.runs()
    rivals.runs()
    urgent_gang(rivals, NODE, NODE)
    rivals.policy = replace(rivals.policy, accounting_enforced=frozenset({"limits"}))
    row = Association(account="lab", user="ann", is_default=True, limits=AssociationLimits(max_jobs=1))
    snapshot = replace(rivals.snapshot(), associations={row.key: row})

    assert not decide(snapshot, rivals.policy).preemptions


def test_the_places_of_all_components_are_kept_while_victims_go() -> None:
    rivals = Rivals(nodes=3)
    victims = [rivals.runs(), rivals.runs()]
    rivals.runs(partition="high")
    gang = urgent_gang(rivals, NODE, NODE)
    for order in rivals.plan().preemptions:
        rivals.depart(order.job_id, order.for_job_id, order.rooms, order.mode)
    other = rivals.pending(nodes=1, partitions=("high",), priority=10**9, limit_s=60)

    plan = rivals.plan()

    assert not plan.preemptions
    assert not plan.starts
    assert nodes_of(plan, gang) == [("n1",), ("n2",)]
    assert plan.planned[other.id].at == rivals.now_at + HOUR_S
    texts = [plan.blockers[job.id][0].text for job in gang]
    assert texts[1].startswith(f"waits for job {victims[1]}, job {victims[0]} to make room on n2")


def test_where_one_place_is_lost_none_is_kept() -> None:
    """The first component's node can be had, the second one's is down: all of it is decided about anew."""
    rivals = Rivals(nodes=2)
    victim = rivals.runs(("n1",))
    gang = urgent_gang(rivals, NODE, NODE)
    rooms = tuple(Room(job_id=job.id, partition="high", nodes=(f"n{job.het_offset + 1}",)) for job in gang)
    rivals.depart(victim, gang[0].id, rooms, PreemptMode.CANCEL)
    rivals.node("n2", state=NodeState.DOWN)

    plan = rivals.plan()

    assert all("make room" not in plan.blockers[job.id][0].text for job in gang)


def test_components_that_were_exempt_are_asked_again_when_enough_of_them_are_not() -> None:
    rivals = Rivals(nodes=2, exempt_s=2 * HOUR_S)
    rivals.runs(ran_s=1.5 * HOUR_S, ends_in_s=None)
    rivals.runs(ran_s=HOUR_S, ends_in_s=None)
    gang = urgent_gang(rivals, NODE, NODE)

    plan = rivals.plan()

    assert not plan.preemptions
    assert plan.look_again_at == rivals.now_at + HOUR_S
    assert all(plan.blockers[job.id][0].text.endswith("(PreemptExemptTime)") for job in gang)


# --- a heterogeneous job that is preempted


def test_all_components_go_though_the_room_of_one_would_do() -> None:
    rivals = Rivals(nodes=2)
    victim = rivals.bind(rivals.runs(), rivals.runs())
    urgent = rivals.urgent()

    plan = rivals.plan()

    assert [(order.job_id, order.mode) for order in plan.preemptions] == [(victim, "REQUEUE")]
    assert plan.blockers[urgent.id][0].text == f"requeues job {victim}; starts on n1 when they are gone"


def test_what_all_its_components_leave_is_counted() -> None:
    rivals = Rivals(nodes=2)
    victim = rivals.bind(rivals.runs(cpus=2), rivals.runs(("n1",), cpus=2), rivals.runs(("n2",)))
    urgent = rivals.urgent(nodes=2, ntasks=8)

    plan = rivals.plan()

    assert rivals.victims() == {victim: "REQUEUE"}
    assert plan.planned[urgent.id].nodes == ("n1", "n2")


def test_the_work_of_all_components_is_lost() -> None:
    """An hour of two CPUs is less than that of one CPU on each of three nodes."""
    rivals = Rivals(nodes=4)
    rivals.bind(*[rivals.runs((f"n{number}",), cpus=1) for number in (1, 2, 3)])
    plain = rivals.runs(("n4",), cpus=2)
    rivals.urgent(ntasks=4)

    assert rivals.victims() == {plain: "REQUEUE"}


def test_it_is_as_dear_as_its_dearest_component() -> None:
    rivals = Rivals(nodes=3)
    rivals.bind(rivals.runs(priority=1), rivals.runs(priority=9))
    plain = rivals.runs(priority=5)
    rivals.urgent()

    assert rivals.victims() == {plain: "REQUEUE"}


def test_a_component_that_may_not_be_preempted_protects_the_others() -> None:
    rivals = Rivals(nodes=2)
    rivals.bind(rivals.runs(), rivals.runs(partition="high"))
    rivals.urgent()

    assert rivals.victims() == {}


def test_a_component_that_is_suspended_protects_the_others() -> None:
    rivals = Rivals(nodes=2)
    rivals.bind(rivals.runs(), rivals.runs())
    view = rivals.running_jobs[1]
    assert view.job is not None
    rivals.running_jobs[1] = replace(view, job=replace(view.job, state=JobState.SUSPENDED))
    rivals.urgent()

    assert rivals.victims() == {}


def test_the_gentlest_way_of_any_component_is_that_of_all_with_the_longest_grace() -> None:
    rivals = Rivals(nodes=2)
    rivals.partition("low", preempt_mode="CANCEL", grace_s=30).partition("mild", preempt_mode="REQUEUE", grace_s=300)
    rivals.bind(rivals.runs(), rivals.runs(partition="mild"))
    rivals.urgent()

    assert [(order.mode, order.grace_s) for order in rivals.plan().preemptions] == [("REQUEUE", 300.0)]


@pytest.mark.parametrize(("leader", "other", "mode"), [(False, True, "CANCEL"), (True, False, "REQUEUE")])
def test_its_leader_says_whether_it_may_be_requeued(leader: bool, other: bool, mode: str) -> None:
    rivals = Rivals(nodes=2)
    victim = rivals.bind(rivals.runs(can_requeue=leader), rivals.runs(can_requeue=other, is_batch=False))
    rivals.urgent()

    assert rivals.victims() == {victim: mode}


def test_it_is_exempt_until_its_last_component_is_not() -> None:
    rivals = Rivals(nodes=2, by="qos", exempt_s=HOUR_S)
    rivals.qos("short", preempt_exempt_s=60).qos("long", preempt_exempt_s=7200).qos("now", preempt=("short", "long"))
    rivals.bind(rivals.runs(qos="short", ends_in_s=None), rivals.runs(qos="long", ends_in_s=None))
    rivals.urgent(qos="now")

    plan = rivals.plan()

    assert not plan.preemptions
    assert plan.look_again_at == rivals.now_at + HOUR_S


def test_a_heterogeneous_job_preempts_another_one() -> None:
    rivals = Rivals(nodes=3)
    victim = rivals.bind(rivals.runs(), rivals.runs())
    rivals.runs(partition="high")
    gang = urgent_gang(rivals, NODE, NODE)

    plan = rivals.plan()

    assert [(order.job_id, order.for_job_id) for order in plan.preemptions] == [(victim, gang[0].id)]
    assert nodes_of(plan, gang) == [("n1",), ("n2",)]
