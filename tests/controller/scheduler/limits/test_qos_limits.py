"""The rule book of QOS: their limits, their flags and factors, and which limit goes before which."""

import pytest

from sluice.model.qos import Qos, QosFlag
from sluice.model.usage import Holder, HolderKind, Usage
from sluicectld.scheduler.limits.book import ALL_ENFORCED, SAFE
from sluicectld.scheduler.limits.decay import decay_usage
from tests.limits_builder import HOUR_S, Site

SAFELY = ALL_ENFORCED | {SAFE}


def two_accounts() -> Site:
    """Return ann in physics and in biology, bob in physics; no limits but those a test adds."""
    site = Site().account("physics").account("biology")
    return site.user("ann", "physics").user("ann", "biology").user("bob", "physics")


def test_group_limits_hold_over_all_jobs_with_the_qos() -> None:
    site = two_accounts().qos("high", group_jobs=2, group_tres={"cpu": 8, "mem": 1024})
    site.runs("ann", qos="high", cpus=4, mem=512)
    site.runs("ann", qos="high", account="biology", cpus=4, mem=512)

    assert site.blockers("bob", qos="high", mem=1) == {
        "QOSGrpJobsLimit": "QOS high: GrpJobs 2, 2 run",
        "QOSGrpCpuLimit": "QOS high: GrpTRES cpu=8, 8 in use, needs 1; nothing more fits",
        "QOSGrpMemLimit": "QOS high: GrpTRES mem=1G, 1G in use, needs 1M; nothing more fits",
    }
    assert not site.blockers("bob")


def test_max_tres_per_user_counts_a_user_in_all_accounts() -> None:
    site = two_accounts().qos("high", max_tres_per_user={"cpu": 8})
    site.runs("ann", qos="high", cpus=4)
    site.runs("ann", qos="high", account="biology", cpus=2)

    assert site.blockers("ann", qos="high", cpus=4) == {
        "QOSMaxCpuPerUserLimit": "QOS high, user ann: MaxTRESPerUser cpu=8, 6 in use, needs 4; 2 would fit"
    }
    assert not site.blockers("bob", qos="high", cpus=8)


def test_max_tres_per_account_counts_all_users_of_the_account() -> None:
    site = two_accounts().qos("high", max_tres_per_account={"gres/gpu": 2})
    site.runs("ann", qos="high", gpu=2)

    assert site.blockers("bob", qos="high", gpu=1) == {
        "MaxGRESPerAccount": "QOS high, account physics: MaxTRESPerAccount gres/gpu=2, 2 in use, needs 1; "
        "nothing more fits"
    }
    assert not site.blockers("ann", account="biology", qos="high", gpu=2)


def test_max_jobs_per_user_and_per_account() -> None:
    site = two_accounts().qos("high", max_jobs_per_user=1, max_jobs_per_account=2)
    site.runs("ann", qos="high")
    assert site.blockers("ann", qos="high", account="biology") == {
        "QOSMaxJobsPerUserLimit": "QOS high, user ann: MaxJobsPerUser 1, 1 run"
    }

    site.runs("bob", qos="high")
    assert site.blockers("bob", qos="high") == {
        "QOSMaxJobsPerUserLimit": "QOS high, user bob: MaxJobsPerUser 1, 1 run",
        "MaxJobsPerAccount": "QOS high, account physics: MaxJobsPerAccount 2, 2 run",
    }


def test_max_tres_run_mins_per_user_and_per_account() -> None:
    site = two_accounts().qos(
        "high", max_tres_run_minutes_per_user={"cpu": 90}, max_tres_run_minutes_per_account={"mem": 90}
    )
    site.runs("ann", qos="high", mem=1)

    assert list(site.blockers("ann", qos="high")) == ["MaxCpuRunMinsPerUser"]
    assert list(site.blockers("bob", qos="high", mem=1)) == ["MaxMemoryRunMinsPerAccount"]


def test_limits_of_each_job() -> None:
    site = two_accounts().qos(
        "small", max_tres_per_job={"cpu": 2}, max_tres_per_node={"mem": 1024}, max_wall_s=60,
        max_tres_minutes_per_job={"cpu": 60},
    )  # fmt: skip

    assert list(site.blockers("ann", qos="small", cpus=3, node_tres={"mem": 2048})) == [
        "QOSMaxWallDurationPerJobLimit",
        "QOSMaxCpuPerJobLimit",
        "QOSMaxMemoryPerNode",
        "QOSMaxCpuMinutesPerJobLimit",
    ]


def test_min_tres_wants_jobs_of_some_size() -> None:
    site = two_accounts().qos("wide", min_tres_per_job={"cpu": 16, "gres/gpu": 1})

    assert site.blockers("ann", qos="wide", cpus=8) == {
        "QOSMinCpuNotSatisfied": "QOS wide: MinTRESPerJob cpu=16, needs 8",
        "QOSMinGRES": "QOS wide: MinTRESPerJob gres/gpu=1, needs 0",
    }
    assert not site.blockers("ann", qos="wide", cpus=16, gpu=1)


def test_used_up_minutes_and_wall_time_of_a_qos() -> None:
    site = two_accounts().qos("high", group_tres_minutes={"cpu": 1}, group_wall_s=60)
    site.used("", qos="high", used_seconds={"cpu": 60.0}, wall_s=60.0)

    assert list(site.blockers("ann", qos="high")) == ["QOSGrpWallLimit", "QOSGrpCPUMinutesLimit"]


# --- precedence


def test_the_first_that_sets_a_limit_decides() -> None:
    """The example of Slurm's page: the partition's QOS says MaxJobs, the user's association MaxSubmitJobs."""
    site = Site().account("physics").user("ann", "physics", max_jobs=4, max_submit_jobs=50)
    site.qos("part", max_jobs_per_user=20).partition("batch", qos="part")
    for _ in range(5):
        site.runs("ann")

    assert not site.blockers("ann")
    assert site.verdict("ann", tasks=45) is None
    verdict = site.verdict("ann", tasks=46)
    assert verdict is not None
    assert verdict.message == "AssocMaxSubmitJobLimit"


def test_the_partitions_qos_goes_before_the_jobs() -> None:
    site = two_accounts().qos("part", group_jobs=1).qos("high", group_jobs=5).partition("batch", qos="part")
    site.runs("ann", qos="high")

    assert site.blockers("ann", qos="high") == {"QOSGrpJobsLimit": "QOS part: GrpJobs 1, 1 run"}


def test_over_part_qos_turns_that_around() -> None:
    site = two_accounts().qos("part", group_jobs=1).partition("batch", qos="part")
    site.qos("high", (QosFlag.OVER_PART_QOS,), group_jobs=5)
    site.runs("ann", qos="high")

    assert not site.blockers("ann", qos="high")


def test_a_qos_hides_the_same_limit_of_associations_name_by_name() -> None:
    site = Site().account("physics", group_tres={"cpu": 1, "mem": 1}).user("ann", "physics")
    site.qos("high", group_tres={"cpu": 64})

    assert list(site.blockers("ann", qos="high", cpus=2, mem=2)) == ["AssocGrpMemLimit"]


def test_a_qos_of_job_and_partition_counts_once() -> None:
    site = two_accounts().qos("part", group_jobs=2).partition("batch", qos="part")
    site.runs("ann", qos="part")

    assert not site.blockers("ann", qos="part")
    assert site.book.tally(Holder(HolderKind.QOS, qos="part")).jobs == 1


# --- which QOS


def test_the_default_qos_comes_from_the_nearest_association() -> None:
    site = Site().account("physics", default_qos="high").user("ann", "physics").qos("high", group_jobs=0)

    assert list(site.blockers("ann")) == ["QOSGrpJobsLimit"]
    assert not site.blockers("ann", qos="normal")


def test_a_qos_must_be_allowed_where_qos_is_enforced() -> None:
    site = Site().account("physics", qos=("normal",)).user("ann", "physics").qos("high")
    assert site.blockers("ann", qos="high") == {"InvalidQOS": "user ann may use the QOS normal, not high"}

    site = Site().account("physics", qos=("normal",)).user("ann", "physics").qos("high")
    site.enforced = frozenset({"associations", "limits"})
    assert not site.blockers("ann", qos="high")


# --- factors


def test_a_usage_factor_counts_in_run_minutes() -> None:
    site = two_accounts().qos("double", usage_factor=2.0, group_tres_run_minutes={"cpu": 120})
    site.runs("ann", qos="double", limit_s=HOUR_S // 2)

    assert list(site.blockers("ann", qos="double", limit_s=HOUR_S * 3 // 4)) == ["QOSGrpCPURunMinutesLimit"]
    assert not site.blockers("ann", qos="double", limit_s=HOUR_S // 2)


@pytest.mark.parametrize(("flags", "reasons"), [((), []), ((QosFlag.USAGE_FACTOR_SAFE,), ["AssocGrpCPUMinutesLimit"])])
def test_usage_factor_safe_applies_the_factor_to_what_a_job_may_use_up(flags, reasons) -> None:
    site = Site(SAFELY).account("physics", group_tres_minutes={"cpu": 90}).user("ann", "physics")
    site.qos("double", flags, usage_factor=2.0)

    assert list(site.blockers("ann", qos="double", limit_s=HOUR_S)) == reasons


def test_a_limit_factor_widens_the_tres_limits_of_associations_alone() -> None:
    site = Site().account("physics", group_tres={"cpu": 30}, group_jobs=1).user("ann", "physics")
    site.qos("wide", limit_factor=2.0, max_tres_per_job={"node": 1})
    assert not site.blockers("ann", qos="wide", cpus=60)
    assert list(site.blockers("ann", qos="wide", cpus=61, node=2)) == ["QOSMaxNodePerJobLimit", "AssocGrpCpuLimit"]

    site.runs("ann", qos="wide")
    assert list(site.blockers("ann", qos="wide")) == ["AssocGrpJobsLimit"]


def test_a_usage_threshold_holds_users_who_used_too_much() -> None:
    def site(factor: float, *flags: QosFlag) -> Site:
        made = Site().account("physics").user("ann", "physics").qos("fair", flags, usage_threshold=0.3)
        return made.used("physics", "ann", fair_share_factor=factor)

    assert site(0.2, QosFlag.ENFORCE_USAGE_THRESHOLD).blockers("ann", qos="fair") == {
        "QOSUsageThreshold": "user ann in account physics: fair-share factor 0.2, QOS fair wants 0.3 (UsageThreshold)"
    }
    assert not site(0.3, QosFlag.ENFORCE_USAGE_THRESHOLD).blockers("ann", qos="fair")
    assert not site(0.2).blockers("ann", qos="fair")


def test_a_relative_qos_means_percent_of_the_cluster() -> None:
    site = Site(totals={"cpu": 200}).account("physics").user("ann", "physics")
    site.qos("tenth", (QosFlag.RELATIVE,), group_tres={"cpu": 10})

    assert not site.blockers("ann", qos="tenth", cpus=20)
    assert list(site.blockers("ann", qos="tenth", cpus=21)) == ["QOSGrpCpuLimit"]


def test_past_use_halves_every_half_life_but_for_qos_with_no_decay() -> None:
    usage = {
        Holder(HolderKind.QOS, qos=name): Usage(jobs=1, used_seconds={"cpu": 800.0}, wall_s=400.0)
        for name in ("normal", "kept")
    }
    qos = {"normal": Qos(name="normal"), "kept": Qos(name="kept", flags=frozenset({QosFlag.NO_DECAY}))}

    decayed = decay_usage(usage, qos, elapsed_s=200.0, half_life_s=100.0)

    assert decayed[Holder(HolderKind.QOS, qos="normal")] == Usage(jobs=1, used_seconds={"cpu": 200.0}, wall_s=100.0)
    assert decayed[Holder(HolderKind.QOS, qos="kept")] == usage[Holder(HolderKind.QOS, qos="kept")]


# --- lists of partitions


@pytest.mark.parametrize(
    ("lists", "reason", "text"),
    [
        (
            {"allow_accounts": ("biology",)},
            "AccountNotAllowed",
            "for the accounts biology, not physics (AllowAccounts)",
        ),
        ({"deny_accounts": ("physics",)}, "AccountNotAllowed", "closed to account physics (DenyAccounts)"),
        ({"allow_qos": ("high", "low")}, "QOSNotAllowed", "for the QOS high,low, not normal (AllowQos)"),
        ({"deny_qos": ("normal",)}, "QOSNotAllowed", "closed to QOS normal (DenyQos)"),
    ],
)
def test_a_partition_may_be_for_some_accounts_and_qos_only(lists, reason, text) -> None:
    site = two_accounts().partition("batch", **lists)

    ((found, told),) = site.blockers("ann").items()

    assert found == reason
    assert told.startswith("partition batch is ")
    assert told.endswith(text)


def test_an_allow_list_makes_the_deny_list_void() -> None:
    site = two_accounts().partition("batch", allow_accounts=("physics",), deny_accounts=("physics",))

    assert not site.blockers("ann")
