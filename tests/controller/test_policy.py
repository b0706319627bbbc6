"""What the scheduler decides by, from the configuration's text."""

from pathlib import Path

import pytest

from sluice.config.load import load
from sluice.errors import PluginError
from sluice.model.preemption import PreemptSetup
from sluicectld.fairshare.factors import FairShareRules, fair_share_rules_of
from sluicectld.policy import policy_of
from sluicectld.scheduler.priority import is_lasting
from sluicectld.scheduler.snapshot import Policy

BASE = """ClusterName=c
SlurmctldHost=h
NodeName=n[1-4] CPUs=4 RealMemory=1000
PartitionName=batch Nodes=ALL Default=YES
PartitionName=half Nodes=n[1-2]
Licenses=matlab:3
"""


def policy(tmp_path: Path, text: str = "") -> Policy:
    path = tmp_path / "sluice.conf"
    path.write_text(BASE + text)
    return policy_of(load(str(path)))


def test_every_key_of_priorities_is_read(tmp_path: Path) -> None:
    text = """PriorityWeightAge=1
PriorityWeightAssoc=2
PriorityWeightFairShare=3
PriorityWeightJobSize=4
PriorityWeightPartition=5
PriorityWeightQOS=6
PriorityWeightTRES=CPU=1000,Mem=2000
PriorityFlags=ACCRUE_ALWAYS,NO_FAIR_TREE
PriorityFavorSmall=YES
PriorityMaxAge=1-0
PriorityDecayHalfLife=2-0
PriorityUsageResetPeriod=WEEKLY
PriorityCalcPeriod=10
FairShareDampeningFactor=5
PrioritySiteFactorParameters=x=1
"""
    setup = policy(tmp_path, text).priority

    weights = {"age": 1, "assoc": 2, "fairshare": 3, "jobsize": 4, "partition": 5, "qos": 6}
    assert (setup.type, setup.weights, setup.tres_weights) == ("multifactor", weights, {"cpu": 1000.0, "mem": 2000.0})
    assert setup.flags == {"ACCRUE_ALWAYS", "NO_FAIR_TREE"}
    assert (setup.is_small_favored, setup.max_age_s, setup.half_life_s) == (True, 86400.0, 172800.0)
    assert (setup.usage_reset_period, setup.calculation_period_s, setup.site_parameters) == ("WEEKLY", 600.0, "x=1")
    assert fair_share_rules_of(setup) == FairShareRules(is_fair_tree=False, dampening=5.0)


@pytest.mark.parametrize(
    ("text", "lasting"),
    [("", True), ("PriorityType=priority/basic\nPriorityWeightAge=9", True), ("PriorityWeightAge=9", False)],
    ids=["no weights", "basic", "a weight"],
)
def test_priorities_last_where_nothing_is_weighed(tmp_path: Path, text: str, lasting: bool) -> None:
    assert is_lasting(policy(tmp_path, text)) is lasting


def test_the_cluster_is_counted(tmp_path: Path) -> None:
    totals = policy(tmp_path).totals

    assert (totals.nodes, totals.cpus, totals.licenses) == (4, 16, {"license/matlab": 3})
    assert totals.tres_by_partition["half"][1]["mem"] == 2000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PriorityType=priority/oracle", "no priority plugin is called 'oracle'"),
        ("PrioritySiteFactorPlugin=site_factor/owner", "no priority_factor plugin is called 'owner'"),
        ("PriorityParameters=owner=5", "no priority_factor plugin is called 'owner'"),
        ("PriorityParameters=age=much", "age=much: a factor's weight is a whole number"),
    ],
)
def test_a_plugin_that_is_not_there_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        policy(tmp_path, text)


def test_the_words_of_backfill_are_read(tmp_path: Path) -> None:
    words = (
        "bf_window=60,bf_max_job_test=7,bf_max_job_user=1,bf_max_job_part=2,bf_max_job_user_part=3,bf_max_job_start=4,"
        "bf_min_age_reserve=5,bf_min_prio_reserve=6,bf_job_part_count_reserve=8,bf_plans=9"
    )

    found = policy(tmp_path, f"SchedulerParameters={words}\n")

    assert (found.backfill_window_s, found.backfill_jobs_max, found.planned_max) == (3600.0, 7, 9)
    assert (found.backfill_user_jobs_max, found.backfill_partition_jobs_max) == (1, 2)
    assert (found.backfill_user_partition_jobs_max, found.backfill_starts_max) == (3, 4)
    assert (found.plan_age_min_s, found.plan_priority_min, found.partition_plans_min) == (5.0, 6, 8)


@pytest.mark.parametrize(
    ("word", "planned_max", "is_shortest_first", "keeps_promises", "is_predicting"),
    [
        ("hybrid", 500, False, False, False),
        ("easy", 1, False, False, False),
        ("easy-sjbf", 1, True, False, False),
        ("conservative", 10**9, False, True, False),
        ("predict", 1, False, False, True),
    ],
)
def test_a_backfill_policy_has_a_name(
    tmp_path: Path, word: str, planned_max: int, is_shortest_first: bool, keeps_promises: bool, is_predicting: bool
) -> None:
    found = policy(tmp_path, f"SchedulerParameters=bf_policy={word}\n")

    assert found.planned_max == planned_max
    assert (found.is_shortest_first, found.keeps_promises) == (is_shortest_first, keeps_promises)
    assert found.is_predicting == is_predicting


def test_an_unknown_backfill_policy_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="bf_policy=lazy: no such backfill policy; known are hybrid, easy, "):
        policy(tmp_path, "SchedulerParameters=bf_policy=lazy\n")


@pytest.mark.parametrize("word", ["bf_window=-4", "bf_plans=99999999999999999999", "bf_min_age_reserve=1h"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(PluginError, match=f"SchedulerParameters: {word}: a whole number from 0 to 999999999 is wanted"):
        policy(tmp_path, f"SchedulerParameters={word}\n")


def test_every_key_of_preemption_is_read(tmp_path: Path) -> None:
    text = """PreemptType=preempt/qos
PreemptMode=REQUEUE,WITHIN
PreemptExemptTime=10
JobRequeue=0
PreemptParameters=min_exempt_priority=50,reclaim_licenses,reorder_count=3,send_user_signal,strict_order,youngest_first
"""
    found = policy(tmp_path, text)

    assert found.preempt == PreemptSetup(
        type="qos",
        modes=frozenset({"REQUEUE", "WITHIN"}),
        exempt_s=600.0,
        min_exempt_priority=50,
        reclaims_licenses=True,
        reorder_count=3,
        sends_user_signal=True,
        is_strict_order=True,
        is_youngest_first=True,
        requeues=False,
    )
    assert found.preempt_plugin is not None


def test_preemption_is_off_by_default_and_older_names_of_its_words_are_known(tmp_path: Path) -> None:
    assert policy(tmp_path).preempt_plugin is None
    text = "SchedulerParameters=preempt_youngest_first,preempt_reorder_count=2\n"
    found = policy(tmp_path, text).preempt
    assert (found.is_youngest_first, found.reorder_count) == (True, 2)


def test_an_unknown_preempt_plugin_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no preempt plugin is called 'dice': partition_prio, qos"):
        policy(tmp_path, "PreemptType=preempt/dice\n")
