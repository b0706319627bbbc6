"""Preemption in one pass, rule by rule: what those who go leave, and what they do not."""

import pytest

from sluice.model.request import GresRequest
from tests.preempt_builder import Rivals


def test_nothing_is_preempted_for_a_job_that_would_not_start() -> None:
    """One of the two nodes is taken by a job that can't be preempted."""
    rivals = Rivals(nodes=2)
    rivals.runs(("n1",))
    rivals.runs(("n2",), partition="high")
    rivals.urgent(nodes=2)

    assert rivals.victims() == {}


def test_an_overdue_job_is_no_room() -> None:
    """It should have ended by now and has not: preempting the other one would not let the job start."""
    rivals = Rivals(nodes=2)
    rivals.runs(("n1",))
    rivals.runs(("n2",), partition="high", ends_in_s=-60.0)
    rivals.urgent(nodes=2)

    assert rivals.victims() == {}


def test_planned_starts_above_are_respected() -> None:
    """The first is planned on the node for later and may preempt nobody; room for less than that is no room."""
    rivals = Rivals(nodes=1, by="qos")
    rivals.qos("normal").qos("urgent", preempt=("normal",))
    rivals.runs(("n1",), cpus=4, qos="normal", ends_in_s=600.0)
    rivals.pending(ntasks=4, priority=10**9, qos="normal", limit_s=None)
    rivals.pending(ntasks=4, qos="urgent", limit_s=3600)
    assert rivals.victims() == {}

    rivals.pending(ntasks=4, qos="urgent", limit_s=600)
    assert len(rivals.victims()) == 1


def test_suspended_jobs_keep_their_memory() -> None:
    rivals = Rivals(modes="SUSPEND,GANG", memory_mib=4000)
    rivals.runs(memory_mib=3000)
    rivals.urgent(memory_per_node_mib=1500)
    assert rivals.victims() == {}

    rivals.urgent(memory_per_node_mib=1000)
    assert list(rivals.victims().values()) == ["SUSPEND"]


def test_suspended_jobs_keep_their_gpus() -> None:
    gpus = (GresRequest(name="gpu", count=2),)
    rivals = Rivals(modes="SUSPEND,GANG", gres=gpus)
    rivals.runs(gres=(("gpu", 2),))
    rivals.urgent(gres_per_node=(GresRequest(name="gpu", count=1),))

    assert rivals.victims() == {}


def test_gpus_come_back_from_a_job_that_is_ended() -> None:
    gpus = (GresRequest(name="gpu", count=2),)
    rivals = Rivals(gres=gpus)
    victim = rivals.runs(cpus=1, gres=(("gpu", 2),))
    rivals.urgent(gres_per_node=(GresRequest(name="gpu", count=1),))

    assert rivals.victims() == {victim: "REQUEUE"}


@pytest.mark.parametrize("reclaims", [True, False])
def test_busy_licenses_are_reclaimed_only_if_so_configured(reclaims: bool) -> None:
    rivals = Rivals(nodes=2, reclaims_licenses=reclaims)
    rivals.licenses(matlab=0)
    victim = rivals.runs(cpus=1, licenses=(("matlab", 1),))
    rivals.urgent(licenses="matlab:1")

    assert rivals.victims() == ({victim: "REQUEUE"} if reclaims else {})


def test_exclusive_nodes_are_freed_whole() -> None:
    rivals = Rivals(nodes=2)
    rivals.runs(("n1",), cpus=2, priority=1)
    rivals.runs(("n1",), cpus=2, priority=9)
    alone = rivals.runs(("n2",), cpus=4, priority=8)
    rivals.urgent(exclusive="node")

    assert rivals.victims() == {alone: "REQUEUE"}


def test_a_node_for_one_user_is_free_when_the_others_there_are_gone() -> None:
    """One CPU each of n1 is bob's and eve's; on n2 somebody stays who can't be preempted."""
    rivals = Rivals(nodes=2)
    strangers = [rivals.runs(("n1",), cpus=1, uid=uid) for uid in (1001, 1002)]
    rivals.runs(("n1",), cpus=1)
    rivals.runs(("n2",), cpus=1, uid=1001, partition="high")
    urgent = rivals.urgent(exclusive="user")

    plan = rivals.plan()

    assert sorted(order.job_id for order in plan.preemptions) == strangers
    assert plan.planned[urgent.id].nodes == ("n1",)


def test_a_node_that_another_user_keeps_is_free_when_his_jobs_are_gone() -> None:
    rivals = Rivals()
    owner = rivals.runs(cpus=1, uid=1001, exclusive="user")
    rivals.urgent()

    assert rivals.victims() == {owner: "REQUEUE"}


def test_those_that_are_suspended_are_still_there() -> None:
    rivals = Rivals(modes="SUSPEND,GANG")
    rivals.runs(cpus=1, uid=1001)
    rivals.urgent(exclusive="user")

    assert rivals.victims() == {}


def test_an_overdue_job_of_another_user_is_still_there() -> None:
    rivals = Rivals()
    rivals.runs(cpus=1, uid=1001)
    rivals.runs(cpus=1, uid=1002, partition="high", ends_in_s=-60.0)
    rivals.urgent(exclusive="user")

    assert rivals.victims() == {}


def test_jobs_on_several_nodes_are_freed_with_all_of_them() -> None:
    rivals = Rivals(nodes=3)
    wide = rivals.runs(("n1", "n2"), priority=1)
    rivals.runs(("n3",), priority=9)
    rivals.urgent(nodes=2)

    assert rivals.victims() == {wide: "REQUEUE"}
