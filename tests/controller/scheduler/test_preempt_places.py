"""Preemption in one pass, rule by rule: for whom, once, and whose place is kept."""

from msgspec.structs import replace

from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.inquiry import Question, answer
from sluicectld.scheduler.memory import Memory
from tests.preempt_builder import Rivals


def test_a_victim_is_not_chosen_twice() -> None:
    """Two urgent jobs, two victims: one for each, the cheaper one for the first."""
    rivals = Rivals(nodes=2)
    first, second = rivals.runs(priority=1), rivals.runs(priority=2)
    ahead, behind = rivals.urgent(), rivals.urgent()

    plan = rivals.plan()

    assert [(order.job_id, order.for_job_id) for order in plan.preemptions] == [(first, ahead.id), (second, behind.id)]


def test_what_is_being_freed_is_for_the_one_who_preempts() -> None:
    """Another job above it would have the node at once; it gets neither the node nor a planned start on it now."""
    rivals = Rivals(by="qos")
    rivals.qos("normal").qos("urgent", preempt=("normal",))
    victim = rivals.runs(qos="normal")
    urgent = rivals.urgent(qos="urgent", priority=1, limit_s=600)
    rivals.warn(victim, urgent.id, "n1")
    other = rivals.pending(ntasks=4, priority=10**9, qos="normal", partitions=("high",))

    plan = rivals.plan()

    assert not plan.preemptions
    assert plan.planned[urgent.id].nodes == ("n1",)
    assert plan.planned[other.id].at == rivals.now_at + 600
    assert "waits for job 1 to make room on n1, by 13:47:40 (GraceTime)" in plan.blockers[urgent.id][0].text


def test_a_place_that_was_promised_in_the_pass_before_is_kept_once() -> None:
    """Promises outlive their pass (conservative backfill); the place behind leaving jobs was told as one, too."""
    rivals = Rivals()
    rivals.policy = replace(rivals.policy, keeps_promises=True)
    victim = rivals.runs()
    urgent = rivals.urgent()
    first = rivals.plan()
    rivals.warn(victim, urgent.id, "n1")
    snapshot = replace(rivals.snapshot(), promised=first.planned, is_freed=False)

    plan = decide(snapshot, rivals.policy)

    assert not plan.preemptions
    assert plan.planned[urgent.id].nodes == ("n1",)


def test_a_victim_that_has_ended_and_is_not_clean_is_still_waited_for() -> None:
    rivals = Rivals(nodes=1)
    victim = rivals.runs()
    urgent = rivals.urgent()
    rivals.warn(victim, urgent.id, "n1")
    rivals.running_jobs.clear()
    (view,) = rivals.leaving
    assert view.job is not None
    rivals.leaving = [replace(view, job=replace(view.job, state=JobState.PREEMPTED, completing_nodes=("n1",)))]

    plan = rivals.plan()

    assert not plan.preemptions
    assert plan.planned[urgent.id].nodes == ("n1",)


def test_a_victim_that_has_ended_and_is_not_clean_is_named_as_who_is_waited_for() -> None:
    """And not another job, whose end would be of no use; the place is expected at any moment, not in the past."""
    rivals = Rivals(nodes=2)
    victim = rivals.runs(("n1",))
    rivals.runs(("n2",), cpus=2)
    urgent = rivals.urgent(required_nodes=("n1",), ntasks=4)
    rivals.warn(victim, urgent.id, "n1")
    rivals.running_jobs = [each for each in rivals.running_jobs if each.job_id != victim]
    (view,) = rivals.leaving
    assert view.job is not None
    rivals.leaving = [replace(view, job=replace(view.job, state=JobState.PREEMPTED, completing_nodes=("n1",)))]
    plan = rivals.plan()
    later = replace(rivals.snapshot(), now_at=rivals.now_at + 70)

    found = answer(Question(later, rivals.policy, plan, urgent))

    assert [(each.job_id, each.nodes, each.is_completing) for each in found.outlooks[0].holders] == [
        (victim, "n1", True)
    ]
    assert (found.planned_nodes, found.planned_start_at) == ("n1", rivals.now_at + 70)


def test_one_of_several_partitions_is_enough() -> None:
    rivals = Rivals()
    victim = rivals.runs()
    urgent = rivals.urgent(partitions=("low", "high"))

    plan = rivals.plan()

    assert [(order.job_id, order.rooms[0].partition) for order in plan.preemptions] == [(victim, "high")]
    assert urgent.id in plan.planned


def test_a_task_of_an_array_preempts_and_is_preempted() -> None:
    rivals = Rivals(nodes=2)
    victims = [rivals.runs(), rivals.runs()]
    array = rivals.urgent(tasks=((1, 8, 1),))

    plan = rivals.plan()

    assert {order.for_job_id for order in plan.preemptions} == {array.id}
    assert plan.preemptions[0].job_id in victims


def test_a_job_behind_another_of_its_queue_preempts_nobody_without_backfill() -> None:
    rivals = Rivals(nodes=2)
    rivals.policy = replace(rivals.policy, is_backfilling=False)
    rivals.runs(("n1",))
    rivals.runs(("n2",), partition="high")
    rivals.urgent(nodes=2)
    rivals.urgent(nodes=1)

    assert rivals.victims() == {}


def test_a_pass_with_memory_decides_as_one_without() -> None:
    """What a pass expects of its victims is forgotten after it."""
    rivals = Rivals(nodes=2)
    rivals.runs(priority=1)
    rivals.runs(priority=2, ends_in_s=None)
    rivals.urgent(nodes=2)
    rivals.pending(nodes=1)
    memory = Memory()

    first = decide(rivals.snapshot(), rivals.policy, memory=memory)

    assert first == rivals.plan()
    assert decide(rivals.snapshot(), rivals.policy, memory=memory) == first


def test_reasons_that_preemption_does_not_help_against_stay() -> None:
    rivals = Rivals()
    rivals.runs()
    urgent = rivals.urgent(nodes=5)

    plan = rivals.plan()

    assert not plan.preemptions
    assert plan.blockers[urgent.id][0].reason is not Reason.RESOURCES
