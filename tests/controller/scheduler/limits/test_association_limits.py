"""The rule book of associations: one limit a test, what it stops and what it says."""

from sluice.model.association import AssociationKey
from sluicectld.scheduler.limits.book import ALL_ENFORCED, SAFE
from tests.limits_builder import HOUR_S, Site

SAFELY = ALL_ENFORCED | {SAFE}


def physics(**limits: object) -> Site:
    """Return ann and bob in physics, which has the limits, and eve in biology, which has none."""
    site = Site().account("physics", **limits).user("ann", "physics").user("bob", "physics")
    return site.account("biology").user("eve", "biology")


def test_grp_tres_holds_over_all_users_of_the_account() -> None:
    site = physics(group_tres={"cpu": 8})
    site.runs("ann", cpus=6)

    assert site.blockers("bob", cpus=4) == {
        "AssocGrpCpuLimit": "account physics: GrpTRES cpu=8, 6 in use, needs 4; 2 would fit"
    }
    assert not site.blockers("bob", cpus=2)
    assert not site.blockers("eve", cpus=64)


def test_grp_tres_counts_memory_nodes_and_devices_each_by_itself() -> None:
    site = physics(group_tres={"mem": 4096, "node": 2, "gres/gpu": 1})
    site.runs("ann", node=2, mem=4096, gpu=1)

    assert site.blockers("bob", node=1, mem=1024, gpu=1) == {
        "AssocGrpMemLimit": "account physics: GrpTRES mem=4G, 4G in use, needs 1G; nothing more fits",
        "AssocGrpNodeLimit": "account physics: GrpTRES node=2, 2 in use, needs 1; nothing more fits",
        "AssocGrpGRES": "account physics: GrpTRES gres/gpu=1, 1 in use, needs 1; nothing more fits",
    }


def test_what_a_job_does_not_ask_for_does_not_stop_it() -> None:
    site = physics(group_tres={"gres/gpu": 1})
    site.runs("ann", gpu=2)

    assert not site.blockers("bob")


def test_grp_tres_holds_over_the_accounts_below() -> None:
    site = Site().account("science", group_tres={"cpu": 8}).account("physics", "science").account("optics", "physics")
    site.user("ann", "optics").user("bob", "science")
    site.runs("ann", cpus=8)

    assert list(site.blockers("bob")) == ["AssocGrpCpuLimit"]


def test_a_group_limit_below_takes_none_of_those_above_away() -> None:
    site = Site().account("science", group_jobs=1).account("physics", "science", group_jobs=5)
    site.user("ann", "physics").user("bob", "science")
    site.runs("bob")

    assert site.blockers("ann") == {"AssocGrpJobsLimit": "account science: GrpJobs 1, 1 run"}


def test_grp_tres_mins_lets_jobs_start_until_it_is_used_up() -> None:
    site = physics(group_tres_minutes={"cpu": 100}).used("physics", used_seconds={"cpu": 99.0 * 60})
    assert not site.blockers("ann", cpus=64)

    site = physics(group_tres_minutes={"cpu": 100}).used("physics", used_seconds={"cpu": 100.0 * 60})
    assert site.blockers("ann") == {"AssocGrpCPUMinutesLimit": "account physics: GrpTRESMins cpu=100, 100 minutes used"}


def test_grp_tres_mins_is_kept_for_whole_jobs_when_enforced_safely() -> None:
    site = physics(group_tres_minutes={"cpu": 100}).used("physics", used_seconds={"cpu": 10.0 * 60})
    site.enforced = SAFELY
    site.runs("ann", limit_s=HOUR_S)

    assert site.blockers("bob", limit_s=HOUR_S) == {
        "AssocGrpCPUMinutesLimit": "account physics: GrpTRESMins cpu=100, 10 minutes used, running jobs may use "
        "60 minutes, needs 60 minutes (1 for 01:00:00); -t 00:30:00 would fit"
    }
    assert not site.blockers("bob", limit_s=HOUR_S // 2)


def test_grp_tres_run_mins_counts_the_time_that_running_jobs_have_left() -> None:
    site = physics(group_tres_run_minutes={"cpu": 120})
    first = site.runs("ann", cpus=2, limit_s=HOUR_S // 2)
    site.runs("ann", cpus=1, limit_s=HOUR_S // 2)

    assert site.blockers("bob", cpus=1, limit_s=HOUR_S) == {
        "AssocGrpCPURunMinutesLimit": "account physics: GrpTRESRunMins cpu=120, running jobs may use 90 minutes, "
        "needs 60 minutes (1 for 01:00:00); -t 00:30:00 would fit"
    }
    site.ends(*first)
    assert not site.blockers("bob", cpus=1, limit_s=HOUR_S)


def test_grp_tres_run_mins_stops_jobs_without_a_time_limit() -> None:
    site = physics(group_tres_run_minutes={"cpu": 10**6})

    assert site.blockers("ann", limit_s=None) == {
        "AssocGrpCPURunMinutesLimit": "account physics: GrpTRESRunMins cpu=1000000, running jobs may use 0 minutes, "
        "needs without end (1); -t 694-10:40:00 would fit"
    }


def test_grp_jobs_counts_running_jobs() -> None:
    site = physics(group_jobs=2)
    site.runs("ann")
    assert not site.blockers("bob")

    first = site.runs("bob")
    assert site.blockers("ann") == {"AssocGrpJobsLimit": "account physics: GrpJobs 2, 2 run"}

    site.ends(*first)
    assert not site.blockers("ann")


def test_grp_jobs_of_zero_lets_nothing_start() -> None:
    assert list(physics(group_jobs=0).blockers("ann")) == ["AssocGrpJobsLimit"]


def test_a_limit_below_zero_is_none() -> None:
    assert not physics(group_jobs=-1, group_tres={"cpu": -1}).blockers("ann")


def test_grp_wall_stops_jobs_once_it_is_used_up() -> None:
    site = physics(group_wall_s=HOUR_S).used("physics", wall_s=3599.0)
    assert not site.blockers("ann")

    site = physics(group_wall_s=HOUR_S).used("physics", wall_s=3600.0)
    assert site.blockers("ann") == {"AssocGrpWallLimit": "account physics: GrpWall 01:00:00, 01:00:00 used"}


def test_max_jobs_of_an_account_is_what_each_of_its_users_may_run() -> None:
    site = physics(max_jobs=1)
    site.runs("ann")

    assert site.blockers("ann") == {"AssocMaxJobsLimit": "user ann in account physics: MaxJobs 1, 1 run"}
    assert not site.blockers("bob")


def test_a_users_own_max_jobs_goes_before_the_accounts() -> None:
    site = Site().account("physics", max_jobs=1).user("ann", "physics", max_jobs=3)
    site.runs("ann")
    site.runs("ann")

    assert not site.blockers("ann")


def test_max_limits_come_from_the_nearest_account_that_sets_them() -> None:
    site = Site().account("science", max_jobs=1, max_wall_s=60).account("physics", "science", max_jobs=2)
    site.user("ann", "physics")
    site.runs("ann", limit_s=60)

    assert site.blockers("ann") == {
        "AssocMaxWallDurationPerJobLimit": "account science: MaxWall 00:01:00, time limit 01:00:00; "
        "-t 00:01:00 would fit"
    }


def test_max_tres_per_job_bounds_each_job_alone() -> None:
    site = physics(max_tres_per_job={"cpu": 4, "node": 2})
    site.runs("ann", cpus=4)

    assert not site.blockers("ann", cpus=4, node=2)
    assert site.blockers("ann", cpus=5, node=3) == {
        "AssocMaxCpuPerJobLimit": "account physics: MaxTRESPerJob cpu=4, needs 5",
        "AssocMaxNodePerJobLimit": "account physics: MaxTRESPerJob node=2, needs 3",
    }


def test_max_tres_per_node_bounds_what_one_node_gives() -> None:
    site = physics(max_tres_per_node={"cpu": 4})

    assert not site.blockers("ann", cpus=8, node_tres={"cpu": 4})
    assert site.blockers("ann", cpus=8, node_tres={"cpu": 6}) == {
        "AssocMaxCpuPerNode": "account physics: MaxTRESPerNode cpu=4, needs 6 on one node"
    }


def test_max_tres_mins_bounds_the_size_and_time_of_a_job() -> None:
    site = physics(max_tres_minutes_per_job={"cpu": 120})

    assert not site.blockers("ann", cpus=2)
    assert site.blockers("ann", cpus=4) == {
        "AssocMaxCpuMinutesPerJobLimit": "account physics: MaxTRESMinsPerJob cpu=120, needs 240 minutes "
        "(4 for 01:00:00); -t 00:30:00 would fit"
    }


def test_max_tres_run_mins_is_of_each_user() -> None:
    site = physics(max_tres_run_minutes={"cpu": 90})
    site.runs("ann", cpus=1)

    assert list(site.blockers("ann")) == ["MaxCpuRunMinsPerUser"]
    assert not site.blockers("bob")


def test_max_wall_stops_longer_jobs_and_those_without_end() -> None:
    site = physics(max_wall_s=HOUR_S)

    assert not site.blockers("ann", limit_s=HOUR_S)
    assert site.blockers("ann", limit_s=None) == {
        "AssocMaxWallDurationPerJobLimit": "account physics: MaxWall 01:00:00, time limit UNLIMITED; "
        "-t 01:00:00 would fit"
    }


def test_every_limit_in_the_way_is_told() -> None:
    site = Site().account("physics", group_jobs=1, group_tres={"cpu": 2}).user("ann", "physics", max_jobs=1)
    site.runs("ann", cpus=2)

    assert list(site.blockers("ann")) == ["AssocMaxJobsLimit", "AssocGrpJobsLimit", "AssocGrpCpuLimit"]


def test_a_user_without_an_association_may_not_run_where_they_are_enforced() -> None:
    site = physics()
    assert site.blockers("zoe", account="physics") == {
        "InvalidAccount": "user zoe has no association with account physics"
    }

    site = physics()
    site.enforced = frozenset()
    assert not site.blockers("zoe", account="physics")


def test_limits_count_only_where_they_are_enforced() -> None:
    site = physics(group_jobs=0)
    site.enforced = frozenset({"associations"})

    assert not site.blockers("ann")


def test_an_association_with_a_partition_goes_before_the_one_without() -> None:
    site = Site().account("physics").user("ann", "physics", max_jobs=9)
    site.user("ann", "physics", partition="debug", max_jobs=1).partition("debug")
    site.runs("ann", partition="debug")

    assert site.blockers("ann", partition="debug") == {
        "AssocMaxJobsLimit": "user ann in account physics in partition debug: MaxJobs 1, 1 run"
    }
    assert not site.blockers("ann")
    assert AssociationKey("physics", "ann", "debug") in site.associations


def test_an_account_that_nobody_asks_for_is_the_users_default() -> None:
    site = Site().account("physics", group_jobs=0).account("biology")
    site.user("ann", "physics").user("ann", "biology")

    assert list(site.blockers("ann")) == ["AssocGrpJobsLimit"]
    assert not site.blockers("ann", account="biology")
