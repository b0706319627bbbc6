"""Preempt plugins: the contract, and the rules of the manuals one by one."""

from typing import Any

import pytest

from sluice.model.partition import Partition
from sluice.model.preemption import PreemptMode, PreemptSetup
from sluice.model.qos import Qos
from sluice_plugins import registry
from sluice_plugins.interfaces import Contender, PreemptRight, VictimCost
from sluice_plugins.preempt.partition_prio import PartitionPrio
from sluice_plugins.preempt.qos import ByQos
from sluice_plugins.testing import check_preempt_plugin


def by(modes: str, **fields: Any) -> PreemptSetup:
    return PreemptSetup(modes=frozenset(modes.split(",")), **fields)


def tier(number: int, **fields: Any) -> Contender:
    return Contender(Partition(name=f"tier {number}", priority_tier=number, **fields))


def with_qos(name: str, *preempts: str, tier: int = 1, **fields: Any) -> Contender:
    qos = Qos(name=name, preempt=preempts, **fields)
    return Contender(Partition(name="batch", priority_tier=tier), qos, (qos,))


@pytest.mark.parametrize("name", ["partition_prio", "qos"])
def test_the_built_in_plugins_keep_the_contract(name: str) -> None:
    check_preempt_plugin(registry.find("preempt", name))


def test_none_is_no_plugin() -> None:
    assert registry.find_preemption("none") is None


def test_the_contract_catches_rights_over_each_other() -> None:
    class Chaos(PartitionPrio):
        def may_preempt(self, preemptor: Contender, victim: Contender, setup: PreemptSetup) -> PreemptRight | None:
            return PreemptRight(PreemptMode.CANCEL)

    with pytest.raises(AssertionError, match="preempt each other"):
        check_preempt_plugin(Chaos())


@pytest.mark.parametrize(
    ("preemptor", "victim", "modes", "expected"),
    [
        pytest.param(tier(2), tier(1), "REQUEUE", PreemptMode.REQUEUE, id="a higher tier preempts as the cluster says"),
        pytest.param(tier(2), tier(2), "REQUEUE", None, id="an equal tier does not"),
        pytest.param(tier(1), tier(2), "REQUEUE", None, id="a lower tier does not"),
        pytest.param(
            tier(2), tier(1, preempt_mode="CANCEL"), "REQUEUE", PreemptMode.CANCEL, id="the victim's partition decides"
        ),
        pytest.param(tier(2), tier(1, preempt_mode="OFF"), "REQUEUE", None, id="OFF protects a partition"),
        pytest.param(
            tier(2, preempt_mode="OFF"), tier(1), "CANCEL", PreemptMode.CANCEL, id="OFF does not bind its own"
        ),
        pytest.param(tier(2), tier(1), "GANG,SUSPEND", PreemptMode.SUSPEND, id="GANG goes beside SUSPEND"),
    ],
)
def test_tiers_decide(preemptor: Contender, victim: Contender, modes: str, expected: PreemptMode | None) -> None:
    right = PartitionPrio().may_preempt(preemptor, victim, by(modes))
    assert (right.mode if right else None) == expected


@pytest.mark.parametrize(
    ("preemptor", "victim", "modes", "expected"),
    [
        pytest.param(with_qos("high", "low"), with_qos("low"), "CANCEL", PreemptMode.CANCEL, id="a listed QOS"),
        pytest.param(with_qos("high"), with_qos("low"), "CANCEL", None, id="a QOS that is not listed"),
        pytest.param(with_qos("low"), with_qos("high", "low"), "CANCEL", None, id="not the other way round"),
        pytest.param(with_qos("a"), with_qos("a"), "CANCEL", None, id="not within a QOS"),
        pytest.param(
            with_qos("high", "low"),
            with_qos("low", preempt_mode="requeue"),
            "CANCEL",
            PreemptMode.REQUEUE,
            id="the victim's QOS decides how",
        ),
        pytest.param(
            with_qos("high", "low"),
            with_qos("low", preempt_mode="OFF"),
            "CANCEL",
            PreemptMode.CANCEL,
            id="OFF of a QOS means the cluster's mode",
        ),
        pytest.param(
            with_qos("high", "low"),
            with_qos("low", tier=2),
            "SUSPEND,GANG",
            None,
            id="jobs of a higher tier are not suspended",
        ),
        pytest.param(
            with_qos("high", "low"),
            with_qos("low"),
            "SUSPEND,GANG",
            PreemptMode.SUSPEND,
            id="jobs of the same tier are suspended",
        ),
        pytest.param(Contender(Partition(name="batch")), with_qos("low"), "CANCEL", None, id="a job without a QOS"),
    ],
)
def test_lists_of_qos_decide(preemptor: Contender, victim: Contender, modes: str, expected: PreemptMode | None) -> None:
    right = ByQos().may_preempt(preemptor, victim, by(modes))
    assert (right.mode if right else None) == expected


@pytest.mark.parametrize(
    ("right", "needs_priority"),
    [
        pytest.param(ByQos().may_preempt(with_qos("a"), with_qos("a"), by("CANCEL,WITHIN")), True, id="WITHIN"),
        pytest.param(
            ByQos().may_preempt(with_qos("a"), with_qos("a", preempt_mode="REQUEUE,WITHIN"), by("CANCEL")),
            True,
            id="WITHIN of one QOS",
        ),
        pytest.param(
            ByQos().may_preempt(with_qos("a", "b"), with_qos("b", "a"), by("CANCEL")), True, id="lists that are a ring"
        ),
        pytest.param(
            ByQos().may_preempt(with_qos("a", "b"), with_qos("b"), by("CANCEL,PRIORITY")), True, id="PRIORITY"
        ),
        pytest.param(PartitionPrio().may_preempt(tier(2), tier(1), by("CANCEL,PRIORITY")), True, id="PRIORITY by tier"),
        pytest.param(ByQos().may_preempt(with_qos("a", "b"), with_qos("b"), by("CANCEL")), False, id="a plain list"),
    ],
)
def test_some_rights_need_a_higher_priority(right: PreemptRight | None, needs_priority: bool) -> None:
    assert right is not None
    assert right.needs_priority is needs_priority


def test_grace_is_the_partitions_or_the_qos() -> None:
    victim = Contender(Partition(name="batch", grace_s=60), Qos(name="low", grace_s=30))
    assert (PartitionPrio().grace_s(victim, by("CANCEL")), ByQos().grace_s(victim, by("CANCEL"))) == (60.0, 30.0)


def test_the_first_qos_with_an_exempt_time_takes_precedence_over_the_cluster() -> None:
    own, partitions = Qos(name="low"), Qos(name="part", preempt_exempt_s=0)
    victim = Contender(Partition(name="batch"), own, (own, partitions))
    setup = by("CANCEL", exempt_s=600.0)
    assert ByQos().exempt_s(victim, setup) == 0.0
    assert ByQos().exempt_s(Contender(Partition(name="batch"), own, (own,)), setup) == 600.0


def test_the_lowest_priority_then_the_least_work_goes_first() -> None:
    costs = [VictimCost(1, 5, 0.0, 10.0), VictimCost(2, 5, 50.0, 90.0), VictimCost(3, 4, 9.0, 9000.0)]
    ranked = sorted(costs, key=lambda cost: ByQos().rank(cost, by("CANCEL")))
    assert [cost.job_id for cost in ranked] == [3, 1, 2]


def test_with_youngest_first_the_latest_start_goes_first() -> None:
    costs = [VictimCost(1, 1, 0.0, 10.0), VictimCost(2, 5, 50.0, 90.0)]
    ranked = sorted(costs, key=lambda cost: ByQos().rank(cost, by("CANCEL", is_youngest_first=True)))
    assert [cost.job_id for cost in ranked] == [2, 1]
