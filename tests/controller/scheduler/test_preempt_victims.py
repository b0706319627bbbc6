"""Preemption in one pass, rule by rule: who may be preempted, who goes first, and how."""

import pytest

from sluice.model.preemption import Room
from tests.preempt_builder import HOUR_S, Rivals


def test_a_job_that_fits_nowhere_preempts_one_of_a_lower_tier() -> None:
    rivals = Rivals()
    victim = rivals.runs()
    urgent = rivals.urgent()

    plan = rivals.plan()

    (order,) = plan.preemptions
    assert (order.job_id, order.mode, order.for_job_id) == (victim, "REQUEUE", urgent.id)
    assert order.grace_s == 0.0
    assert order.rooms == (Room(job_id=urgent.id, partition="high", nodes=("n1",)),)
    assert not plan.starts
    assert plan.planned[urgent.id].at == rivals.now_at
    assert plan.blockers[urgent.id][0].text == f"requeues job {victim}; starts on n1 when they are gone"


def test_nobody_is_preempted_where_there_is_room() -> None:
    rivals = Rivals(nodes=2)
    rivals.runs()
    rivals.urgent()

    plan = rivals.plan()

    assert not plan.preemptions
    assert len(plan.starts) == 1


def test_without_a_plugin_nobody_is_preempted() -> None:
    rivals = Rivals(by="none")
    rivals.runs()
    rivals.urgent()

    assert rivals.victims() == {}


@pytest.mark.parametrize("partition", ["high", "batch"])
def test_a_job_of_equal_or_lower_tier_preempts_nobody(partition: str) -> None:
    rivals = Rivals()
    rivals.runs(partition="high")
    rivals.urgent(partitions=(partition,))

    assert rivals.victims() == {}


def test_the_lowest_priority_goes_first() -> None:
    rivals = Rivals(nodes=3)
    rivals.runs(priority=30)
    lowest = rivals.runs(priority=10)
    rivals.runs(priority=20)
    rivals.urgent()

    assert rivals.victims() == {lowest: "REQUEUE"}


def test_of_equal_priority_the_least_work_is_lost() -> None:
    """Work is counted in CPU-seconds: four CPUs for 20 minutes are more than one for an hour."""
    rivals = Rivals(nodes=2)
    rivals.runs(("n1",), cpus=4, ran_s=1200)
    small = rivals.runs(("n2",), cpus=1, ran_s=HOUR_S)
    rivals.urgent(ntasks=4)

    assert rivals.victims() == {small: "REQUEUE"}


def test_no_more_are_preempted_than_needed() -> None:
    """Four jobs of one CPU each stand on the node; for two CPUs two of them go."""
    rivals = Rivals()
    jobs = [rivals.runs(("n1",), cpus=1, priority=priority) for priority in (4, 1, 3, 2)]
    rivals.urgent(ntasks=2)

    assert rivals.victims() == {jobs[1]: "REQUEUE", jobs[3]: "REQUEUE"}


def test_those_that_turn_out_unnecessary_are_spared() -> None:
    """The cheap one alone does not make room, the dear one does: the cheap one stays."""
    rivals = Rivals(nodes=2)
    rivals.runs(("n1",), cpus=1, priority=1)
    rivals.runs(("n1",), cpus=3, priority=9)
    dear = rivals.runs(("n2",), cpus=4, priority=5)
    rivals.urgent(ntasks=4)

    assert rivals.victims() == {dear: "REQUEUE"}


@pytest.mark.parametrize(
    ("is_strict_order", "expected"),
    [pytest.param(False, [3, 4], id="few jobs by default"), pytest.param(True, [1, 2, 4], id="cheap ones if strict")],
)
def test_the_order_of_sparing_decides_between_few_and_cheap_ones(is_strict_order: bool, expected: list[int]) -> None:
    """The fourth is needed in any case; beside it the first two make as much room as the third."""
    rivals = Rivals(cpus=7, is_strict_order=is_strict_order)
    for priority, cpus in enumerate((1, 1, 2, 3), 1):
        rivals.runs(("n1",), cpus=cpus, priority=priority)
    rivals.urgent(ntasks=5)

    assert sorted(rivals.victims()) == expected


def test_the_youngest_goes_first_if_so_configured() -> None:
    rivals = Rivals(nodes=2, is_youngest_first=True)
    rivals.runs(priority=1, ran_s=HOUR_S)
    young = rivals.runs(priority=9, ran_s=60)
    rivals.urgent()

    assert rivals.victims() == {young: "REQUEUE"}


def test_jobs_of_a_priority_at_the_threshold_are_exempt() -> None:
    rivals = Rivals(nodes=2, min_exempt_priority=50)
    rivals.runs(priority=50)
    below = rivals.runs(priority=49, ran_s=10 * HOUR_S)
    rivals.urgent()

    assert rivals.victims() == {below: "REQUEUE"}


def test_a_job_is_exempt_at_first_and_the_pass_looks_again_when_it_is_no_longer() -> None:
    rivals = Rivals(exempt_s=7200.0)
    rivals.runs(ran_s=HOUR_S, ends_in_s=None)
    urgent = rivals.urgent()

    plan = rivals.plan()

    assert not plan.preemptions
    assert plan.look_again_at == rivals.now_at + 3600
    assert plan.blockers[urgent.id][0].text.endswith("(PreemptExemptTime)")


def test_suspension_knows_no_exempt_time() -> None:
    rivals = Rivals(modes="SUSPEND,GANG", exempt_s=7200.0)
    victim = rivals.runs(ran_s=60)
    rivals.urgent()

    assert rivals.victims() == {victim: "SUSPEND"}


@pytest.mark.parametrize(
    ("spec", "requeues", "expected"),
    [
        pytest.param({}, True, "REQUEUE", id="JobRequeue"),
        pytest.param({}, False, "CANCEL", id="no JobRequeue"),
        pytest.param({"can_requeue": False}, True, "CANCEL", id="--no-requeue"),
        pytest.param({"can_requeue": True}, False, "REQUEUE", id="--requeue"),
        pytest.param({"is_batch": False}, True, "CANCEL", id="salloc"),
    ],
)
def test_a_job_that_can_not_be_requeued_is_cancelled(spec: dict[str, bool], requeues: bool, expected: str) -> None:
    rivals = Rivals(requeues=requeues)
    victim = rivals.runs(**spec)
    rivals.urgent()

    assert rivals.victims() == {victim: expected}


def test_the_partition_says_how_and_with_what_grace() -> None:
    rivals = Rivals()
    rivals.partition("low", preempt_mode="CANCEL", grace_s=300)
    rivals.runs()
    urgent = rivals.urgent()

    plan = rivals.plan()

    assert [(order.mode, order.grace_s) for order in plan.preemptions] == [("CANCEL", 300.0)]
    assert plan.planned[urgent.id].at == rivals.now_at + 300
    assert plan.blockers[urgent.id][0].text.endswith("by 13:51:40 (GraceTime)")


def test_a_protected_partition_is_left_alone() -> None:
    rivals = Rivals()
    rivals.partition("low", preempt_mode="OFF")
    rivals.runs()
    rivals.urgent()

    assert rivals.victims() == {}


def test_by_qos_the_list_decides_and_not_the_tier() -> None:
    rivals = Rivals(by="qos")
    rivals.qos("normal", grace_s=30).qos("urgent", preempt=("normal",), priority=1)
    victim = rivals.runs(qos="normal", partition="high")
    urgent = rivals.urgent(partitions=("low",), qos="urgent")

    (order,) = rivals.plan().preemptions
    assert (order.job_id, order.for_job_id, order.grace_s) == (victim, urgent.id, 30.0)


@pytest.mark.parametrize(
    ("priority", "is_preempted"),
    [pytest.param(101, True, id="higher"), pytest.param(100, False, id="equal"), pytest.param(99, False, id="lower")],
)
def test_within_a_qos_only_a_higher_priority_preempts(priority: int, is_preempted: bool) -> None:
    rivals = Rivals(by="qos", modes="REQUEUE,WITHIN")
    rivals.qos("normal")
    rivals.runs(qos="normal", priority=100)
    rivals.urgent(qos="normal", priority=priority)

    assert bool(rivals.victims()) is is_preempted


def test_with_the_word_priority_a_higher_tier_is_not_enough() -> None:
    rivals = Rivals(modes="REQUEUE,PRIORITY")
    rivals.runs(priority=100)
    rivals.urgent(priority=100)

    assert rivals.victims() == {}


def test_jobs_of_a_reservation_are_left_alone_by_others() -> None:
    rivals = Rivals(nodes=2)
    rivals.reserve("course", "n1")
    rivals.runs(("n1",), reservation="course", priority=1)
    outside = rivals.runs(("n2",), priority=9)
    rivals.urgent()
    assert rivals.victims() == {outside: "REQUEUE"}


def test_a_job_of_a_reservation_preempts_in_it() -> None:
    """Also one that has the node only because it ends soon (MaxStartDelay)."""
    rivals = Rivals(nodes=2)
    rivals.reserve("course", "n1")
    guest = rivals.runs(("n1",), priority=9)
    rivals.runs(("n2",), priority=1)
    rivals.urgent(reservation="course")
    assert rivals.victims() == {guest: "REQUEUE"}


def test_a_flexible_reservation_does_not_protect_its_jobs_elsewhere() -> None:
    rivals = Rivals(nodes=2)
    rivals.reserve("flexible", "n1", flags=("FLEX",))
    rivals.runs(("n1",), reservation="flexible", priority=1)
    elsewhere = rivals.runs(("n2",), reservation="flexible", priority=9)
    rivals.urgent(user="bob", uid=1001)
    assert rivals.victims() == {elsewhere: "REQUEUE"}
